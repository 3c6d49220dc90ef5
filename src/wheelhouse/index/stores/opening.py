"""The address of a store in, the store out: a folder, or a bucket that speaks S3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.index.stores.store import Store


def open_store(address: str) -> Store:
    """Open a folder (made if it is not there) or a bucket (`s3://bucket/prefix`).

    A bucket's keys, region and endpoint come from the environment, as `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`.
    Raises UsageError, StoreUnavailableError.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        from wheelhouse.index.stores.folder import FolderStore  # noqa: PLC0415 - one of the two is enough

        return FolderStore.open(Path(address).absolute())
    if scheme != "s3":
        raise UsageError(f"{address}: a store is a folder or s3://bucket/prefix", where="store")
    from wheelhouse.index.stores.bucket import BucketStore  # noqa: PLC0415 - likewise; and obstore takes its time to load

    return BucketStore.open(address)
