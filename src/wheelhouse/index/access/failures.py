"""Tries that went wrong, by who tried, in; how long the next has to wait out."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True, kw_only=True)
class FailureLimit:
    """Counts wrong tries by key, within a window; the oldest keys are forgotten."""

    most: int = 10
    window: timedelta = timedelta(minutes=1)
    keys: int = 10_000
    _failures: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict, init=False)

    def wait(self, key: str, now: datetime) -> int | None:
        """Return the seconds until the next try is allowed; None: now."""
        failures = self._failures.get(key)
        while failures and now - failures[0] >= self.window:
            failures.popleft()
        if failures is None or len(failures) < self.most:
            return None
        return max(1, round((failures[0] + self.window - now).total_seconds()))

    def add(self, key: str, now: datetime) -> None:
        """Count a wrong try."""
        self._failures.setdefault(key, deque(maxlen=self.most)).append(now)
        self._failures.move_to_end(key)
        while len(self._failures) > self.keys:
            self._failures.popitem(last=False)
