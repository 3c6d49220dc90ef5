from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import an_arrival
from fake_upstream import FakeFile, fake_upstream
from fleet import EGGS, SDIST, SPAM_AARCH64, SPAM_X86_64, world
from mirrors import mirroring
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.prefetch import Outcome, Sought, fetch_ahead
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.upstream.rules import MirrorRules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream
    from mirrors import Index


@dataclass
class Follower:
    """Remembers what it was told."""

    plan: tuple[int, int] = (0, 0)
    begun_: list[str] = field(default_factory=list)
    ended_: list[str] = field(default_factory=list)

    def planned(self, files: int, size: int) -> None:
        self.plan = (files, size)

    def begun(self, filename: str) -> None:
        self.begun_.append(filename)

    def ended(self, outcome: Outcome) -> None:
        self.ended_.append(outcome.filename)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream(**world()) as made:
        yield made


def sought(filename: str, sha256: str | None = None) -> Sought:
    return Sought(project=canonicalize_name("-".join(filename.split("-")[:1])), filename=filename, sha256=sha256)


async def fetch(
    index: Index, *wanted: Sought, sdists: bool = False, since: float = 0, follower: Follower | None = None
) -> dict[str, Outcome]:
    outcomes = await fetch_ahead(
        wanted,
        catalog=index.catalog,
        mirror=index.mirror,
        sdists=sdists,
        follower=follower or Follower(),
        since=since,
    )
    return {outcome.filename: outcome for outcome in outcomes}


def test_fetch_ahead__what_is_wanted__is_here_and_kept(upstream: FakeUpstream, tmp_path: Path) -> None:
    follower = Follower()

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await fetch(index, sought(EGGS.filename), sought(SPAM_AARCH64.filename), follower=follower)
            assert {outcome.state for outcome in got.values()} == {"fetched"}
            kept = {item.name: item.size for item in index.mirror.shelf.kept()}
            assert kept.keys() == {
                name + suffix for name in (EGGS.filename, SPAM_AARCH64.filename) for suffix in ("", ".metadata")
            }
            assert all(kept.values())
        upstream.down = True
        async with mirroring(tmp_path, upstream, offline=True) as index:
            assert await index.names("acme-spam") == [SPAM_AARCH64.filename]
            url = await index.url("acme-spam")
            assert (await index.get(url)).status == (await index.get(f"{url}.metadata")).status == 200

    asyncio.run(ask())
    assert follower.plan[0] == 2
    assert set(follower.begun_) == set(follower.ended_) == {EGGS.filename, SPAM_AARCH64.filename}


def test_fetch_ahead__again__fetches_nothing(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await fetch(index, sought(EGGS.filename))
            got = await fetch(index, sought(EGGS.filename), since=time.time() + 1)
            assert got[EGGS.filename].state == "here"
        assert upstream.times(f"/packages/{EGGS.filename}") == 1

    asyncio.run(ask())


def test_fetch_ahead__sdists__of_the_same_versions(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await fetch(index, sought(SPAM_AARCH64.filename), sought(SPAM_X86_64.filename), sdists=True)
            assert got.keys() == {SPAM_AARCH64.filename, SPAM_X86_64.filename, SDIST}
            assert got[SDIST].state == "fetched"

    asyncio.run(ask())


def test_fetch_ahead__wrong_bytes__fail_alone(upstream: FakeUpstream, tmp_path: Path) -> None:
    bad = FakeFile(filename="bad-1.0-py3-none-any.whl", data=b"bad", said={"hashes": {"sha256": "0" * 64}})
    upstream.projects["bad"] = [bad]

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await fetch(index, sought(bad.filename), sought(EGGS.filename))
            assert got[bad.filename].state == "failed"
            assert got[bad.filename].cause
            assert got[EGGS.filename].state == "fetched"
            missing = [item.name for item in index.mirror.shelf.kept() if item.size is None]
            assert missing == [bad.filename]

    asyncio.run(ask())


def test_fetch_ahead__what_cannot_be__is_told_with_its_cause(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(deny=("acme-spam",))) as index:
            got = await fetch(
                index,
                sought(SPAM_AARCH64.filename),
                sought("nothing-1.0-py3-none-any.whl"),
                sought("acme_eggs-9.0-py3-none-any.whl"),
                sought(EGGS.filename, "0" * 64),
            )
            assert {outcome.state for outcome in got.values()} == {"failed"}
            causes = [outcome.cause for outcome in got.values()]
            for cause, word in zip(causes, ("rule", "no project", "does not offer", "other bytes"), strict=True):
                assert word in cause
            assert list(index.mirror.shelf.kept()) == []

    asyncio.run(ask())


def test_fetch_ahead__our_own__is_not_asked_for(upstream: FakeUpstream, tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    Repository(store=store).add_file(*an_arrival(tmp_path, "acme_eggs-1.0-py3-none-any.whl", b"ours"))

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await fetch(index, sought(EGGS.filename))
            assert got[EGGS.filename].state == "ours"
        assert upstream.asked == []

    asyncio.run(ask())


def test_fetch_ahead__budget_too_small__keeps_what_fits_and_says_so(upstream: FakeUpstream, tmp_path: Path) -> None:
    size = len(upstream.projects["acme-eggs"][0].data)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream, budget=size + 100) as index:
            first = await fetch(index, sought(EGGS.filename))
            second = await fetch(index, sought(SPAM_AARCH64.filename))
            assert first[EGGS.filename].state == "fetched"
            assert "no room" in second[SPAM_AARCH64.filename].cause

    asyncio.run(ask())
