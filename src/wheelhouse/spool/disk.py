"""What durable writing is made of: a lock that ends with its process, names on the disk, many files at once."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import sys
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANY = 16
"""From so many files or folders on, one wait for a file system is shorter than one for each of them."""
_TELLS_OF_ERRORS = (5, 8)
"""Of Linux: syncfs(2)."""


class Locked:
    """Keep all others, threads and processes, out of a block that asks for the same file. It is made, and stays."""

    __slots__ = ("_handle", "_path")

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> Self:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def sync_folder(folder: Path | str) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_file_system(folder: Path | str, many: int) -> Iterator[Callable[[], bool]]:
    """Give what brings all that is done in the block to the disk at once, whatever and wherever it is (syncfs).

    It returns False where it is not to be had or not worth it: for fewer than MANY things. It also waits for what
    others have written to that file system.
    """
    call = _syncfs() if many >= MANY else None
    if call is None:
        yield lambda: False
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # now: errors since then are told

    def sync() -> bool:
        call(handle)
        return True

    try:
        yield sync
    finally:
        os.close(handle)


@lru_cache(maxsize=1)
def _syncfs() -> Callable[[int], None] | None:
    """Return the call, which Python does not have; None: not this system's, or it would keep errors to itself."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if sys.platform != "linux" or release is None or tuple(map(int, release.groups())) < _TELLS_OF_ERRORS:
        return None
    library = ctypes.CDLL(None, use_errno=True)

    def call(handle: int) -> None:
        if library.syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return call if hasattr(library, "syncfs") else None


def write_all(handle: int, data: bytes | bytearray) -> None:
    """Write bytes to a file, to the last one."""
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
