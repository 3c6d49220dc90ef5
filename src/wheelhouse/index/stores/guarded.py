"""A store in, the same out that knows when it is down: then it says so at once, instead of after the next timeout.

While a store is down one thread asks for it (see `replay`), and nobody else waits.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.stores.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.utils import NormalizedName

#: Any name does: the question is whether there is an answer.
_ANY = canonicalize_name("ready")


@dataclass(slots=True, kw_only=True)
class Outage:
    """Whether something is down, since when, and why. Safe for threads."""

    begun: Callable[[], None] = lambda: None
    """Called when one begins, by the thread that met it."""
    clock: Callable[[], float] = time.time
    since: float | None = field(default=None, init=False)
    """Seconds since the epoch; None: it is not down."""
    why: str = field(default="", init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def begin(self, why: str) -> None:
        """Say that it is down."""
        with self._lock:
            first, self.why = self.since is None, why
            if first:
                self.since = self.clock()
        if first:
            self.begun()

    def end(self) -> None:
        """Say that it is up."""
        with self._lock:
            self.since, self.why = None, ""


@dataclass(frozen=True, slots=True)
class GuardedStore(WrappedStore):
    """Raises StoreUnavailableError without asking while an outage lasts."""

    outage: Outage

    @property
    def name(self) -> str:
        """What the log calls it."""
        return "the store"

    def probe(self) -> bool:
        """Ask the store whatever is known of it; say whether it answers, and end or begin the outage."""
        try:
            self.inner.mark(_ANY)
        except StoreUnavailableError as error:
            self.outage.begin(str(error))
            return False
        self.outage.end()
        return True

    def staged(self, stage: NormalizedName) -> GuardedStore:
        """Guard the stage as well: the two are down together."""
        return GuardedStore(self.inner.staged(stage), self.outage)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fail fast, and tell an outage from one file that cannot be read."""
        if self.outage.since is not None:
            raise StoreUnavailableError(
                self.outage.why, hint="it is asked for again and again, and used once it is back"
            )
        try:
            yield
        except StoreUnavailableError:
            self.probe()
            raise
