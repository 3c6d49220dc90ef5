from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buckets import bucket_environment, bucket_server
from wheelhouse.index.stores.bucket import BucketStore
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.index.stores.store import Store


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Give each kind of store, empty."""
    if request.param == "folder":
        yield FolderStore.open(tmp_path / "store")
        return
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    with bucket_server(tmp_path / "buckets") as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        yield BucketStore.open("s3://wheels/below")
