from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wheelhouse.errors import SpoolError, SpoolFullError
from wheelhouse.spool import Backoff, Item, Spool, State, fsck

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX, OTHER = "https://index.example/legacy/", "https://other.example/legacy/"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Broken(io.RawIOBase):
    """Gives some bytes, then fails as a client does that hangs up."""

    parts: list[bytes] = field(default_factory=lambda: [b"begun"])

    def read(self, size: int = -1) -> bytes:
        if not self.parts:
            raise ConnectionResetError
        return self.parts.pop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    with open_spool(tmp_path, clock) as opened:
        yield opened


def open_spool(tmp_path: Path, clock: Clock, **options: int) -> Spool:
    return Spool(tmp_path / "spool", clock=clock, backoff=Backoff(first=1.0, most=100.0, chance=lambda: 1.0), **options)


def accept(spool: Spool, data: bytes, *, target: str = INDEX, project: str = "spam", name: str = "") -> Item:
    return spool.accept(io.BytesIO(data), target=target, name=name or data.decode(), order_key=project)


def lease(spool: Spool) -> Item:
    item = spool.lease()
    assert item is not None
    return item


def leftovers(spool: Spool) -> list[str]:
    return sorted(path.name for folder in ("files", "incoming") for path in (spool.folder / folder).iterdir())


def test_accept__bytes_are_there_under_their_hash(spool: Spool) -> None:
    item = accept(spool, b"one")

    assert item.path.read_bytes() == b"one"
    assert item.sha256 == item.path.name == hashlib.sha256(b"one").hexdigest()
    assert (item.size, item.state, item.attempts) == (3, State.WAITING, 0)
    assert spool.items() == [item]


def test_accept__file__is_linked(spool: Spool, tmp_path: Path) -> None:
    path = tmp_path / "spam.whl"
    path.write_bytes(b"one")

    item = spool.accept(path, target=INDEX, name=path.name, order_key="spam", fields={"a": "b"}, verdict="down")

    assert item.path.samefile(path)
    assert (item.fields, item.verdict) == ({"a": "b"}, "down")
    assert leftovers(spool) == [item.sha256]


