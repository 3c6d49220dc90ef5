"""Paths in; wheels without findings of severity error out, all of them or an error."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from wheelhouse.check import examine
from wheelhouse.errors import CheckError, UsageError, WheelhouseError
from wheelhouse.finding import errors
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

#: Seconds, about, that a wheel and a byte of it take to check.
_A_WHEEL, _A_BYTE = 0.0004, 2e-8
_WORTH_PROCESSES, _WORTH_ANOTHER = 0.05, 0.1
"""Seconds of checking in all, for one process besides this one and for each further one. To start takes one 0.02."""
_PIECES = 16
"""Pieces of the work for each process: who is ready first takes another."""
_MOST = 64
"""Processes: their pieces' numbers fit into a pipe."""
_NUMBER = 2
"""Bytes."""


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
    """Return how many besides this one: forks alone, since any other process would have to import all of this.

    And a fork has only one of its parent's threads, and the locks of all.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return 0
    seconds = sum(_A_WHEEL + _A_BYTE * path.stat().st_size for path in paths if path.is_file())
    wanted = 0 if seconds < _WORTH_PROCESSES else ceil(seconds / _WORTH_ANOTHER)
    return min(wanted, len(os.sched_getaffinity(0)) - 1, len(paths) - 1, _MOST)


@contextmanager
def _checks(paths: Sequence[Path], width: int) -> Iterator[Callable[[], Iterable[_Checked]]]:
    """Yield what returns the checks of all wheels, in their order.

    A pipe has the numbers of the pieces; whoever is ready for another, this process too, takes the next. No pool does
    that, and a pipe has no lock that a killed process could hold.
    """
    if not width:
        yield lambda: map(_check, paths)
        return
    from multiprocessing import get_context  # noqa: PLC0415 - start-up time

    context = get_context("fork")
    size = ceil(len(paths) / (_PIECES * (width + 1)))
    pieces = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ExitStack() as stack:
        numbers = _pipe_of(len(pieces))
        stack.callback(os.close, numbers)
        answers: list[Connection] = []
        for _ in range(width):
            answer, given = context.Pipe(duplex=False)
            stack.callback(answer.close)
            helper = context.Process(target=_help, args=(pieces, numbers, given), daemon=True)
            helper.start()
            stack.callback(helper.join)
            stack.callback(helper.terminate)
            given.close()
            answers.append(answer)
        yield lambda: _joined(pieces, numbers, answers)


def _joined(pieces: Sequence[Sequence[Path]], numbers: int, answers: Sequence[Connection]) -> Iterable[_Checked]:
    found: dict[int, list[_Checked]] = {number: list(map(_check, pieces[number])) for number in _numbers(numbers)}
    for answer in answers:
        with suppress(EOFError):  # one that was killed, for its memory, say
            found |= answer.recv()
    for number, piece in enumerate(pieces):
        yield from found.get(number) or map(_check, piece)


def _help(pieces: Sequence[Sequence[Path]], numbers: int, given: Connection) -> None:
    """Check pieces in another process. Of one with no wheel in it nothing is said: this process will find it again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal
    found: dict[int, list[_Checked]] = {}
    for number in _numbers(numbers):
        with suppress(WheelhouseError):
            found[number] = list(map(_check, pieces[number]))
    given.send(found)


def _pipe_of(count: int) -> int:
    """Return the end of a pipe that has the numbers up to `count` in it, and nothing more to come."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"".join(number.to_bytes(_NUMBER) for number in range(count)))
    return reading


def _numbers(reading: int) -> Iterator[int]:
    while number := os.read(reading, _NUMBER):
        yield int.from_bytes(number)
