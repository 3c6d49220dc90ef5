"""What the spool holds, as values: an item, the state that it is in, and how much there is of each."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class State(enum.StrEnum):
    """Where an item stands."""

    WAITING = "waiting"
    """To be delivered; perhaps not before some time, perhaps someone is at it."""
    ASIDE = "set-aside"
    """Refused for good: somebody has to look. It holds up nothing."""
    DONE = "done"
    """Delivered. Its bytes are about to be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One delivery that was promised."""

    id: int
    """In the order of acceptance."""
    sha256: str
    size: int
    path: Path
    """Its bytes. Nobody writes to them."""
    target: str
    """Where it is to go; the spool only compares it."""
    name: str
    """What it is called there: a filename."""
    order_key: str
    """Items of one target and key are delivered in order, one at a time: a project."""
    fields: Mapping[str, str]
    """What else whoever delivers needs to know. No secrets: they would lie on disk."""
    accepted: float
    """Seconds since the epoch, as all times here."""
    state: State
    attempts: int = 0
    """How often delivering it failed."""
    not_before: float = 0
    """When it may be tried again."""
    verdict: str | None = None
    """What was said when it failed last."""
    leased_until: float | None = None
    """Somebody is delivering it, and has so long."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {**asdict(self), "path": str(self.path), "state": str(self.state), "fields": dict(self.fields)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How much there is."""

    waiting: int
    leased: int
    """Of those waiting: being delivered right now."""
    aside: int
    size: int
    """Bytes on disk, whatever their state."""
    limit: int
    """Bytes that may be there."""
    oldest: float | None
    """When the oldest waiting item was accepted."""
