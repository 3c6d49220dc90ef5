"""What waits in the spool in; the store, as soon as it answers again, has it.

One thread, which is there only while there is something to deliver or to wait for. It alone asks for a store that is
down; several projects are delivered at once, each in order.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import IndexRefusesError, StoreUnavailableError, WheelhouseError
from wheelhouse.index.pending import TARGET, from_item

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wheelhouse.index.guarded import GuardedStore
    from wheelhouse.index.repository import NewFile, Repository
    from wheelhouse.index.waiting import Waiting
    from wheelhouse.index.wheelfile import Bounds
    from wheelhouse.spool import Backoff, Item, Spool

LOG = logging.getLogger("wheelhouse.index")
WORKERS = 4
BATCH = 100
"""Files of one project that one swap of its manifest publishes."""
AT_ONCE = 8
"""Files of a batch on their way: what it helps against is the way to a store elsewhere and back."""
_PAUSE = 0.2
"""Seconds between two looks at a spool in which something waits that is not due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Brings items of the spool into a repository."""

    repository: Repository
    spool: Spool
    waiting: Waiting
    bounds: Bounds

    def deliver(self) -> int:
        """Deliver what is due, one batch of one project; return how many items were settled."""
        first = self.spool.lease(target=TARGET)
        if first is None:
            return 0
        items = [first, *self.spool.lease_behind(first, most=BATCH - 1)]
        try:
            self.repository.add_files([self._arrival(item) for item in items], at_once=AT_ONCE)
        except (WheelhouseError, OSError, ValueError, KeyError):
            return self._one_by_one(items)
        self._settled(items)
        return len(items)

    def _one_by_one(self, items: Sequence[Item]) -> int:
        """Find out which item is to blame; behind one that has to wait, all wait."""
        settled = 0
        for number, item in enumerate(items):
            try:
                self.repository.add_files([self._arrival(item)])
            except (IndexRefusesError, ValueError, KeyError) as error:
                LOG.error("%s was acknowledged, and cannot be published: %s", item.name, error)  # noqa: TRY400 - told whole
                self.spool.set_aside(item, str(error))
                self.waiting.remove([item])
            except (WheelhouseError, OSError) as error:
                for late in items[number:]:
                    self.spool.retry_later(late, str(error), outage=isinstance(error, StoreUnavailableError))
                return settled
            else:
                self._settled([item])
            settled += 1
        return settled

    def _settled(self, items: Sequence[Item]) -> None:
        self.spool.done(*items)
        self.waiting.remove(items)
        for item in items:
            LOG.info("%s is in the store now", item.name)

    def _arrival(self, item: Item) -> tuple[NewFile, Path]:
        if not self.spool.files.intact(item.sha256):
            raise ValueError("its bytes in the spool are damaged or missing")
        return from_item(item).arrival(self.bounds)


class Replay:
    """The thread. `wake` is called whenever there may be something to do; it costs nothing where there is not."""

    def __init__(self, delivery: Delivery, store: GuardedStore, *, backoff: Backoff) -> None:
        self._delivery = delivery
        self._store = store
        self._backoff = backoff
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """See that the thread is there."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread, after what it is delivering now."""
        self._closed.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                if self._idle():
                    return
                failures = 0 if self._try() else failures + 1
            except Exception:
                LOG.exception("the spool cannot be delivered")
                failures += 1
            self._closed.wait(self._backoff.seconds(failures) if failures else _PAUSE)

    def _idle(self) -> bool:
        """Say whether there is nothing to do; then the thread has ended, as far as `wake` sees."""
        with self._lock:
            waiting = self._delivery.waiting
            waiting.refresh()
            if waiting.projects() or self._store.outage.since is not None:
                return False
            self._thread = None
            return True

    def _try(self) -> bool:
        """Deliver what is due if the store answers; say whether it did."""
        if self._store.outage.since is not None:
            if not self._store.probe():
                return False
            LOG.info("the store is back")
            self._delivery.spool.hurry(TARGET)
        self._drain()
        return self._store.outage.since is None

    def _drain(self) -> None:
        """Deliver until nothing is due."""
        with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="replay") as pool:
            for worker in [
                pool.submit(self._work) for _ in range(min(WORKERS, len(self._delivery.waiting.projects())))
            ]:
                worker.result()

    def _work(self) -> None:
        while not self._closed.is_set() and self._delivery.deliver():
            pass
