"""A lock file in; held until the context ends. Whoever waits for it asks now and then whether to go on."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    #: Raises where what it is asked by has to end: the run was stopped, the time is over.
    GoOn: TypeAlias = Callable[[], None]

_TICK = 0.3


def always() -> None:
    """Go on: for those that nobody stops but by ending the process."""


@contextmanager
def holding(lock: Path, go_on: GoOn) -> Iterator[None]:
    """Hold a lock file, whose folder is there; wait while another process or thread has it."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - start-up time

    held = FileLock(lock)
    while not held.is_locked:
        go_on()
        with suppress(Timeout):
            held.acquire(timeout=_TICK, poll_interval=_TICK / 10)
    try:
        yield
    finally:
        held.release()
