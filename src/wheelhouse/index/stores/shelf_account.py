"""How many files and bytes a shelf has, over processes and crashes; and which of them go when room is needed."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from wheelhouse.index.model import is_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE_NAME = "account"
KEPT = "kept"
#: Length of the names of the folders that files are in: the first digits of their hashes.
PREFIX = 3
#: Room is made for a little more than is needed, or a full shelf would be looked through at each arrival.
_SPARE = 0.05
_BYTES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What there is."""

    files: int = 0
    size: int = 0
    """Bytes."""
    evicted: int = 0
    """Files, since the shelf was made."""


@dataclass(frozen=True, slots=True)
class _Stored:
    used: float
    size: int
    path: str
    sha256: str


class Account:
    """Counts files and bytes. Whoever holds it is alone with the shelf, among threads and processes.

    It is written before a file comes and after it went: a process that is killed leaves a count that is too high,
    never one that is too low, and the next count mends it.
    """

    def __init__(self, root: Path, handle: int) -> None:
        self._root = root
        self._handle = handle
        counted = _parse(os.pread(handle, _BYTES, 0))
        self.count = counted or Count()
        if counted is None:
            self.recount()

    @classmethod
    @contextmanager
    def held(cls, root: Path) -> Iterator[Account]:
        """Hold the account of the shelf in a folder."""
        handle = os.open(root / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield cls(root, handle)
        finally:
            os.close(handle)

    def add(self, *, files: int, size: int) -> None:
        """Note that files came, or went."""
        self._note(Count(files=self.count.files + files, size=self.count.size + size, evicted=self.count.evicted))

    def recount(self) -> None:
        """Look what there is."""
        sizes = [stored.size for stored in self._stored()]
        self._note(Count(files=len(sizes), size=sum(sizes), evicted=self.count.evicted))

    def make_room(self, needed: int, budget: int) -> bool:
        """Evict until so many bytes more fit, and a little more than that; say whether they do. Else nothing goes."""
        self.recount()
        if self.count.size + needed <= budget:
            return True
        loose = self._loose()
        if self.count.size - sum(stored.size for stored in loose) + needed > budget:
            return False
        self._evict(loose, budget - needed - int(budget * _SPARE))
        return True

    def shrink(self, budget: int) -> None:
        """Evict what is more than the budget, as far as it may go."""
        if self.count.size > budget:
            self._evict(self._loose(), budget)

    def _evict(self, loose: Sequence[_Stored], target: int) -> None:
        files, size = 0, 0
        for stored in loose:
            if self.count.size - size <= max(target, 0):
                break
            with suppress(FileNotFoundError):
                os.unlink(stored.path)  # noqa: PTH108 - a text
            files, size = files + 1, size + stored.size
        count = self.count
        self._note(Count(files=count.files - files, size=count.size - size, evicted=count.evicted + files))

    def _loose(self) -> list[_Stored]:
        """Return what may go, the least recently used first."""
        kept = set(os.listdir(self._root / KEPT))  # noqa: PTH208 - names are all that is wanted
        return sorted(
            (stored for stored in self._stored() if stored.sha256 not in kept), key=lambda stored: stored.used
        )

    def _stored(self) -> Iterator[_Stored]:
        with os.scandir(self._root) as folders:
            places = [entry.path for entry in folders if len(entry.name) == PREFIX and entry.is_dir()]
        for place in places:
            with os.scandir(place) as files:
                for entry in files:
                    sha256 = entry.name.partition("-")[0]
                    if is_sha256(sha256):
                        with suppress(FileNotFoundError):
                            stat = entry.stat()
                            yield _Stored(stat.st_atime, stat.st_size, entry.path, sha256)

    def _note(self, count: Count) -> None:
        self.count = count
        text = orjson.dumps([count.files, count.size, count.evicted]).ljust(_BYTES)
        os.pwrite(self._handle, text, 0)


def read_count(root: Path) -> Count:
    """Return what there was a moment ago."""
    return _parse((root / FILE_NAME).read_bytes()) or Count()


def _parse(data: bytes) -> Count | None:
    try:
        files, size, evicted = orjson.loads(data)
        return Count(files=int(files), size=int(size), evicted=int(evicted))
    except (ValueError, TypeError):
        return None
