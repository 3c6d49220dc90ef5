"""Tokens as they are used in, a note in their file out, aside from the requests: no answer waits for a disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from wheelhouse.errors import WheelhouseError
from wheelhouse.index.access.tokens import TokenFile

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from wheelhouse.index.access.tokens import Token

#: Written down once in so long, not at every request.
_STEP = timedelta(minutes=1)


@dataclass(slots=True)
class LastUses:
    """When tokens were last used, to the minute. What is noted while a write is under way goes with the next one."""

    path: Path
    """The file of tokens. One that is read-only, or on a full disk, keeps nobody out: nothing is written down then."""
    _noted: dict[str, datetime] = field(default_factory=dict, init=False)
    _waiting: dict[str, datetime] = field(default_factory=dict, init=False)
    _writer: threading.Thread | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def note(self, token: Token, now: datetime) -> None:
        """Note that a token is used."""
        last = self._noted.get(token.id) or token.last_used
        if last is not None and now - last < _STEP:
            return
        with self._lock:
            self._noted[token.id] = self._waiting[token.id] = now
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="last-uses", daemon=True)
                self._writer.start()

    def settle(self) -> None:
        """Return when all that was noted is written down."""
        writer = self._writer
        if writer is not None:
            writer.join()

    def _write(self) -> None:
        file = TokenFile(self.path)  # its memory is not for two threads
        while True:
            with self._lock:
                uses, self._waiting = self._waiting, {}
                if not uses:
                    self._writer = None
                    return
            try:
                file.mark_used(uses)
            except (OSError, WheelhouseError):
                continue
