"""A plan in, one record a job out: this machine's processors, kept busy by a queue of ready jobs."""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING

from wheelhouse.farm.ready import ReadyQueue

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
    begun: queue.SimpleQueue[tuple[Planned, Sequence[Record]] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Planned, Record | BaseException]] = queue.SimpleQueue()
    jobs = ReadyQueue(plan, reused=reused, finished=finished)
    threads = [
        threading.Thread(target=_work, args=(begun, done, worker), name=f"job-{number}", daemon=True)
        for number in range(min(width, jobs.left))
    ]
    for thread in threads:
        thread.start()
    try:
        while jobs.left:
            while (entry := jobs.take()) is not None:
                begun.put((entry, [jobs.records[id_] for id_ in entry.depends]))
            jobs.settle(*_next(done))
    except BaseException:
        processes.cancel()
        _join(threads, begun, patience=_GRACE)
        raise
    _join(threads, begun, patience=None)
    return jobs.records


def _join(
    threads: Sequence[threading.Thread],
    begun: queue.SimpleQueue[tuple[Planned, Sequence[Record]] | None],
    *,
    patience: float | None,
) -> None:
    """Let the threads end, for `patience` seconds at most: one may hang on a server that says nothing."""
    for _ in threads:
        begun.put(None)
    deadline = None if patience is None else time.monotonic() + patience
    for thread in threads:
        thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))


def _work(
    begun: queue.SimpleQueue[tuple[Planned, Sequence[Record]] | None],
    done: queue.SimpleQueue[tuple[Planned, Record | BaseException]],
    worker: Worker,
) -> None:
    while (task := begun.get()) is not None:
        entry, dependencies = task
        try:
            done.put((entry, worker(entry, dependencies)))
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
