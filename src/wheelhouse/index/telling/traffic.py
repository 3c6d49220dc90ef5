"""Answers in, counts of them out, for the metrics: by kind of route and by status. Costs a microsecond an answer.

Whole numbers in a dictionary, on the server's one thread; what Prometheus wants is made of them when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["page", "file", "upload", "json", "manage", "operations", "web"]

#: Upper ends of the histogram's classes, in seconds. A page takes a tenth of a millisecond, an upload its time.
BOUNDS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_OPERATIONS = {"/health", "/ready", "/metrics"}


@dataclass(slots=True)
class Tally:
    """What was answered in one way."""

    answers: int = 0
    size: int = 0
    """Bytes of bodies."""
    seconds: float = 0.0
    classes: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Answers by their time, each in one class; the last is of those above all bounds."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts since the start of this process."""

    answers: dict[tuple[Kind, int], Tally] = field(default_factory=dict)
    deeds: dict[tuple[str, str], int] = field(default_factory=dict)
    """Uploads and other changes, by action and outcome as the audit log has them."""

    def add(self, kind: Kind, status: int, *, size: int, seconds: float) -> None:
        """Count an answer; `seconds` is the time until the last of it was handed to the server."""
        tally = self.answers.get((kind, status))
        if tally is None:
            tally = self.answers[kind, status] = Tally()
        tally.answers += 1
        tally.size += size
        tally.seconds += seconds
        tally.classes[bisect_left(BOUNDS, seconds)] += 1

    def add_deed(self, action: str, outcome: str) -> None:
        """Count what was done, or was tried."""
        self.deeds[action, outcome] = self.deeds.get((action, outcome), 0) + 1


def kind_of(path: str) -> Kind:
    """Return the kind of route that a path leads to. Few: each is a series of numbers for ever."""
    if path.startswith("/simple"):
        return "page"
    if path.startswith("/files/"):
        return "file"
    if path.startswith("/legacy"):
        return "upload"
    if path.startswith("/pypi/"):
        return "json"
    if path.startswith("/_/"):
        return "upload" if "/legacy" in path else "manage"
    return "operations" if path in _OPERATIONS else "web"
