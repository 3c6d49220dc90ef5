"""A folder in; new files in it out, which nobody looks for until they get another name.

The lock on each tells that somebody is at work on it; it ends with its process, and what is not locked can go.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self

from wheelhouse.spool.disk import write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


@dataclass(slots=True)
class NewFile:
    """A file that is being made."""

    path: str
    handle: int
    _renamed: bool = False

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make one. Raises OSError."""
        while True:
            path = f"{folder}/{secrets.token_hex(16)}"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else a tidying neighbour was faster than our lock
                return cls(path, handle)
            os.close(handle)

    def open(self) -> BinaryIO:
        """Return it as a file."""
        return open(self.path, "r+b", opener=lambda *_: os.dup(self.handle))

    def write(self, data: bytes) -> None:
        """Write all its bytes; they are not on the disk with that."""
        write_all(self.handle, data)

    def rename(self, path: str) -> None:
        """Give it another name, in the place of what has that."""
        os.replace(self.path, path)
        self._renamed = True

    def close(self) -> None:
        """Take its first name off; others stay."""
        os.close(self.handle)
        if not self._renamed:
            with suppress(FileNotFoundError):  # tidied away
                os.unlink(self.path)


@contextmanager
def new_files(folder: Path, texts: Sequence[bytes]) -> Iterator[list[NewFile]]:
    """Write a file of each text; what has no other name at the end is gone. Raises OSError."""
    made: list[NewFile] = []
    try:
        for text in texts:
            made.append(NewFile.make(folder))
            made[-1].write(text)
        yield made
    finally:
        for new in made:
            new.close()


def sync_files(files: Iterable[NewFile]) -> None:
    """Return when their bytes are on the disk."""
    for file in files:
        os.fsync(file.handle)


def tidy(folder: Path) -> int:
    """Remove the files that nobody is at work on; return how many there were."""
    removed = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed += 1
    return removed
