"""Paths in; wheels without findings of severity error out, all of them or an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wheelhouse.check import examine
from wheelhouse.errors import CheckError, UsageError
from wheelhouse.finding import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from wheelhouse.wheel import WheelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishable:
    """A wheel that passed its checks. Only `prepare` makes one."""

    path: Path
    name: WheelName
    sha256: str
    """Of the bytes that were checked: no others are sent."""
    attestations: tuple[Mapping[str, Any], ...] = ()
    """What is sent along (PEP 740), as JSON has it."""


def prepare(paths: Iterable[Path]) -> list[Publishable]:
    """Check wheels before any of them is sent.

    Raises CheckError with every error of every wheel, InvalidWheelError, and UsageError where two files have one name.
    """
    wheels: dict[str, Publishable] = {}
    wrong: list[str] = []
    for path in paths:
        examination = examine(path)
        wheel = Publishable(path=path, name=examination.name, sha256=examination.sha256)
        wrong += [f"  {path.name}: {finding}" for finding in errors(examination.findings)]
        other = wheels.setdefault(path.name, wheel)
        if other.sha256 != wheel.sha256:
            raise UsageError(f"{other.path} and {path} have one name and different bytes", hint="publish one of them")
    if wrong:
        raise CheckError(
            "\n".join(["nothing was published, because not all wheels passed their checks:", *wrong]),
            hint="`wheelhouse check` tells more; docs/reference/findings.md explains the codes",
        )
    return list(wheels.values())
