"""What a run asks of its minions, and where what comes of it goes: what the dispatcher is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wheelhouse.joblog import Observer
    from wheelhouse.plan import Planned
    from wheelhouse.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a run asks of its minions, the same for all jobs."""

    run: str
    """Name of the run, with which its tickets begin."""
    expression: str
    """Which minions to look for (Salt's compound matcher)."""
    publish: str
    """Address that wheels are uploaded to."""
    bundle: Callable[[Planned], str]
    force: bool = False
    upgrade: bool = False
    width: int | None = None
    """Jobs at once, on all minions together; None: as many as they can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the records go, and who is told."""

    observer: Observer
    begin: Callable[[str], object]
    """Begins the log of a job (an id) anew."""
    keep: Callable[[Record, str], None]
    """Keeps a record and the end of its log."""
    reused: Callable[[Planned], Record]
    finished: Callable[[Planned, Record], None]
    recorded: Callable[[str], Record | None]
    """Asks the index for the record of a job (an id)."""
    tell: Callable[[str], None]
    """Tells people what became of minions."""
