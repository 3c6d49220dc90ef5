"""A folder in; a name for this user of the spool out, of which others can tell whether its process still lives.

The name is a file with a lock on it. The kernel drops the lock when the process ends, `kill -9` included, so nothing
has to be guessed from process numbers, which are used again.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from wheelhouse.spool.disk import Locked

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".owner"


class Owner:
    """One open spool."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._folder = folder
        self._path = folder / f"{self.name}{_SUFFIX}"
        with alone(folder):  # nobody sees the file before it is locked
            self._handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def alive(self, name: str) -> bool:
        """Say whether an owner's process still has the spool open."""
        if name == self.name:
            return True
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def dead(self) -> tuple[str, ...]:
        """Return the owners whose process ended without saying so."""
        with alone(self._folder):
            names = [path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}")]
            return tuple(name for name in names if not self.alive(name))

    def bury(self, name: str) -> None:
        """Remove what a dead owner left of itself."""
        (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def close(self) -> None:
        """Take the name off: what was leased under it is free."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._handle)


def alone(folder: Path) -> Locked:
    """Keep other processes and threads that ask for the same out of a block."""
    return Locked(f"{folder}/.lock")
