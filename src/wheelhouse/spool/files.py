"""Bytes in, a file by their sha256 out that survives a power cut.

A file gets its name only when its bytes are on the disk; the caller, who holds the journal's lock, decides when.
"""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from wheelhouse.spool.disk import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

_CHUNK = 1 << 20
#: Where hard links end: another file system, one without links, a file with too many, or one that is not ours.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Bytes that are safely on disk, with no name yet."""

    path: Path
    sha256: str
    size: int


class Files:
    """The bytes of a spool. Names are sha256, so no two writers can disagree."""

    def __init__(self, folder: Path, *, owner: str) -> None:
        self._folder = folder / "files"
        self._incoming = folder / "incoming"
        self._owner = owner
        for path in (self._folder, self._incoming):
            path.mkdir(exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Return where such bytes are, if they are there."""
        return self._folder / sha256

    def receive(self, source: Path | BinaryIO, *, check: Callable[[int], None]) -> Arrived:
        """Bring bytes to the disk: by a hard link where the file system allows, else by copying.

        `check` is told how many bytes there are so far, and raises where that is too many.
        """
        path = self._incoming / f"{self._owner}-{uuid.uuid4().hex}"
        try:
            if not isinstance(source, Path):
                return _copy(source, path, check)
            check(source.stat().st_size)
            if _link(source, path):
                return _settle(path)
            with source.open("rb") as stream:
                return _copy(stream, path, check)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file that is removed when the context ends, or by `sweep`."""
        path = self._incoming / f"{self._owner}-{uuid.uuid4().hex}"
        try:
            with path.open("x+b") as file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def place(self, arrived: Arrived) -> None:
        """Give bytes their name, durably."""
        arrived.path.replace(self.path(arrived.sha256))
        # Renaming a link to a file that has the name already does nothing and leaves both (POSIX rename).
        arrived.path.unlink(missing_ok=True)
        sync_folder(self._folder)

    def drop(self, arrived: Arrived) -> None:
        """Remove bytes that were not placed."""
        arrived.path.unlink(missing_ok=True)

    def remove(self, sha256: str) -> None:
        """Remove bytes that nobody waits for."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Yield the sha256 of all that is there."""
        yield from sorted(path.name for path in self._folder.iterdir())

    def keep_only(self, known: AbstractSet[str]) -> tuple[str, ...]:
        """Remove all that is not known, and return what that was."""
        unknown = tuple(name for name in self.names() if name not in known)
        for name in unknown:
            self.remove(name)
        return unknown

    def intact(self, sha256: str) -> bool:
        """Say whether the bytes are there and are those of their name."""
        with suppress(FileNotFoundError), self.path(sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        return False

    def sweep(self, owner: str) -> None:
        """Remove what an owner that is no more had begun to receive."""
        for path in self._incoming.glob(f"{owner}-*"):
            path.unlink(missing_ok=True)


def _link(source: Path, path: Path) -> bool:
    try:
        # A link to a link would follow its target's changes of name.
        os.link(source.resolve(strict=True), path)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _settle(path: Path) -> Arrived:
    """Read linked bytes, and bring them to the disk: who wrote them may not have."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return Arrived(path=path, sha256=digest, size=file.tell())


def _copy(stream: BinaryIO, path: Path, check: Callable[[int], None]) -> Arrived:
    digest = hashlib.sha256()
    with path.open("xb") as file:
        while chunk := stream.read(_CHUNK):
            check(file.tell() + len(chunk))
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return Arrived(path=path, sha256=digest.hexdigest(), size=file.tell())
