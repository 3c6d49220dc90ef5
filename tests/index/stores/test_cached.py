from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import sha256
from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.model import Manifest
from wheelhouse.index.stores.cached import CachedStore
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.stores.shelf import Shelf
from wheelhouse.index.stores.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wheelhouse.index.model import Sha256

SPAM = canonicalize_name("spam")
DATA = b"0123456789" * 100


@dataclass(frozen=True, slots=True)
class Elsewhere(WrappedStore):
    """A store on another machine, which can be switched off."""

    off: list[bool] = field(default_factory=list)
    asked: list[Sha256] = field(default_factory=list)

    def around(self) -> AbstractContextManager[None]:
        if self.off:
            raise StoreUnavailableError("off")
        return WrappedStore.around(self)

    def local_path(self, sha256: Sha256) -> Path | None:
        return None

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.asked.append(sha256)
        yield from WrappedStore.open_range(self, sha256, start, end)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    store = FolderStore.open(tmp_path / "store")
    store.put_bytes(DATA, sha256(DATA))
    store.swap_manifest(Manifest(name=SPAM))
    return Elsewhere(store)


@pytest.fixture
def cached(elsewhere: Elsewhere, tmp_path: Path) -> CachedStore:
    return CachedStore.open(elsewhere, tmp_path / "cache", shelf=Shelf.open(tmp_path / "shelf", budget=10_000))


def test_blob__read_whole__is_kept_and_read_without_the_store(cached: CachedStore, elsewhere: Elsewhere) -> None:
    assert b"".join(cached.open_range(sha256(DATA))) == DATA
    elsewhere.off.append(True)
    assert b"".join(cached.open_range(sha256(DATA))) == DATA
    assert b"".join(cached.open_range(sha256(DATA), 5, 12)) == DATA[5:12]
    assert (path := cached.local_path(sha256(DATA))) is not None
    assert path.read_bytes() == DATA
    assert (blob := cached.find_blob(sha256(DATA))) is not None
    assert blob.size == len(DATA)
    assert len(elsewhere.asked) == 1


@pytest.mark.parametrize(("start", "end"), [(0, 10), (5, 20), (900, None)])
def test_blob__read_in_part__is_right_and_not_kept(cached: CachedStore, start: int, end: int | None) -> None:
    assert b"".join(cached.open_range(sha256(DATA), start, end)) == DATA[start:end]
    assert cached.local_path(sha256(DATA)) is None


def test_blob__larger_than_the_shelf__is_read_all_the_same(elsewhere: Elsewhere, tmp_path: Path) -> None:
    cached = CachedStore.open(elsewhere, tmp_path / "cache", shelf=Shelf.open(tmp_path / "shelf", budget=10))
    assert b"".join(cached.open_range(sha256(DATA))) == DATA
    assert cached.local_path(sha256(DATA)) is None


def test_manifest__store_off__is_the_last_that_was_read(cached: CachedStore, elsewhere: Elsewhere) -> None:
    manifest = cached.read_manifest(SPAM)
    listed = cached.projects()
    elsewhere.off.append(True)
    assert cached.read_manifest(SPAM) == manifest
    assert cached.mark(SPAM) == "kept-1"
    assert cached.projects() == listed
    for ask in (cached.read_manifest, cached.mark):
        with pytest.raises(StoreUnavailableError):
            ask(canonicalize_name("unknown"))


def test_manifest__older_than_what_is_kept__is_not_kept(cached: CachedStore) -> None:
    newer = Manifest(name=SPAM, generation=12)
    cached.keep_manifest(newer)
    cached.keep_manifest(Manifest(name=SPAM, generation=9))
    assert cached.last_manifest(SPAM) == newer


def test_manifest__damaged_in_the_cache__is_as_if_it_were_not_kept(cached: CachedStore, tmp_path: Path) -> None:
    cached.read_manifest(SPAM)
    (tmp_path / "cache" / "spam.json").write_bytes(b"1\n{")
    assert cached.last_manifest(SPAM) is None
