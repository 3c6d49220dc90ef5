"""Build requirements as resolved: what is remembered of them, and what they contribute to a build key."""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Raised when locks are made otherwise, so that what an older wheelhouse remembered is resolved anew.
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One build requirement as resolved."""

    name: str
    version: str
    filename: str
    sha256: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Build requirements as resolved for one target; sticky until `--upgrade-requirements` asks anew."""

    pins: tuple[Pin, ...]

    def inputs(self) -> Mapping[str, str]:
        """Return what the build requirements contribute to the build key."""
        return {f"requirement.{pin.name}": f"{pin.version} sha256:{pin.sha256}" for pin in self.pins}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The wheels of a lock, in a folder that `--find-links` takes."""

    lock: Lock
    folder: Path


def write_lock(path: Path, lock: Lock, *, question: Mapping[str, object], index: str) -> None:
    """Keep a lock, with the question that it answers and the index that was asked (without secrets), for people."""
    table = {"format": _FORMAT, "index": index, "question": question, "pins": [asdict(pin) for pin in lock.pins]}
    write_atomically(path, json.dumps(table, indent=1).encode() + b"\n")


def read_lock(path: Path, *, index: str | None) -> Lock | None:
    """Read a lock; None where there is none, or where another index than `index` (None: any) answered."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        asked, lock = _parsed(path, path.stat().st_mtime_ns)
        if index in {None, asked}:
            return lock
    return None


@functools.lru_cache(4096)  # a plan reads the same few locks thousands of times
def _parsed(path: Path, _changed: int) -> tuple[str, Lock]:
    table = json.loads(path.read_bytes())
    if table["format"] != _FORMAT:
        raise ValueError(table["format"])
    return str(table["index"]), Lock(pins=tuple(Pin(**pin) for pin in table["pins"]))
