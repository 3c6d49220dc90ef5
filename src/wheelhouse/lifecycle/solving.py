"""A recipe's file and a way to build it in; rounds of building and mending; a checked wheel, or the reason, out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wheelhouse.check.codes import Code
from wheelhouse.diagnose.lookup import KnownPackages
from wheelhouse.errors import MachineError
from wheelhouse.lifecycle.editing import (
    add_to_array,
    drop_value,
    read_document,
    remove_from_array,
    set_values,
    write_document,
)
from wheelhouse.lifecycle.finished import told_by
from wheelhouse.lifecycle.mending import changes, wheelless, wrong
from wheelhouse.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.lifecycle.machine import Machine
    from wheelhouse.lifecycle.mending import Change
    from wheelhouse.recipe import Recipe
    from wheelhouse.record import Record

    #: Builds the recipe once, even if its inputs are those of the last result.
    Build = Callable[[], Record]
    #: Is told, in words, what happens.
    Tell = Callable[[str], None]
    #: Writes the recipe of a project that has no wheel anywhere, and solves it.
    Supply = Callable[[NormalizedName], None]

#: A build that has not come to work by then will not.
ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One build, and what was changed after it."""

    record: Record
    changes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        return _outcome(self.record)

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {"outcome": self.outcome, "changes": list(self.changes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """How it ended."""

    rounds: tuple[Round, ...]
    reason: str
    """Why there is no checked wheel, in words; empty: there is one."""

    @property
    def record(self) -> Record | None:
        """Of the last build; None: there was none."""
        return self.rounds[-1].record if self.rounds else None


@dataclass(slots=True, kw_only=True)
class _State:
    rounds: list[Round] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    """Packages that this machine's distribution does not have."""
    supplied: set[str] = field(default_factory=set)
    """Projects that recipes were asked for."""


def solve(
    path: Path,
    *,
    build: Build,
    dist: Path,
    machine: Machine,
    registry: Callable[[], Collection[NormalizedName]],
    tell: Tell,
    supply: Supply | None = None,
    rounds: int = ROUNDS,
) -> Solution:
    """Build a recipe, change it as its record asks, and build again, until a wheel passes its checks.

    `dist` has the finished wheels, `registry` tells which recipes there are; `supply` is asked for those of
    requirements that have no wheel. Each change is made once: what it does not mend is said in words.

    Raises CanceledError.
    """
    state = _State()
    record: Record | None = None
    for number in range(1, rounds + 1):
        try:
            _prepare(path, machine, state, tell)
        except MachineError as error:
            reason = f"{error}{'; ' + error.hint if error.hint else ''}"
            return Solution(rounds=tuple(state.rounds), reason=reason)
        tell(f"round {number}: building")
        record = build()
        if supply is not None:
            _have_supplied(record, supply, registry, state)
        wanted = [change for change in _wanted(path, record, dist, registry()) if _left(change, state)]
        state.rounds.append(Round(record=record, changes=tuple(map(str, wanted))))
        tell(f"round {number}: {state.rounds[-1].outcome}")
        if not wanted:
            reason = "" if record.status == "built" else _reason(record, load_recipe(path), state)
            return Solution(rounds=tuple(state.rounds), reason=reason)
        for change in wanted:
            tell(f"  {change}")
            state.made.add(str(change))
        _make(path, wanted)
    failed = record is not None and record.status == "failed"
    last = (
        _reason(record, load_recipe(path), state) if record is not None and failed else "its wheel passed, its test not"
    )
    return Solution(rounds=tuple(state.rounds), reason=f"{rounds} rounds were not enough: {last}")


def _prepare(path: Path, machine: Machine, state: _State, tell: Tell) -> None:
    """Have the system packages of the recipe installed; those of which there are none leave the recipe."""
    lacking = machine.lacking(load_recipe(path).system_packages.debian)
    if not lacking:
        return
    tell(f"installing {', '.join(lacking)}")
    unknown = machine.install(lacking)
    if unknown:
        state.absent.update(unknown)
        tell(f"no such package here, left out: {', '.join(unknown)}")
        document = read_document(path)
        remove_from_array(document, "system-packages", "debian", unknown)
        write_document(path, document)


def _have_supplied(
    record: Record, supply: Supply, registry: Callable[[], Collection[NormalizedName]], state: _State
) -> None:
    """Have recipes written of what the build requires and nobody has a wheel of; each is asked for once."""
    for name in wheelless(record):
        if name not in state.supplied and name not in registry():
            state.supplied.add(name)
            supply(name)


def _wanted(path: Path, record: Record, dist: Path, registry: Collection[NormalizedName]) -> tuple[Change, ...]:
    recipe = load_recipe(path)
    found = changes(record, recipe, registry=registry)
    return found or (() if record.wheel is None else told_by(dist / record.wheel.filename, recipe, KnownPackages()))


def _left(change: Change, state: _State) -> bool:
    return str(change) not in state.made and not (change.add and set(change.add) <= state.absent)


def _make(path: Path, wanted: list[Change]) -> None:
    document = read_document(path)
    for change in wanted:
        if change.drop:
            drop_value(document, change.table, change.key)
        elif change.put is None:
            add_to_array(document, change.table, change.key, change.add)
        else:
            value = change.put if isinstance(change.put, str) else list(change.put)
            set_values(document, change.table, {change.key: value})
    write_document(path, document)


def _outcome(record: Record) -> str:
    if record.wheel is not None:
        return f"{record.wheel.filename} passed all checks"
    cause = record.cause
    said = "; ".join(_findings(record)) if cause and cause.kind == "check" else ""
    return f"failed: {said or (cause.message if cause else 'no cause known')}"


def _findings(record: Record) -> list[str]:
    """Return what keeps a wheel back; libraries, which can be dozens, as one."""
    found = wrong(record)
    grafted = [finding for finding in found if finding.code == Code.NOT_ALLOWED.code]
    texts = [finding.message for finding in found if finding not in grafted]
    if grafted:
        texts.insert(0, f"{len(grafted)} grafted libraries that the recipe does not allow")
    return texts


def _reason(record: Record, recipe: Recipe, state: _State) -> str:
    """Return why it ends here: the cause, what might mend it that no program should change, what is absent."""
    parts = [_outcome(record).removeprefix("failed: ")]
    if record.cause is not None:
        there = {f"system-packages.{family}": set(names) for family, names in recipe.system_packages}
        pairs = [line.partition(": ")[::2] for line in record.cause.mend]
        taken = [value for key, value in pairs if key in there and set(value.split()) <= there[key]]
        if taken:
            parts.append(f"{taken[0]} is installed and has it not: another version of one of them would be needed")
        left = [f"{key}: {value}" if value else key for key, value in pairs if value not in taken]
        parts += [f"what might help: {line}" for line in left[:3]]
        if record.cause.evidence:
            parts.append(f"the log says: {record.cause.evidence}")
    if state.absent:
        parts.append(f"this machine's distribution has no package {', '.join(sorted(state.absent))}")
    return "; ".join(parts)
