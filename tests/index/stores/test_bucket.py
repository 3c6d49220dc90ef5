from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import sha256
from buckets import bucket_environment, bucket_server
from wheelhouse.errors import StoreUnavailableError, UsageError
from wheelhouse.index.model import Manifest
from wheelhouse.index.stores.bucket import BucketStore
from wheelhouse.index.stores.opening import open_store

if TYPE_CHECKING:
    from pathlib import Path

SPAM = canonicalize_name("spam")


def test_bucket__service_dies_and_returns__errors_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    with bucket_server(tmp_path) as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://wheels")
        assert store.swap_manifest(Manifest(name=SPAM))
    with pytest.raises(StoreUnavailableError):
        store.read_manifest(SPAM)
    with pytest.raises(StoreUnavailableError):
        store.put_bytes(b"spam", sha256(b"spam"))
    with pytest.raises(StoreUnavailableError):
        store.swap_manifest(Manifest(name=SPAM).changed())
    with bucket_server(tmp_path, port=port):
        assert store.swap_manifest(Manifest(name=SPAM).changed())


def test_bucket__service_ignores_conditions__is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    with bucket_server(tmp_path, honours_conditions=False) as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match="If-None-Match"):
            BucketStore.open("s3://wheels")


def test_bucket__no_bucket_in_the_address__is_refused() -> None:
    with pytest.raises(UsageError):
        BucketStore.open("s3://")


def test_bucket__that_is_not_there__is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_server(tmp_path) as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StoreUnavailableError):
            BucketStore.open("s3://there-is-no-such-bucket")
