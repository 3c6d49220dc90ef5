from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from arrivals import an_arrival
from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.web.home import Board, Home, Look, Release, Summary, show_home, summarize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SPAM, EGGS = NormalizedName("spam"), NormalizedName("eggs")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def filled(folder: Path) -> Repository:
    repository = Repository(store=FolderStore.open(folder / "store"), now=Clock())
    for name in ("spam-1.0-py3-none-any.whl", "eggs-2-py3-none-any.whl", "spam-1.0.tar.gz"):
        repository.add_file(*an_arrival(folder, name))
    return repository


def release(project: NormalizedName, version: str, minutes: int, files: int) -> Release:
    return Release(project=project, version=version, published=NOON + timedelta(minutes=minutes), files=files)


def test_board__look__knows_what_came_last(tmp_path: Path) -> None:
    look = Board(store=filled(tmp_path).store).look()

    assert look == Look(
        known={
            SPAM: Summary(files=2, size=8, latest=release(SPAM, "1.0", 3, 2), newest="1.0"),
            EGGS: Summary(files=1, size=4, latest=release(EGGS, "2", 2, 1), newest="2"),
        },
        complete=True,
    )
    assert show_home([EGGS, SPAM], look) == Home(
        projects=2, files=3, size=12, counted=True, newest=(release(SPAM, "1.0", 3, 2), release(EGGS, "2", 2, 1))
    )
    assert show_home([EGGS], look).newest == (release(EGGS, "2", 2, 1),)


def test_summarize__fix_of_an_old_version__came_last_and_is_not_the_newest(tmp_path: Path) -> None:
    repository = filled(tmp_path)
    for name in ("eggs-3-py3-none-any.whl", "eggs-2.1-py3-none-any.whl"):
        repository.add_file(*an_arrival(tmp_path, name))
    found = summarize(repository.project(EGGS))
    assert found.latest is not None
    assert (found.latest.version, found.newest) == ("2.1", "3")


def test_board__something_new__is_seen_at_once(tmp_path: Path) -> None:
    repository = filled(tmp_path)
    board = Board(store=repository.store)
    board.look()

    repository.add_file(*an_arrival(tmp_path, "eggs-3-py3-none-any.whl"))
    repository.set_status(SPAM, "quarantined")
    look = board.look()

    assert look is not None
    assert look.known[EGGS].latest == release(EGGS, "3", 4, 1)
    assert look.known[SPAM] == Summary(files=0, size=0, latest=None)


def test_board__no_time__goes_on_at_the_next_look(tmp_path: Path) -> None:
    ticks = iter(range(100))
    board = Board(store=filled(tmp_path).store, patience=1.5, clock=lambda: next(ticks))

    first, second = board.look(), board.look()

    assert first is not None
    assert (len(first.known), first.complete) == (1, False)
    assert second is not None
    assert (len(second.known), second.complete) == (2, True)


def test_board__too_many__are_not_counted(tmp_path: Path) -> None:
    look = Board(store=filled(tmp_path).store, most=1).look()
    assert look is None
    assert show_home([EGGS, SPAM], look) == Home(projects=2, files=None, size=None, counted=True, newest=())


def test_board__store_is_down__tells_what_it_knew(tmp_path: Path) -> None:
    class Down(FolderStore):
        __slots__ = ()

        def projects(self) -> Mapping[NormalizedName, str]:  # type: ignore[override]
            raise StoreUnavailableError("down")

    board = Board(store=filled(tmp_path).store)
    before = board.look()
    board.store = Down(tmp_path / "store")

    assert board.look() == before


def test_summarize__of_no_files__is_nothing(tmp_path: Path) -> None:
    repository = filled(tmp_path)
    repository.delete(EGGS, "eggs-2-py3-none-any.whl")
    assert summarize(repository.project(EGGS)) == Summary(files=0, size=0, latest=None)
