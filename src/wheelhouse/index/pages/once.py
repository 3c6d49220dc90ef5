"""How a value is made in, the value out: made when it is first asked for, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


class Once(Generic[Value]):
    """A value that may never be wanted. Two threads that ask at once may both make it: it has to come out the same."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make: Callable[[], Value] | None = make
        self._made: list[Value] = []

    def __call__(self) -> Value:
        """Return the value."""
        make = self._make
        if not self._made and make is not None:
            self._made.append(make())
            self._make = None  # and with it what it is made from
        return self._made[0]

    @property
    def made(self) -> bool:
        """Whether there is nothing left to do."""
        return bool(self._made)
