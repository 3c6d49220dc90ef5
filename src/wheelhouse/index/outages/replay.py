"""What waits in a spool in; its target, as soon as it answers again, has it.

One thread, which is there only while there is something to deliver or to wait for. It alone asks for a target that is
down.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wheelhouse.index.stores.guarded import Outage
    from wheelhouse.spool import Backoff

LOG = logging.getLogger("wheelhouse.index")
_PAUSE = 0.2
"""Seconds between two looks at a spool in which something waits that is not due."""


class Delivers(Protocol):
    """Knows how one kind of item is delivered."""

    def waits(self) -> bool:
        """Say whether there is anything to deliver, due or not."""
        ...

    def deliver(self) -> int:
        """Deliver some of what is due; return how many items were settled."""
        ...

    def hurry(self) -> None:
        """Make all that waits due now."""
        ...


class Target(Protocol):
    """What can be down."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        ...

    @property
    def outage(self) -> Outage:
        """What is known of that."""
        ...

    def probe(self) -> bool:
        """Say whether it answers, and begin or end the outage."""
        ...


class Replay:
    """The thread. `wake` is called whenever there may be something to do; it costs nothing where there is not."""

    def __init__(self, delivery: Delivers, target: Target, *, backoff: Backoff) -> None:
        self._delivery = delivery
        self._target = target
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
            if self._delivery.waits() or self._target.outage.since is not None:
                return False
            self._thread = None
            return True

    def _try(self) -> bool:
        """Deliver what is due if the target answers; say whether it did."""
        if self._target.outage.since is not None:
            if not self._target.probe():
                return False
            LOG.info("%s is back", self._target.name)
            self._delivery.hurry()
        while not self._closed.is_set() and self._delivery.deliver():
            pass
        return self._target.outage.since is None
