from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.model import Manifest
from wheelhouse.index.pages.catalog import Catalog
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

SPAM = canonicalize_name("spam")


@dataclass(frozen=True, slots=True)
class _Counting(FolderStore):
    """Counts what it is asked, and waits until it may answer."""

    asked: list[NormalizedName] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def mark(self, project: NormalizedName) -> str | None:
        self.asked.append(project)
        self.go.wait(5)
        return FolderStore.mark(self, project)

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        return FolderStore.read_manifest(self, project)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counting(tmp_path: Path) -> _Counting:
    FolderStore.open(tmp_path).swap_manifest(Manifest(name=SPAM))
    made = _Counting(tmp_path)
    made.go.set()
    return made


def test_find__many_askers__one_question(counting: _Counting) -> None:
    counting.go.clear()

    async def ask() -> int:
        catalog = Catalog(store=counting)
        askers = [asyncio.create_task(catalog.find(SPAM)) for _ in range(50)]
        await asyncio.sleep(0.01)
        counting.go.set()
        return len({id(entry) for entry in await asyncio.gather(*askers)})

    assert asyncio.run(ask()) == 1
    assert counting.asked == [SPAM]


def test_find__within_a_second__asks_nothing(counting: _Counting) -> None:
    clock = Clock()
    catalog = Catalog(store=counting, clock=clock)
    first = asyncio.run(catalog.find(SPAM))
    clock.now = 0.9
    assert asyncio.run(catalog.find(SPAM)) is first
    assert len(counting.asked) == 1
    clock.now = 2.0
    assert asyncio.run(catalog.find(SPAM)) is first  # asked, and nothing has changed
    assert len(counting.asked) == 2


def test_forget__while_it_is_asked_for__keeps_nothing_old(counting: _Counting) -> None:
    counting.go.clear()

    async def ask() -> bool:
        catalog = Catalog(store=counting)
        asker = asyncio.create_task(catalog.find(SPAM))
        await asyncio.sleep(0.01)
        catalog.forget(SPAM)
        counting.go.set()
        await asker
        return catalog.remembered(SPAM) is None

    assert asyncio.run(ask())


def test_find__unknown__is_none_and_takes_no_room(counting: _Counting) -> None:
    catalog = Catalog(store=counting)
    assert asyncio.run(catalog.find(canonicalize_name("other"))) is None
    assert not catalog._entries


def test_find__store_down_and_nothing_known__is_told_to_every_asker(tmp_path: Path) -> None:
    class Down(FolderStore):
        __slots__ = ()

        def mark(self, project: NormalizedName) -> str | None:
            raise StoreUnavailableError("down")

    async def ask() -> list[object]:
        catalog = Catalog(store=Down(tmp_path))
        return list(await asyncio.gather(*(catalog.find(SPAM) for _ in range(3)), return_exceptions=True))

    assert [type(answer) for answer in asyncio.run(ask())] == [StoreUnavailableError] * 3


@dataclass(frozen=True, slots=True)
class _Beating(_Counting):
    """Has the pulse that it is told to have."""

    beats: list[str | None] = field(default_factory=lambda: ["1"])

    def pulse(self) -> str | None:
        return self.beats[-1]


@pytest.fixture
def beating(tmp_path: Path) -> _Beating:
    FolderStore.open(tmp_path).swap_manifest(Manifest(name=SPAM))
    made = _Beating(tmp_path)
    made.go.set()
    return made


@pytest.mark.parametrize(
    ("beat", "later", "questions"),
    [("1", 2.0, 1), ("1", 29.0, 1), ("2", 2.0, 2), (None, 2.0, 2), ("1", 31.0, 2)],
    ids=["same", "same for long", "another", "none", "too long ago"],
)
def test_find__pulse_of_the_store__spares_the_question(
    beating: _Beating, beat: str | None, later: float, questions: int
) -> None:
    clock = Clock()
    catalog = Catalog(store=beating, clock=clock)
    asyncio.run(catalog.find(SPAM))

    beating.beats.append(beat)
    clock.now = later
    asyncio.run(catalog.find(SPAM))

    assert len(beating.asked) == questions


def test_pulse__changes_with_every_swap(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path)
    long_ago = 1_000_000_000
    os.utime(tmp_path / "projects", ns=(long_ago, long_ago))
    before = store.pulse()

    store.swap_manifest(Manifest(name=SPAM))

    assert before == str(long_ago)
    assert store.pulse() is None, "too young to tell the next swap from this one"
