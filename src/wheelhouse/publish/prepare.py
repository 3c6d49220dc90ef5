"""Paths in; wheels without findings of severity error out, all of them or an error."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from wheelhouse.check import examine
from wheelhouse.errors import CheckError, UsageError, WheelhouseError
from wheelhouse.finding import errors
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

#: Seconds, about, that a wheel and a byte of it take to check.
_A_WHEEL, _A_BYTE = 0.0004, 2e-8
_WORTH_PROCESSES, _WORTH_ANOTHER = 0.05, 0.1
"""Seconds of checking in all, for one process besides this one and for each further one. To start takes one 0.02."""
_PIECES = 16
"""Pieces of the work for each process: who is ready first takes another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishable:
    """A wheel that passed its checks. Only `prepare` makes one."""

    path: Path
    name: WheelName
    sha256: str
    """Of the bytes that were checked: no others are sent."""
    attestations: tuple[Mapping[str, Any], ...] = ()
    """What is sent along (PEP 740), as JSON has it."""


#: The sha256 of a wheel, and its errors: what goes from one process to another is better small.
_Checked: TypeAlias = tuple[str, tuple[str, ...]]


def prepare(paths: Iterable[Path]) -> list[Publishable]:
    """Check wheels before any of them is sent.

    Raises CheckError with every error of every wheel, InvalidWheelError, and UsageError where two files have one name.
    """
    with checking(paths) as checked:
        return checked()


@contextmanager
def checking(paths: Iterable[Path]) -> Iterator[Callable[[], list[Publishable]]]:
    """Begin to check wheels; yield what returns and raises as `prepare`.

    Where they are many or large, as many processes as can run are at it before that is asked.
    """
    given = list(paths)
    with _checks(given, _processes(given)) as checks:
        yield lambda: _passed(given, checks())


def _passed(paths: Iterable[Path], checks: Iterable[_Checked]) -> list[Publishable]:
    wheels: dict[str, Publishable] = {}
    wrong: list[str] = []
    for path, (sha256, errors_of_it) in zip(paths, checks, strict=True):
        wheel = Publishable(path=path, name=WheelName.parse(path.name), sha256=sha256)
        wrong += errors_of_it
        other = wheels.setdefault(wheel.path.name, wheel)
        if other.sha256 != wheel.sha256:
            raise UsageError(
                f"{other.path} and {wheel.path} have one name and different bytes", hint="publish one of them"
            )
    if wrong:
        raise CheckError(
            "\n".join(["nothing was published, because not all wheels passed their checks:", *wrong]),
            hint="`wheelhouse check` tells more; docs/reference/findings.md explains the codes",
        )
    return list(wheels.values())


def _check(path: Path) -> _Checked:
    examination = examine(path)
    return examination.sha256, tuple(f"  {path.name}: {finding}" for finding in errors(examination.findings))


def _processes(paths: Sequence[Path]) -> int:
    """Return how many besides this one: forks alone, since any other process would have to import all of this."""
    if sys.platform != "linux":
        return 0
    seconds = sum(_A_WHEEL + _A_BYTE * path.stat().st_size for path in paths if path.is_file())
    wanted = 0 if seconds < _WORTH_PROCESSES else ceil(seconds / _WORTH_ANOTHER)
    return min(wanted, len(os.sched_getaffinity(0)) - 1, len(paths) - 1)


@contextmanager
def _checks(paths: Sequence[Path], width: int) -> Iterator[Callable[[], Iterable[_Checked]]]:
    """Yield what returns the checks of all wheels, in their order."""
    if not width:
        yield lambda: map(_check, paths)
        return
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - start-up time
    from multiprocessing import get_context  # noqa: PLC0415 - likewise

    pool = ProcessPoolExecutor(width, mp_context=get_context("fork"), initializer=_leave_stopping_to_us)
    try:
        size = max(1, len(paths) // (_PIECES * (width + 1)))
        pieces = [paths[start : start + size] for start in range(0, len(paths), size)]
        begun = [pool.submit(_try, piece) for piece in pieces]
        yield lambda: chain.from_iterable(_joined(pieces, begun))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _joined(pieces: Sequence[Sequence[Path]], begun: Sequence[Future[list[_Checked] | None]]) -> list[list[_Checked]]:
    """Return the checks of all pieces. What no other process has begun with, this one does, from the end."""
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - start-up time

    mine = {
        number: [_check(path) for path in pieces[number]]
        for number in reversed(range(len(pieces)))
        if begun[number].cancel()
    }
    found: list[list[_Checked]] = []
    for number, (piece, future) in enumerate(zip(pieces, begun, strict=True)):
        checked = mine.get(number)
        if checked is None:
            try:
                checked = future.result()
            except BrokenProcessPool:  # one was killed: for its memory, say
                checked = None
        found.append(checked if checked is not None else [_check(path) for path in piece])
    return found


def _try(paths: Sequence[Path]) -> list[_Checked] | None:
    """Check wheels in another process; None: one is no wheel, which this process will find out again, and say."""
    try:
        return [_check(path) for path in paths]
    except WheelhouseError:
        return None


def _leave_stopping_to_us() -> None:
    """Ctrl-C reaches all processes of a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
