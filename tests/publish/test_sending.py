from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from small_wheels import SmallWheel
from wheelhouse.errors import SpoolError, SpoolFullError
from wheelhouse.publish import (
    Destination,
    Outcome,
    Publishable,
    Reply,
    Sender,
    Sent,
    Verdict,
    deliver,
    insist,
    prepare,
    publish,
)
from wheelhouse.spool import Spool, State, fsck
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HERE = Destination(url="https://index.example/legacy/", repository="inside")
OK, DOWN = Reply(verdict=Verdict.DELIVERED), Reply(verdict=Verdict.OUTAGE, reason="503 not now")


@dataclass
class FakeUploader:
    """Answers by filename; remembers what it was given."""

    replies: dict[str, Reply] = field(default_factory=dict)
    usual: Reply = OK
    names: list[str] = field(default_factory=list)
    attestations: dict[str, str | None] = field(default_factory=dict)

    def upload(self, path: Path, *, name: str, sha256: str, attestations: str | None = None) -> Reply:
        assert path.is_file()
        self.names.append(name)
        self.attestations[name] = attestations
        return self.replies.get(name, self.usual)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as opened:
        yield opened


def wheel(folder: Path, name: str = "spam", version: str = "1.0") -> Publishable:
    small = SmallWheel(name=name, version=version)
    path = folder / small.filename
    (made,) = prepare([path if path.exists() else small.write(folder)])
    return made


def sender(uploader: FakeUploader, spool: Spool | None, *, skip_existing: bool = False) -> Sender:
    return Sender(destination=HERE, uploader=uploader, spool=spool, skip_existing=skip_existing)


def names(spool: Spool) -> list[str]:
    return [item.name for item in spool.items()]


def test_publish__index_up__leaves_nothing_in_the_spool(tmp_path: Path, spool: Spool) -> None:
    wheels = [wheel(tmp_path), wheel(tmp_path, "eggs")]

    sent = publish(sender(FakeUploader(), spool), wheels)

    assert [(one.filename, one.outcome, one.trouble) for one in sent] == [
        ("spam-1.0-py3-none-any.whl", Outcome.PUBLISHED, False),
        ("eggs-1.0-py3-none-any.whl", Outcome.PUBLISHED, False),
    ]
    assert spool.items() == []


def test_publish__index_down__spools_all_and_asks_once(tmp_path: Path, spool: Spool) -> None:
    uploader = FakeUploader(usual=DOWN)
    wheels = [wheel(tmp_path, name) for name in ("spam", "eggs", "ham")]

    sent = publish(sender(uploader, spool), wheels, jobs=1)

    assert len(uploader.names) == 1
    assert {one.outcome for one in sent} == {Outcome.SPOOLED}
    assert not any(one.trouble for one in sent)
    assert [(item.name, item.order_key, item.verdict) for item in spool.items()] == [
        (made.name.filename, made.name.project, "503 not now") for made in wheels
    ]
    assert {(item.target, item.fields["repository"]) for item in spool.items()} == {(HERE.url, "inside")}


def test_publish__index_back__delivers_what_waited_first(tmp_path: Path, spool: Spool) -> None:
    publish(sender(FakeUploader(usual=DOWN), spool), [wheel(tmp_path), wheel(tmp_path, version="1.1")], jobs=1)
    uploader = FakeUploader()

    sent = publish(sender(uploader, spool), [wheel(tmp_path, version="1.2"), wheel(tmp_path)])

    assert uploader.names == [f"spam-{version}-py3-none-any.whl" for version in ("1.0", "1.1", "1.2")]
    assert len(sent) == 3
    assert {one.outcome for one in sent} == {Outcome.PUBLISHED}
    assert spool.items() == []


def test_publish__still_down__goes_behind_what_waits(tmp_path: Path, spool: Spool) -> None:
    publish(sender(FakeUploader(usual=DOWN), spool), [wheel(tmp_path)])
    uploader = FakeUploader(usual=DOWN)

    publish(sender(uploader, spool), [wheel(tmp_path, version="1.1"), wheel(tmp_path, "eggs")], jobs=1)

    assert uploader.names == ["spam-1.0-py3-none-any.whl"]
    assert names(spool) == [
        "spam-1.0-py3-none-any.whl",
        "spam-1.1-py3-none-any.whl",
        "eggs-1.0-py3-none-any.whl",
    ]


