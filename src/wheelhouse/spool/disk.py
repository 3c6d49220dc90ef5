"""What durable writing is made of: a lock that ends with its process, and names that are on the disk."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


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


def write_all(handle: int, data: bytes | bytearray) -> None:
    """Write bytes to a file, to the last one."""
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
