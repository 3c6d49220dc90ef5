"""A plan in, one record a job out: this machine's processors, kept busy by a queue of ready jobs.

No rounds: a job starts as soon as what it depends on is finished and there is room. One failure stops only what
depends on it.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse.record import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wheelhouse.plan import Plan, Planned
    from wheelhouse.process import Processes
    from wheelhouse.record import Record

    #: Carries out one job, given the records of the jobs it depends on.
    Worker = Callable[[Planned, Sequence[Record]], Record]

#: What a job is taken to need when its recipe does not say (bytes).
_USUAL_MEMORY = 10**9
_TICK = 0.2
#: Seconds that jobs have to end in once the run is stopped; what they leave behind is cleared away by the next run.
_GRACE = 15.0


def default_width(entries: Sequence[Planned]) -> int:
    """Return how many jobs to run at once: one more than processors, fewer where memory would not do.

    A job waits too: for the disk, an index, a container that starts. The one more works meanwhile, as with ninja.
    """
    import psutil  # noqa: PLC0415 - start-up time

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    largest = max([_USUAL_MEMORY, *(entry.job.memory for entry in entries)])
    return max(1, min(processors + 1, int(psutil.virtual_memory().available // largest)))


@dataclass(slots=True)
class _State:
    """What is left to do, in one place, under one lock."""

    waiting: dict[str, Planned]
    missing: dict[str, set[str]]
    """Ids that a waiting job waits for."""
    records: dict[str, Record] = field(default_factory=dict)
    running: int = 0


def run(
    plan: Plan,
    worker: Worker,
    *,
    width: int,
    processes: Processes,
    reused: Callable[[Planned], Record],
    finished: Callable[[Planned, Record], None],
) -> dict[str, Record]:
    """Carry out every job of the plan that is to be built, and return the records of all that could be.

    `reused` gives the record of a job whose result is there; `finished` is told each record, in this thread.
    KeyboardInterrupt in the calling thread ends all running jobs and comes out again when they have ended.
    """
    ready: queue.SimpleQueue[Planned | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Planned, Record | BaseException]] = queue.SimpleQueue()
    state = _State(waiting={}, missing={})
    for entry in plan.having("reuse"):
        state.records[entry.job.id] = reused(entry)
        finished(entry, state.records[entry.job.id])
    for entry in plan.having("build"):
        missing = {id_ for id_ in entry.depends if id_ not in state.records}
        if missing:
            state.waiting[entry.job.id] = entry
            state.missing[entry.job.id] = missing
        else:
            state.running += 1
            ready.put(entry)
    threads = [
        threading.Thread(target=_work, args=(ready, done, worker, state), name=f"job-{number}", daemon=True)
        for number in range(min(width, state.running + len(state.waiting)))
    ]
    for thread in threads:
        thread.start()
    try:
        while state.running:
            _settle(_next(done), state, ready, finished)
    except BaseException:
        processes.cancel()
        _join(threads, ready, patience=_GRACE)
        raise
    _join(threads, ready, patience=None)
    return state.records


def _join(
    threads: Sequence[threading.Thread], ready: queue.SimpleQueue[Planned | None], *, patience: float | None
) -> None:
    """Let the threads end, for `patience` seconds at most: one may hang on a server that says nothing."""
    for _ in threads:
        ready.put(None)
    deadline = None if patience is None else time.monotonic() + patience
    for thread in threads:
        thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))


def _work(
    ready: queue.SimpleQueue[Planned | None],
    done: queue.SimpleQueue[tuple[Planned, Record | BaseException]],
    worker: Worker,
    state: _State,
) -> None:
    while (entry := ready.get()) is not None:
        try:
            done.put((entry, worker(entry, [state.records[id_] for id_ in entry.depends])))
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
            done.put((entry, error))


def _next(
    done: queue.SimpleQueue[tuple[Planned, Record | BaseException]],
) -> tuple[Planned, Record]:
    """Wait for a job to end. Wakes up now and then, so that a signal is seen on every platform."""
    while True:
        try:
            entry, outcome = done.get(timeout=_TICK)
        except queue.Empty:
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        return entry, outcome


def _settle(
    ended: tuple[Planned, Record],
    state: _State,
    ready: queue.SimpleQueue[Planned | None],
    finished: Callable[[Planned, Record], None],
) -> None:
    entry, record = ended
    state.running -= 1
    state.records[entry.job.id] = record
    finished(entry, record)
    for id_ in [id_ for id_, missing in state.missing.items() if entry.job.id in missing]:
        dependent = state.waiting.get(id_)
        if dependent is None:
            continue
        if record.status == "failed":
            del state.waiting[id_], state.missing[id_]
            state.running += 1  # it ends at once, by the same way as every other
            _settle((dependent, _not_attempted(dependent, record)), state, ready, finished)
            continue
        state.missing[id_].discard(entry.job.id)
        if not state.missing[id_]:
            del state.waiting[id_], state.missing[id_]
            state.running += 1
            ready.put(dependent)


def _not_attempted(entry: Planned, failed: Record) -> Record:
    cause = Cause(kind="dependency", message=f"not attempted: {failed.job} failed")
    return entry.failed(started=datetime.now(UTC), seconds=0.0).model_copy(update={"cause": cause})
