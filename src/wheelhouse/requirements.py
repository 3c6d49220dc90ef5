"""Build requirements in, a folder of hashed wheels out: resolved once on the host, and the build's only index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
