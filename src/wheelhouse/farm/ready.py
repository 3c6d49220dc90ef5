"""A plan in; job by job what may begin now, and what became of each out: no rounds, and nothing begins in vain.

A job is ready as soon as what it depends on is finished. One failure stops only what depends on it. The queue starts
nothing itself: a farm takes from it, and tells it how each job ended.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse.record import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from wheelhouse.plan import Plan, Planned
    from wheelhouse.record import Record


class ReadyQueue:
    """What of a plan is left to do. For one thread."""

    def __init__(
        self,
        plan: Plan,
        *,
        reused: Callable[[Planned], Record],
        finished: Callable[[Planned, Record], None],
    ) -> None:
        """Settle what is there already. `reused` gives its record; `finished` is told each record, once."""
        self.records: dict[str, Record] = {}
        """By id, of all jobs that have ended."""
        self._finished = finished
        self._ready: deque[Planned] = deque()
        self._waiting: dict[str, Planned] = {}
        self._missing: dict[str, set[str]] = {}
        """Ids that a waiting job waits for."""
        self._taken = 0
        for entry in plan.having("reuse"):
            self.records[entry.job.id] = reused(entry)
            finished(entry, self.records[entry.job.id])
        for entry in plan.having("build"):
            missing = {id_ for id_ in entry.depends if id_ not in self.records}
            if missing:
                self._waiting[entry.job.id] = entry
                self._missing[entry.job.id] = missing
            else:
                self._ready.append(entry)

    @property
    def left(self) -> int:
        """How many jobs have not ended."""
        return self._taken + len(self._ready) + len(self._waiting)

    def take(self) -> Planned | None:
        """Return a job that may begin; None: there is none now. It counts as begun until it is settled."""
        if not self._ready:
            return None
        self._taken += 1
        return self._ready.popleft()

    def settle(self, entry: Planned, record: Record) -> None:
        """Note how a job that was taken ended: what waits for it becomes ready, or ends too."""
        self._taken -= 1
        self._end(entry, record)

    def _end(self, entry: Planned, record: Record) -> None:
        self.records[entry.job.id] = record
        self._finished(entry, record)
        for id_ in [id_ for id_, missing in self._missing.items() if entry.job.id in missing]:
            dependent = self._waiting.get(id_)
            if dependent is None:
                continue
            if record.status == "failed":
                del self._waiting[id_], self._missing[id_]
                self._end(dependent, _not_attempted(dependent, record))
                continue
            self._missing[id_].discard(entry.job.id)
            if not self._missing[id_]:
                del self._waiting[id_], self._missing[id_]
                self._ready.append(dependent)


def _not_attempted(entry: Planned, failed: Record) -> Record:
    cause = Cause(kind="dependency", message=f"not attempted: {failed.job} failed")
    return entry.failed(started=datetime.now(UTC), seconds=0.0).model_copy(update={"cause": cause})
