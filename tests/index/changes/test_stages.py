"""Stages on both kinds of stores: nothing of them is on the index before they are published, and then all of it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import WHEEL, an_arrival
from wheelhouse.errors import FileExistsDifferentError, IndexRefusesError, NotOnIndexError
from wheelhouse.index.changes.repository import Added, Repository, SameBytes
from wheelhouse.index.changes.stages import Stages, parse_stage
from wheelhouse.index.changes.verify import collect_garbage, verify
from wheelhouse.index.pages.export import export

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.stores.store import Store

SPAM, HAM = canonicalize_name("spam"), canonicalize_name("ham")
STAGE = parse_stage("release-1")
HAM_WHEEL = "ham-1.0-py3-none-any.whl"
DAY = timedelta(days=1)


@pytest.fixture
def stages(store: Store) -> Stages:
    return Stages(index=Repository(store=store))


def put(stages: Stages, folder: Path, filename: str = WHEEL, data: bytes = b"spam") -> None:
    stages.repository(STAGE).add_file(*an_arrival(folder, filename, data))


def on_index(stages: Stages) -> list[str]:
    repository = stages.index
    return [file.filename for name in repository.projects() for file in repository.project(name).files]


def on_stage(stages: Stages) -> list[str]:
    return [file.filename for manifest in stages.manifests(STAGE) for file in manifest.files]


def publish(stages: Stages) -> list[str]:
    return [type(outcome).__name__ for outcome in stages.publish(STAGE, stages.manifests(STAGE))]


def test_publish__release_of_two_projects__is_there_whole_and_leaves_the_stage(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path)
    put(stages, tmp_path, "spam-1.0.tar.gz", b"sdist")
    put(stages, tmp_path, HAM_WHEEL, b"ham")
    assert (on_index(stages), stages.names()) == ([], [STAGE])

    assert publish(stages) == ["Added"] * 3
    assert sorted(on_index(stages)) == [HAM_WHEEL, WHEEL, "spam-1.0.tar.gz"]
    assert stages.index.project(SPAM).generation == 1  # one step
    assert (on_stage(stages), stages.names(), publish(stages)) == ([], [], [])
    assert all(not account.damages for account in verify(stages.index.store))


def test_publish__one_conflict__nothing_appears_and_the_stage_stays_open(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path, HAM_WHEEL, b"ham")
    put(stages, tmp_path)
    stages.index.add_file(*an_arrival(tmp_path, WHEEL, b"faster"))
    with pytest.raises(FileExistsDifferentError, match=r"nothing was published:\nspam-1.0.*other bytes"):
        publish(stages)
    assert on_index(stages) == [WHEEL]

    put(stages, tmp_path, "ham-1.0.tar.gz", b"more")
    assert len(stages.drop(STAGE, stages.manifests(STAGE))) == 3


def test_upload__project_in_quarantine__is_refused(stages: Stages, tmp_path: Path) -> None:
    stages.index.add_file(*an_arrival(tmp_path))
    stages.index.set_status(SPAM, "quarantined")
    put(stages, tmp_path, HAM_WHEEL, b"ham")
    with pytest.raises(IndexRefusesError, match="quarantine"):
        put(stages, tmp_path, "spam-2.0.tar.gz", b"new")


class _Crash(Exception):  # noqa: N818 - no error: the power is gone
    pass


def test_publish__crash_after_the_first_project__is_ended_by_the_next(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path, HAM_WHEEL, b"ham")
    put(stages, tmp_path)
    moments = iter([datetime.now(tz=UTC)])

    def crash() -> datetime:
        moment = next(moments, None)
        if moment is None:
            raise _Crash
        return moment

    crashing = Stages(index=replace(stages.index, now=crash))
    with pytest.raises(_Crash):
        publish(crashing)
    assert on_index(stages) == [HAM_WHEEL]

    with pytest.raises(IndexRefusesError, match="archived"):
        put(stages, tmp_path, "spam-1.0.tar.gz", b"sdist")
    with pytest.raises(IndexRefusesError, match="is being published"):
        stages.drop(STAGE, stages.manifests(STAGE))
    assert publish(stages) == ["Added"]
    assert sorted(on_index(stages)) == [HAM_WHEEL, WHEEL]


def test_publish__crash_before_the_stage_is_emptied__is_published_once(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path)
    stages.index.add_kept(SPAM, stages.manifests(STAGE)[0].files)
    assert publish(stages) == ["SameBytes"]
    assert stages.index.project(SPAM).generation == 1


def test_publish__by_two_at_once__both_succeed(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path)
    seen = stages.manifests(STAGE)
    assert isinstance(stages.publish(STAGE, seen)[0], Added)
    assert [type(outcome) for outcome in stages.publish(STAGE, seen)] in ([], [SameBytes])


def test_upload__name_that_the_index_has_with_other_bytes__is_refused_early(stages: Stages, tmp_path: Path) -> None:
    stages.index.add_file(*an_arrival(tmp_path))
    with pytest.raises(FileExistsDifferentError):
        put(stages, tmp_path, data=b"other")
    put(stages, tmp_path)
    assert publish(stages) == ["SameBytes"]


def test_gc__staged_bytes__stay_until_the_stage_expires(stages: Stages, tmp_path: Path) -> None:
    store = stages.index.store
    put(stages, tmp_path)
    now = datetime.now(tz=UTC)
    kept = collect_garbage(store, now=now + 6 * DAY)
    told = collect_garbage(store, now=now + 8 * DAY, dry_run=True)
    assert (kept.expired, kept.blobs, told.expired, on_stage(stages)) == (0, 0, 1, [WHEEL])

    gone = collect_garbage(store, now=now + 8 * DAY)
    assert (gone.expired, gone.blobs, on_stage(stages)) == (1, 2, [])
    collect_garbage(store, now=now + 8 * DAY)
    assert list(store.stages()) == []


def test_gc__being_published__does_not_expire(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path)
    stages.repository(STAGE).set_status(SPAM, "archived", "is being published")
    assert collect_garbage(stages.index.store, now=datetime.now(tz=UTC) + 30 * DAY).expired == 0
    assert publish(stages) == ["Added"]


def test_verify_and_export__stage__is_verified_and_not_exported(stages: Stages, tmp_path: Path) -> None:
    put(stages, tmp_path)
    assert [(account.stage, account.project, account.files) for account in verify(stages.index.store)] == [
        (STAGE, SPAM, 1)
    ]
    assert export(stages.index.store, tmp_path / "public").files == 0
    assert not (tmp_path / "public" / "files").exists()


@pytest.mark.parametrize("text", ["", "Release", "a_b", "a.b", "../x", "a" * 65, "-a", "a--b", "a/b"])
def test_stage__name_that_is_none__is_refused(text: str) -> None:
    with pytest.raises(NotOnIndexError):
        parse_stage(text)