def test_publish__index_stumbles_over_one__others_go_on(tmp_path: Path, spool: Spool) -> None:
    uploader = FakeUploader(replies={"spam-1.0-py3-none-any.whl": Reply(verdict=Verdict.FAILED, reason="500")})

    sent = publish(sender(uploader, spool), [wheel(tmp_path), wheel(tmp_path, "eggs")], jobs=1)

    assert [one.outcome for one in sent] == [Outcome.SPOOLED, Outcome.PUBLISHED]


def test_publish__no_spool__is_unavailable(tmp_path: Path) -> None:
    (sent,) = publish(sender(FakeUploader(usual=DOWN), None), [wheel(tmp_path)])

    assert (sent.outcome, sent.reason, sent.trouble) == (Outcome.UNAVAILABLE, "503 not now", True)


def test_insist__index_comes_back__all_are_sent_once_each(tmp_path: Path) -> None:
    uploader, pauses, told = FakeUploader(usual=DOWN), list[float](), list[str]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            uploader.usual, uploader.names = OK, []

    talking = replace(sender(uploader, None), tell=lambda one: told.append(f"{one.outcome} {one.filename}"))
    wheels = [wheel(tmp_path), wheel(tmp_path, "eggs")]
    sent = insist(talking, wheels, seconds=60, jobs=1, pause=pause, clock=lambda: sum(pauses))

    assert [one.outcome for one in sent] == [Outcome.PUBLISHED] * 2
    assert uploader.names == [one.name.filename for one in wheels]
    assert told == [f"published {one.name.filename}" for one in wheels]
    assert 0.25 <= pauses[0] < pauses[2] <= 2


def test_insist__index_stays_away__is_told_once_and_has_an_end(tmp_path: Path) -> None:
    pauses, told = list[float](), list[Sent]()
    talking = replace(sender(FakeUploader(usual=DOWN), None), tell=told.append)
    sent = insist(talking, [wheel(tmp_path)], seconds=60, pause=pauses.append, clock=lambda: sum(pauses))

    assert sent == told
    assert (sent[0].outcome, sent[0].reason) == (Outcome.UNAVAILABLE, "503 not now")
    assert "not sent again" in (sent[0].hint or "")
    assert 50 < sum(pauses) <= 60


@pytest.mark.parametrize(("build", "next_number"), [("", 1), ("4-", 5)])
def test_publish__name_taken__names_the_build_number_to_raise(
    build: str, next_number: int, tmp_path: Path, spool: Spool
) -> None:
    name = WheelName.parse(f"spam-1.0-{build}py3-none-any.whl")
    made = Publishable(path=wheel(tmp_path).path, name=name, sha256="0")
    uploader = FakeUploader(usual=Reply(verdict=Verdict.EXISTS, reason="409 taken"))

    (sent,) = publish(sender(uploader, spool), [made])

    assert sent.outcome is Outcome.REFUSED
    assert f"`build-number = {next_number}`" in (sent.hint or "")
    assert spool.items() == []


def test_publish__name_taken_and_that_is_fine(tmp_path: Path, spool: Spool) -> None:
    uploader = FakeUploader(usual=Reply(verdict=Verdict.EXISTS))

    (sent,) = publish(sender(uploader, spool, skip_existing=True), [wheel(tmp_path)])

    assert (sent.outcome, sent.trouble) == (Outcome.PRESENT, False)


def test_publish__denied__says_where_credentials_are(tmp_path: Path, spool: Spool) -> None:
    (sent,) = publish(sender(FakeUploader(usual=Reply(verdict=Verdict.DENIED, reason="403")), spool), [wheel(tmp_path)])

    assert sent.outcome is Outcome.REFUSED
    assert "TWINE_PASSWORD" in (sent.hint or "")
    assert spool.items() == []


