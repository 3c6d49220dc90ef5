"""Pages of upstreams on disk, one file a project: a line that says what is known of it, then the page, packed.

A cache: nothing is flushed, and a file that is not whole is none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic
import zstandard
from packaging.utils import NormalizedName, is_normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIX = ".page"
_UNFINISHED = ".new-"
_LEVEL = 1


class Kept(pydantic.BaseModel):
    """What is known of a page without reading it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    upstream: str
    """Address of the upstream that it is from."""
    url: str
    etag: str | None
    modified: str | None
    digest: str
    """Of the page: another one means that something has changed."""
    size: int
    """Bytes, unpacked."""
    asked: float
    """When upstream last said so; seconds since 1970."""
    fresh_for: float
    """Seconds."""


class PageFolder:
    """The folder. Safe with several threads and processes: a page is there whole, the old one or the new."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, project: NormalizedName) -> Kept | None:
        """Return what is known of a project's page; None: there is none."""
        with suppress(FileNotFoundError, ValueError), self._path(project).open("rb") as file:
            return Kept.model_validate_json(file.readline())
        return None

    def read(self, project: NormalizedName) -> tuple[Kept, bytes] | None:
        """Return a project's page; None: there is none that is whole."""
        try:
            line, _, packed = self._path(project).read_bytes().partition(b"\n")
            kept = Kept.model_validate_json(line)
            body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=kept.size)
        except (FileNotFoundError, ValueError, zstandard.ZstdError):
            return None
        return (kept, body) if digest_of(body) == kept.digest else None

    def write(self, project: NormalizedName, kept: Kept, body: bytes) -> None:
        """Keep a project's page in place of the one before it."""
        path = self._path(project)
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([kept.model_dump_json().encode(), b"\n", packed])
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def remove(self, project: NormalizedName) -> None:
        """Forget a project's page, if there is one."""
        self._path(project).unlink(missing_ok=True)

    def projects(self) -> Iterator[NormalizedName]:
        """Yield the projects whose pages are here, in no order."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._root):  # noqa: PTH208 - names alone, and there can be many
                project = name.removesuffix(_SUFFIX)
                if name.endswith(_SUFFIX) and is_normalized_name(project):
                    yield NormalizedName(project)

    def sweep(self) -> None:
        """Remove what a crash left half-written; called once, at the start, as others may be at work later."""
        for path in self._root.glob(f"{_UNFINISHED}*"):
            path.unlink(missing_ok=True)

    def _path(self, project: NormalizedName) -> Path:
        return self._root / f"{project}{_SUFFIX}"


def digest_of(body: bytes) -> str:
    """Return what a page is known by."""
    return hashlib.sha256(body).hexdigest()
