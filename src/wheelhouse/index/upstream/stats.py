"""What a mirror counts, for metrics and for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from wheelhouse.index.stores.shelf import ShelfStats


@dataclass(slots=True, kw_only=True)
class Counters:
    """Goes up only, from the start of the process."""

    page_hits: int = 0
    """Pages that were fresh enough to be used without asking."""
    page_misses: int = 0
    """Pages that were fetched."""
    page_revalidated: int = 0
    """Pages that upstream said have not changed."""
    page_stale: int = 0
    """Times that an old page was used because upstream did not answer well, or not in time."""
    file_hits: int = 0
    file_misses: int = 0
    """Files that were fetched."""
    file_shared: int = 0
    """Askers that read along with a fetch that another began."""
    file_wrong: int = 0
    """Files that were not what upstream's page says, and were not kept."""
    bytes_fetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamState:
    """How an upstream does."""

    up: bool
    since: datetime | None
    """UTC; None: it was not asked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorStats:
    """How a mirror does; a snapshot."""

    counted: Counters
    """A copy."""
    fetching: int
    """Files on their way now."""
    shelf: ShelfStats
    offline: bool
    """Nothing is asked, by configuration."""
    upstreams: Mapping[str, UpstreamState] = field(default_factory=dict)
    """By address, without credentials."""
