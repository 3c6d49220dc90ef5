from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import an_arrival
from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.changes.repository import Added
from wheelhouse.index.changes.wheelfile import Bounds
from wheelhouse.index.outages.durable import make_durable
from wheelhouse.index.settings import BufferSettings
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.stores.guarded import GuardedStore, Outage

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

SPAM = canonicalize_name("spam")


def test_guarded__store_down__says_so_without_asking_until_it_was_asked_for(tmp_path: Path) -> None:
    begun: list[bool] = []
    store = GuardedStore(FolderStore.open(tmp_path / "store"), Outage(begun=lambda: begun.append(True)))
    assert store.mark(SPAM) is None
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailableError):
        store.mark(SPAM)
    (tmp_path / "away").rename(tmp_path / "store")

    with pytest.raises(StoreUnavailableError, match="no such folder"):
        store.mark(SPAM)
    with pytest.raises(StoreUnavailableError):
        store.staged(SPAM).mark(SPAM)
    assert begun == [True]
    assert store.probe()
    assert store.mark(SPAM) is None


def test_guarded__one_file_cannot_be_read__is_no_outage(tmp_path: Path) -> None:
    class _OneBad(FolderStore):
        __slots__ = ()

        def projects(self) -> dict[NormalizedName, str]:
            raise StoreUnavailableError("this one is bad")

    store = GuardedStore(_OneBad(FolderStore.open(tmp_path).root), Outage())
    with pytest.raises(StoreUnavailableError, match="this one"):
        store.projects()
    assert store.outage.since is None
    assert store.mark(SPAM) is None


def test_durable__folder_gone_and_back__file_is_published_with_its_time_of_upload(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    settings = BufferSettings(spool=tmp_path / "spool", spool_bytes=10**6, cache=tmp_path / "cache", cache_bytes=10**6)
    durable = make_durable(store, settings, elsewhere=False, bounds=Bounds())
    outbox = durable.outbox
    try:
        (tmp_path / "store").rename(tmp_path / "away")
        outcome = outbox.publish(*an_arrival(tmp_path, metadata=None))
        assert isinstance(outcome, Added)
        assert (waiting := durable.reading.read_manifest(SPAM)) is not None
        assert waiting.files == (outcome.file,)

        (tmp_path / "away").rename(tmp_path / "store")
    finally:
        outbox.close()
    durable = make_durable(store, settings, elsewhere=False, bounds=Bounds())
    try:
        while durable.outbox.spool.count("store"):
            pass
        assert (manifest := store.read_manifest(SPAM)) is not None
        assert manifest.files == (outcome.file,)
    finally:
        durable.outbox.close()
