"""Many who want the same brought to the disk in; as few runs of that as can be out, each of which serves all who wait.

Whoever asks while a run is under way is not served by it, because it may have begun before their change: they share the
next one, which one of them does.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class _Run:
    """One run, and those who wait for its end."""

    __slots__ = ("ended", "error")

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: BaseException | None = None


class GroupCommit:
    """Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[Hashable, _Run] = {}
        """Runs that have not begun."""
        self._turns: dict[Hashable, tuple[threading.Lock, int]] = {}
        """Held while a run lasts, and how many runs want it."""

    def commit(self, what: Hashable, act: Callable[[], None]) -> None:
        """Return when an `act` has ended that began after this call; raise what it raised.

        All who name the same thing have to bring an act that does as well for all of them.
        """
        with self._lock:
            run = self._next.get(what)
            if run is None:
                mine = self._next[what] = _Run()
                turn, users = self._turns.get(what, (threading.Lock(), 0))
                self._turns[what] = (turn, users + 1)
        if run is None:
            self._do(what, act, mine, turn)
            return
        run.ended.wait()
        if run.error is not None:
            raise run.error

    def _do(self, what: Hashable, act: Callable[[], None], run: _Run, turn: threading.Lock) -> None:
        try:
            with turn:
                with self._lock:
                    del self._next[what]  # who comes from now on needs the next one
                act()
        except BaseException as error:
            run.error = error
            raise
        finally:
            run.ended.set()
            with self._lock:
                _, users = self._turns.pop(what)
                if users > 1:
                    self._turns[what] = (turn, users - 1)
