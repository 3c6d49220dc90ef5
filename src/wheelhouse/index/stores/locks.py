"""A folder of lock files in, locks of names out: many names share a few files, since each lock is held for moments."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from wheelhouse.spool.disk import Locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FILES = 16
_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True, slots=True)
class Locks:
    """Keep threads and processes out of what others do with a name."""

    folder: str

    def of(self, name: str) -> Locked:
        """Return the lock of a name."""
        return Locked(f"{self.folder}/{_number(name):x}")

    def each(self, names: Iterable[_Name]) -> Iterator[_Name]:
        """Yield names, each under its lock: those that share one follow on each other, and take it once."""
        for number, group in groupby(sorted(names, key=_number), key=_number):
            with Locked(f"{self.folder}/{number:x}"):
                yield from group


def _number(name: str) -> int:
    return zlib.crc32(name.encode()) % _FILES
