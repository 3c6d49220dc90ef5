"""A number of failures in, seconds to wait out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Beyond this many doublings any cap has been reached.
_DOUBLINGS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential, with jitter: many clients that failed together do not come back together."""

    first: float = 1.0
    """Seconds after the first failure, at most."""
    most: float = 300.0
    """Seconds that are never exceeded."""
    chance: Callable[[], float] = random.SystemRandom().random
    """From 0 to 1."""

    def seconds(self, failures: int) -> float:
        """Return between half and all of `first * 2 ** (failures - 1)`, capped."""
        full = min(self.most, self.first * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS))
        return full * (0.5 + self.chance() / 2)
