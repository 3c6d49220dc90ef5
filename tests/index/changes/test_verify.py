from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import WHEEL, an_arrival, sha256
from wheelhouse.errors import StoreDamagedError
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.changes.verify import collect_garbage, verify
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.stores.store import Store

SPAM = canonicalize_name("spam")
METADATA = b"Name: spam\n"


def tomorrow() -> datetime:
    return datetime.now(tz=UTC) + timedelta(days=1, minutes=1)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    store = FolderStore.open(tmp_path / "store")
    Repository(store=store).add_file(*an_arrival(tmp_path, metadata=METADATA))
    return store


def damages(store: Store) -> list[str]:
    return [f"{damage.filename}: {damage.message}" for account in verify(store) for damage in account.damages]


def test_verify__whole_store__reads_every_byte(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    repository.add_file(*an_arrival(tmp_path, metadata=METADATA))
    repository.add_file(*an_arrival(tmp_path, "ham-1.0.tar.gz", b"ham", metadata=None))
    found = [(account.project, account.files, account.size) for account in verify(store)]
    assert found == [("ham", 1, 3), ("spam", 1, 4 + len(METADATA))]
    assert damages(store) == []


@pytest.mark.parametrize(
    ("blob", "data", "message"),
    [
        (b"spam", None, f"{WHEEL}: its bytes are not in the store"),
        (b"spam", b"spa", f"{WHEEL}: 3 bytes long, not 4"),
        (b"spam", b"spat", f"{WHEEL}: its bytes have sha256 {sha256(b'spat')}, not {sha256(b'spam')}"),
        (METADATA, None, f"{WHEEL}: metadata: its bytes are not in the store"),
        (METADATA, b"", f"{WHEEL}: metadata: its bytes have sha256 {sha256(b'')}, not {sha256(METADATA)}"),
    ],
)
def test_verify__bytes_are_not_as_promised__is_told(
    folder: FolderStore, blob: bytes, data: bytes | None, message: str
) -> None:
    path = folder.local_path(sha256(blob))
    assert path is not None
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert damages(folder) == [message]


def test_verify__manifest_is_torn__goes_on_with_the_others(folder: FolderStore, tmp_path: Path) -> None:
    Repository(store=folder).add_file(*an_arrival(tmp_path, "ham-1.0.tar.gz"))
    (folder.root / "projects" / "ham.json").write_bytes(b"{")
    accounts = {account.project: account for account in verify(folder)}
    assert [damage.filename for damage in accounts[canonicalize_name("ham")].damages] == [None]
    assert accounts[SPAM].damages == ()


def test_garbage__orphan_that_is_old__goes(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    new, source = an_arrival(tmp_path, metadata=METADATA)
    repository.add_file(new, source)
    store.put_bytes(b"orphan", sha256(b"orphan"))
    planned = collect_garbage(store, now=tomorrow(), dry_run=True)
    assert (planned.blobs, planned.size) == (1, 6)
    assert store.find_blob(sha256(b"orphan"))
    done = collect_garbage(store, now=tomorrow())
    assert (done.blobs, done.size) == (1, 6)
    assert {blob.sha256 for blob in store.blobs()} == {new.sha256, sha256(METADATA)}
    assert damages(store) == []


def test_garbage__orphan_that_is_young__stays(folder: FolderStore) -> None:
    folder.put_bytes(b"orphan", sha256(b"orphan"))
    assert collect_garbage(folder, now=datetime.now(tz=UTC)).blobs == 0
    assert folder.find_blob(sha256(b"orphan"))


def test_garbage__bytes_of_a_deleted_file__go(folder: FolderStore) -> None:
    Repository(store=folder).delete(SPAM, WHEEL)
    assert collect_garbage(folder, now=tomorrow()).blobs == 2
    assert list(folder.blobs()) == []


def test_garbage__one_manifest_cannot_be_read__removes_nothing(folder: FolderStore) -> None:
    folder.put_bytes(b"orphan", sha256(b"orphan"))
    (folder.root / "projects" / "ham.json").write_bytes(b"{")
    with pytest.raises(StoreDamagedError):
        collect_garbage(folder, now=tomorrow())
    assert len(list(folder.blobs())) == 3
