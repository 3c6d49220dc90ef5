"""A key in, what was made of it before out: a bounded memory, for what is named by the hash of its bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(slots=True)
class Memory(Generic[T]):
    """Safe for threads. What was asked for least recently goes first."""

    most: int
    """How many are kept."""
    _kept: OrderedDict[str, T] = field(default_factory=OrderedDict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return what is remembered, or make it. What raises is not remembered; two askers at once may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return made