def test_publish__spool_full__says_so(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", limit_bytes=10) as small, pytest.raises(SpoolFullError):
        publish(sender(FakeUploader(usual=DOWN), small), [wheel(tmp_path)])


def test_publish__written_over_after__what_was_accepted_stays(tmp_path: Path, spool: Spool) -> None:
    made = wheel(tmp_path)
    publish(sender(FakeUploader(usual=DOWN), spool), [made])

    made.path.write_bytes(b"another build")

    assert fsck(spool).sound


def test_publish__written_over_before__is_not_accepted(tmp_path: Path, spool: Spool) -> None:
    made = wheel(tmp_path)
    made.path.write_bytes(b"never checked")

    with pytest.raises(SpoolError, match="has changed"):
        publish(sender(FakeUploader(usual=DOWN), spool), [made])
    assert spool.items() == []


def test_publish__set_aside_before_and_welcome_now__is_taken_out(tmp_path: Path, spool: Spool) -> None:
    made = wheel(tmp_path)
    publish(sender(FakeUploader(usual=DOWN), spool), [made])
    deliver(sender(FakeUploader(usual=Reply(verdict=Verdict.REFUSED, reason="400 no")), spool))
    assert [item.state for item in spool.items()] == [State.ASIDE]

    publish(sender(FakeUploader(), spool), [made])

    assert spool.items() == []


def test_deliver__refused__is_set_aside_and_the_rest_goes_on(tmp_path: Path, spool: Spool) -> None:
    publish(sender(FakeUploader(usual=DOWN), spool), [wheel(tmp_path), wheel(tmp_path, version="1.1")], jobs=1)
    poison = Reply(verdict=Verdict.REFUSED, reason="400 it is no wheel")

    delivered = deliver(sender(FakeUploader(replies={"spam-1.0-py3-none-any.whl": poison}), spool))

    assert [one.outcome for one in delivered.sent] == [Outcome.REFUSED, Outcome.PUBLISHED]
    (item,) = spool.items()
    assert (item.state, item.verdict) == (State.ASIDE, "400 it is no wheel")


def test_deliver__denied__keeps_the_item_and_stops(tmp_path: Path, spool: Spool) -> None:
    publish(sender(FakeUploader(usual=DOWN), spool), [wheel(tmp_path), wheel(tmp_path, "eggs")])
    uploader = FakeUploader(usual=Reply(verdict=Verdict.DENIED, reason="401"))

    delivered = deliver(sender(uploader, spool), jobs=1)

    assert [(one.outcome, one.trouble) for one in delivered.sent] == [(Outcome.SPOOLED, True)]
    assert [item.state for item in spool.items()] == [State.WAITING, State.WAITING]


def test_deliver__stumbles__tries_each_once(tmp_path: Path, spool: Spool) -> None:
    publish(sender(FakeUploader(usual=DOWN), spool), [wheel(tmp_path), wheel(tmp_path, "eggs")])
    uploader = FakeUploader(usual=Reply(verdict=Verdict.FAILED, reason="500"))

    assert len(deliver(sender(uploader, spool)).sent) == 2
    assert len(uploader.names) == 2


def test_deliver__several_at_once__keeps_each_project_in_order(tmp_path: Path, spool: Spool) -> None:
    wheels = [wheel(tmp_path, name, f"1.{number}") for number in range(6) for name in ("spam", "eggs", "ham")]
    publish(sender(FakeUploader(usual=DOWN), spool), wheels, jobs=1)
    uploader = FakeUploader()

    sent = deliver(sender(uploader, spool), jobs=3).sent

    assert len(sent) == len(wheels)
    assert spool.items() == []
    for name in ("spam", "eggs", "ham"):
        assert [one for one in uploader.names if one.startswith(name)] == [
            f"{name}-1.{number}-py3-none-any.whl" for number in range(6)
        ]


@dataclass
class FakeParcels:
    """Answers by filename; remembers the parcels."""

    replies: dict[str, Reply] = field(default_factory=dict)
    usual: Reply = OK
    one_by_one: bool = False
    most_files: int = 4
    most_bytes: int = 100_000
    parcels: list[list[str]] = field(default_factory=list)

    def upload_many(self, wheels: Sequence[Publishable]) -> list[Reply] | None:
        names = [wheel.name.filename for wheel in wheels]
        self.parcels.append(names)
        return None if self.one_by_one else [self.replies.get(name, self.usual) for name in names]


def many(folder: Path, count: int) -> list[Publishable]:
    return [wheel(folder, f"spam{number}") for number in range(count)]


def test_publish__index_that_takes_parcels__gets_them(tmp_path: Path, spool: Spool) -> None:
    """The first is smaller, and has one file here, which goes alone."""
    uploader, parcels = FakeUploader(), FakeParcels()
    wheels = many(tmp_path, 11)
    sent = publish(replace(sender(uploader, spool), many=parcels), wheels, jobs=1)
    assert [one.filename for one in sent] == [one.name.filename for one in wheels]
    assert {one.outcome for one in sent} == {Outcome.PUBLISHED}
    assert [len(parcel) for parcel in parcels.parcels] == [4, 4, 2]
    assert uploader.names == [wheels[0].name.filename]


def test_publish__wheel_too_large_for_a_parcel__goes_alone(tmp_path: Path, spool: Spool) -> None:
    small, large = many(tmp_path, 4), SmallWheel(name="large", files={"large.py": "#" * 200_000}).write(tmp_path)
    uploader, parcels = FakeUploader(), FakeParcels()
    publish(replace(sender(uploader, spool), many=parcels), [*small, *prepare([large])], jobs=1)
    assert large.name in uploader.names
    assert [len(parcel) for parcel in parcels.parcels] == [3]


def test_publish__parcels_that_are_not_taken_after_all__go_one_by_one(tmp_path: Path, spool: Spool) -> None:
    uploader, parcels = FakeUploader(), FakeParcels(one_by_one=True)
    wheels = many(tmp_path, 6)
    sent = publish(replace(sender(uploader, spool), many=parcels), wheels, jobs=1)
    assert uploader.names == [one.name.filename for one in wheels]
    assert {one.outcome for one in sent} == {Outcome.PUBLISHED}


def test_publish__parcel_with_all_kinds_of_ends__each_as_if_alone(tmp_path: Path, spool: Spool) -> None:
    waiting = wheel(tmp_path, "spam2", "0.9")
    publish(sender(FakeUploader(usual=Reply(verdict=Verdict.FAILED, reason="500")), spool), [waiting])
    ends = {
        1: Reply(verdict=Verdict.REFUSED, reason="400"),
        3: Reply(verdict=Verdict.FAILED, reason="500"),
        4: Reply(verdict=Verdict.EXISTS, reason="409"),
    }
    wheels = many(tmp_path, 6)
    parcels = FakeParcels({wheels[number].name.filename: reply for number, reply in ends.items()}, most_files=18)
    uploader = FakeUploader(usual=Reply(verdict=Verdict.FAILED, reason="500"))
    sent = publish(replace(sender(uploader, spool), many=parcels), wheels, jobs=1)
    published, refused, spooled = Outcome.PUBLISHED, Outcome.REFUSED, Outcome.SPOOLED
    assert {one.filename: one.outcome for one in sent if one.filename != waiting.name.filename} == {
        made.name.filename: outcome
        for made, outcome in zip(wheels, [published, refused, spooled, spooled, refused, published], strict=True)
    }
    assert parcels.parcels == [[one.name.filename for number, one in enumerate(wheels) if number != 2]]
    assert sorted(names(spool)) == sorted(one.name.filename for one in (waiting, wheels[2], wheels[3]))


def test_publish__index_goes_down_at_a_parcel__spools_all_of_it_and_what_follows(tmp_path: Path, spool: Spool) -> None:
    uploader, parcels = FakeUploader(), FakeParcels(usual=DOWN)
    wheels = many(tmp_path, 11)
    sent = publish(replace(sender(uploader, spool), many=parcels), wheels, jobs=1)
    assert len(parcels.parcels) == 1
    assert [one.outcome for one in sent] == [Outcome.PUBLISHED, *[Outcome.SPOOLED] * 10]
    assert len(spool.items()) == 10