def test_accept__file_that_cannot_be_linked__is_copied(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*arguments: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "spam.whl"
    path.write_bytes(b"one")

    item = spool.accept(path, target=INDEX, name=path.name, order_key="spam")

    assert not item.path.samefile(path)
    assert item.path.read_bytes() == b"one"


def test_accept__symbolic_link__keeps_what_it_pointed_to(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "link").symlink_to("real")

    item = spool.accept(tmp_path / "link", target=INDEX, name="link", order_key="spam")
    (tmp_path / "real").unlink()

    assert item.path.read_bytes() == b"one"


def test_accept__same_again__is_one_item(spool: Spool, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"one")

    first = spool.accept(path, target=INDEX, name="one", order_key="spam")
    again = spool.accept(path, target=INDEX, name="one", order_key="spam")

    assert again == first
    assert leftovers(spool) == [first.sha256]


def test_accept__same_bytes_elsewhere__stay_until_both_are_delivered(spool: Spool) -> None:
    accept(spool, b"one", target=INDEX)
    second = accept(spool, b"one", target=OTHER)

    spool.done(lease(spool))
    assert second.path.read_bytes() == b"one"

    spool.done(lease(spool))
    assert leftovers(spool) == []


def test_accept__same_bytes_under_another_name__is_another_item(spool: Spool) -> None:
    assert accept(spool, b"one", name="a").id != accept(spool, b"one", name="b").id


def test_accept__set_aside_before__waits_again(spool: Spool) -> None:
    accept(spool, b"one")
    spool.set_aside(lease(spool), "403 not yours")

    again = accept(spool, b"one")

    assert (again.state, again.attempts, again.verdict) == (State.WAITING, 0, None)


def test_accept__stream_breaks__leaves_nothing(spool: Spool) -> None:
    with pytest.raises(ConnectionResetError):
        spool.accept(Broken(), target=INDEX, name="one", order_key="spam")  # type: ignore[arg-type]

    assert leftovers(spool) == []
    assert spool.items() == []


def test_accept__over_the_limit__is_refused_and_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    with open_spool(tmp_path, clock, limit_bytes=10) as spool:
        kept = accept(spool, b"sixsix")
        with pytest.raises(SpoolFullError, match="no room for 5 bytes: 6 of 10 are taken") as error:
            accept(spool, b"fives")
        with pytest.raises(SpoolFullError):
            accept(spool, b"more than ten bytes")

        assert error.value.hint is not None
        assert "spool retry" in error.value.hint
        assert leftovers(spool) == [kept.sha256]
        assert accept(spool, b"sixsix", target=OTHER).sha256 == kept.sha256  # the same bytes take no room


def test_accept__disk_full__says_so(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolFullError, match="the disk has no room"):
        accept(spool, b"one")

    assert leftovers(spool) == []


def test_lease__order_of_a_project__is_kept(spool: Spool) -> None:
    first, second, other = accept(spool, b"1"), accept(spool, b"2"), accept(spool, b"3", project="eggs")

    assert lease(spool).id == first.id
    assert lease(spool).id == other.id
    assert spool.lease() is None  # the second one waits for the first

    spool.done(first)
    assert lease(spool).id == second.id


def test_lease__target__gives_its_own_only(spool: Spool) -> None:
    accept(spool, b"1")
    item = accept(spool, b"2", target=OTHER)

    found = spool.lease(target=OTHER)

    assert found is not None
    assert found.id == item.id
    assert spool.lease(target=OTHER) is None


def test_lease__too_long__is_given_to_the_next(spool: Spool, clock: Clock) -> None:
    accept(spool, b"1")
    held = lease(spool)
    assert held.leased_until is not None

    clock.now = held.leased_until

    assert lease(spool).id == held.id


def test_lease__other_spool_closed__is_free_at_once(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    accept(spool, b"1")
    with open_spool(tmp_path, clock) as other:
        held = lease(other)
        assert spool.lease() is None

    assert lease(spool).id == held.id


def test_retry_later__waits_longer_each_time(spool: Spool, clock: Clock) -> None:
    accept(spool, b"1")
    waits = []
    for _ in range(9):
        waits.append(spool.retry_later(lease(spool), "500", outage=False) - clock.now)
        assert spool.lease() is None
        clock.now += waits[-1]

    assert waits == [1, 2, 4, 8, 16, 32, 64, 100, 100]
    assert lease(spool).attempts == 9


def test_retry_later__index_asks_for_longer(spool: Spool, clock: Clock) -> None:
    accept(spool, b"1")

    assert spool.retry_later(lease(spool), "429", outage=True, wait=77.0) == clock.now + 77


def test_retry_later__holds_up_its_project(spool: Spool) -> None:
    accept(spool, b"1")
    accept(spool, b"2")

    spool.retry_later(lease(spool), "503", outage=True)

    assert spool.lease() is None


def test_retry_later__lease_lost__changes_nothing(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    accept(spool, b"1")
    old = lease(spool)
    assert old.leased_until is not None
    clock.now = old.leased_until
    with open_spool(tmp_path, clock) as other:
        new = lease(other)
        spool.retry_later(old, "too late", outage=False)

        assert spool.item(new.id).verdict is None


def test_done__ends_the_outage_for_all_of_its_target(spool: Spool) -> None:
    for number in range(3):
        accept(spool, b"%d" % number, project=f"p{number}")
    accept(spool, b"elsewhere", target=OTHER, project="p")
    items = [lease(spool) for _ in range(4)]
    for item in items:
        spool.retry_later(item, "503", outage=item.id != items[1].id)
    spool.hurry(INDEX)
    spool.retry_later(lease(spool), "503", outage=True)
    spool.retry_later(lease(spool), "500", outage=False)
    last = lease(spool)

    spool.done(last)

    assert lease(spool).id == items[0].id  # due at once, without its backoff
    assert spool.lease() is None  # 500 was about that file, and the other index may still be down


def test_set_aside__lets_the_project_go_on(spool: Spool) -> None:
    poison, good = accept(spool, b"1"), accept(spool, b"2")

    spool.set_aside(lease(spool), "400 it is no wheel")

    assert lease(spool).id == good.id
    assert spool.item(poison.id).verdict == "400 it is no wheel"
    assert spool.item(poison.id).path.exists()
    assert spool.stats().aside == 1


def test_revive__set_aside__is_due(spool: Spool) -> None:
    item = accept(spool, b"1")
    spool.set_aside(lease(spool), "400")

    assert spool.revive(item.id).state is State.WAITING
    assert lease(spool).id == item.id


def test_forget__removes_item_and_bytes(spool: Spool) -> None:
    item = accept(spool, b"1")

    assert spool.forget(item.id).id == item.id
    assert spool.items() == []
    assert leftovers(spool) == []


def test_forget__being_delivered__is_refused(spool: Spool) -> None:
    accept(spool, b"1")
    item = lease(spool)

    with pytest.raises(SpoolError, match="is being delivered"):
        spool.forget(item.id)


def test_item__unknown__says_so(spool: Spool) -> None:
    for ask in (spool.item, spool.forget, spool.revive):
        with pytest.raises(SpoolError, match="there is no item 7"):
            ask(7)


def test_stats__counts_bytes_once(spool: Spool, clock: Clock) -> None:
    accept(spool, b"four")
    clock.now += 5
    accept(spool, b"four", target=OTHER)
    accept(spool, b"three")
    lease(spool)

    stats = spool.stats()

    assert (stats.waiting, stats.leased, stats.aside, stats.size, stats.oldest) == (3, 1, 0, 9, 1000.0)


def test_threads__accept_and_deliver_at_once__nothing_lost_nothing_twice(spool: Spool) -> None:
    delivered: list[int] = []
    accepted: list[int] = []

    def produce(number: int) -> None:
        accepted.extend(accept(spool, b"%d-%d" % (number, count), project=f"p{number}").id for count in range(15))

    def consume() -> None:
        while len(delivered) < 45:
            if (item := spool.lease()) is not None:
                delivered.append(item.id)
                spool.done(item)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(3)]
    threads += [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(delivered) == sorted(accepted)
    assert leftovers(spool) == []


def test_open__newer_format__is_left_alone(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    with spool.journal.transaction(durable=True) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(SpoolError, match="format 99, which is newer"):
        open_spool(tmp_path, clock)


def test_open__journal_is_no_database__says_so(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/journal.sqlite3").write_bytes(b"no database" * 100)

    with pytest.raises(SpoolError, match="file is not a database"):
        open_spool(tmp_path, clock)


def test_open__file_in_the_way__says_so(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "spool").write_text("no folder")

    with pytest.raises(SpoolError, match="a file stands where the spool's folder should be"):
        open_spool(tmp_path, clock)


def test_fsck__sound(spool: Spool) -> None:
    accept(spool, b"1")

    found = fsck(spool)

    assert found.sound
    assert (found.items, found.orphans) == (1, ())


def test_spool__killed_before_it_promised__leaves_no_bytes(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool"):
        pass
    (tmp_path / "spool" / "files" / ("0" * 64)).write_bytes(b"placed, and no item yet")
    (tmp_path / "spool" / "owners" / "killed.owner").touch()
    with Spool(tmp_path / "spool") as spool:
        assert list(spool.files.names()) == []


def test_fsck__orphan__is_removed(spool: Spool) -> None:
    item = accept(spool, b"1")
    (spool.folder / "files" / ("0" * 64)).write_bytes(b"of a process that was killed before it had promised")

    assert fsck(spool).orphans == ("0" * 64,)
    assert leftovers(spool) == [item.sha256]


@pytest.mark.parametrize(("damage", "verdict"), [(b"x", "have changed"), (None, "are missing")])
def test_fsck__damage__is_set_aside(spool: Spool, damage: bytes | None, verdict: str) -> None:
    item, good = accept(spool, b"1"), accept(spool, b"2")
    item.path.unlink()
    if damage is not None:
        item.path.write_bytes(damage)

    found = fsck(spool)

    assert [one.id for one in found.damaged] == [item.id]
    assert not found.sound
    assert verdict in (spool.item(item.id).verdict or "")
    assert lease(spool).id == good.id


def test_done__killed_before_the_sweep__next_open_finishes(tmp_path: Path, clock: Clock) -> None:
    with open_spool(tmp_path, clock) as spool:
        item = accept(spool, b"1")
        with spool.journal.transaction(durable=True) as connection:
            connection.execute("UPDATE item SET state = 'done' WHERE id = ?", (item.id,))
    with open_spool(tmp_path, clock) as spool:
        assert leftovers(spool) == []
        assert spool.items() == []


def test_backoff__jitter__lies_between_half_and_all() -> None:
    waits = {Backoff(first=8.0).seconds(1) for _ in range(200)}

    assert min(waits) >= 4
    assert max(waits) <= 8
    assert len(waits) > 100


def test_backoff__many_failures__is_capped() -> None:
    assert Backoff(chance=lambda: 1.0).seconds(100_000) == 300


def test_lease_many__of_several_keys__in_order_and_all_done_at_once(spool: Spool) -> None:
    for data in (b"1", b"2"):
        accept(spool, data)
    accept(spool, b"other", project="eggs")
    for data in (b"3", b"4"):
        accept(spool, data)

    found = spool.lease_many(target=INDEX, most=4)
    assert [item.name for item in found] == ["1", "2", "other", "3"]
    assert spool.lease_many(target=INDEX, most=4) == []  # 4 is behind those

    spool.done(*found)
    assert [item.name for item in spool.items()] == ["4"]
    assert not any(item.path.exists() for item in found)
    assert [item.name for item in spool.lease_many(target=INDEX, most=4)] == ["4"]


def test_lease_many__one_is_not_due__all_behind_it_wait(spool: Spool) -> None:
    for data in (b"1", b"2", b"3"):
        accept(spool, data)
    accept(spool, b"other", project="eggs")
    spool.retry_later(lease(spool), "500", outage=False)

    assert [item.name for item in spool.lease_many(most=10)] == ["other"]


def test_lease_many__more_bytes_than_are_wanted_at_once__come_in_parts(spool: Spool) -> None:
    for data in (b"1" * 50, b"2" * 20, b"3" * 20):
        accept(spool, data)

    assert [item.size for item in spool.lease_many(most=10, most_bytes=40)] == [50]
    assert spool.lease_many(most=10, most_bytes=40) == []


def test_items__of_a_target__and_their_count(spool: Spool) -> None:
    accept(spool, b"1")
    accept(spool, b"2", target=OTHER)
    assert [item.name for item in spool.items(target=OTHER)] == ["2"]
    assert (spool.count(INDEX), spool.count("nowhere")) == (1, 0)


def test_changes__by_another__are_told_and_our_own_are_not(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    before = spool.journal.changes()
    accept(spool, b"ours")
    assert spool.journal.changes() == before
    with open_spool(tmp_path, clock) as other:
        accept(other, b"theirs")
    assert spool.journal.changes() != before


def test_scratch__left_by_a_process_that_is_no_more__is_removed(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    with spool.scratch() as file:
        file.write(b"bytes")
        file.flush()
        item = spool.accept(Path(file.name), target=INDEX, name="x", order_key="x")
    assert item.path.read_bytes() == b"bytes"
    incoming = tmp_path / "spool" / "incoming"
    assert not list(incoming.iterdir())
    (incoming / "gone-1").write_bytes(b"half")
    (tmp_path / "spool" / "owners" / "gone.owner").touch()
    open_spool(tmp_path, clock).close()
    assert not list(incoming.iterdir())
