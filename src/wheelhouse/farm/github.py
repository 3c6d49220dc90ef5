"""A plan in; a matrix of GitHub Actions out: stages of cells, each cell a machine and the jobs that it builds.

A matrix is written by who plans and read by each cell, so it is a file with a format. GitHub runs at most 256 jobs of a
matrix, and no stage starts before the one it needs has ended: so there are few stages, and what would be deeper is
built within one cell of the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import orjson
import pydantic

from wheelhouse.config import BuilderChoice
from wheelhouse.errors import InvalidFileError, UsageError
from wheelhouse.farm.packing import Item, pack
from wheelhouse.farm.runners import runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wheelhouse.farm.runners import Runner
    from wheelhouse.job import Job
    from wheelhouse.plan import Plan, Planned

#: Jobs that GitHub makes of the matrices of a workflow run at most.
MOST_CELLS = 256
#: What `wheels.yml` chains.
STAGES = 4
#: A cell is made to last as long as this (seconds), so that starting its machine does not matter.
USUAL_CELL = 1200.0
#: GitHub ends a job after this (seconds).
LONGEST_CELL = 6 * 3600.0


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Cell(_Part):
    """One machine and what it builds."""

    name: str
    """Unique in a matrix: stage, platform, and a number that stays when recipes are added."""
    platform: str
    """Family and architecture, as in a build identifier: `manylinux_aarch64`."""
    runner: str
    """What `runs-on` takes."""
    emulates: str = ""
    """Architecture that QEMU has to run, as docker calls it."""
    seconds: float
    """How long its jobs take, one after the other, by what is known."""
    jobs: tuple[str, ...]
    """Ids, in an order in which each comes after those that it depends on."""

    def to_github(self) -> dict[str, str]:
        """Return what an expression in a workflow sees; the jobs stay in the file: outputs are limited to 1 MB."""
        return {"name": self.name, "platform": self.platform, "runner": self.runner, "emulates": self.emulates}


class Matrix(_Part):
    """All that is to be built, by stages: each needs what the stages before it have built."""

    format: Literal[1] = 1
    builder: BuilderChoice = "auto"
    """As `--builder` takes it."""
    stages: tuple[tuple[Cell, ...], ...] = ()
    unavailable: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Why, by id of the jobs that no machine can build."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return the cells of all stages."""
        return tuple(cell for stage in self.stages for cell in stage)

    def cell(self, name: str) -> Cell:
        """Return the cell of that name. Raises UsageError."""
        found = next((cell for cell in self.cells if cell.name == name), None)
        if found is None:
            raise UsageError(f"the matrix has no cell `{name}`", hint=f"it has {', '.join(c.name for c in self.cells)}")
        return found

    def to_json(self) -> bytes:
        """Return what `matrix --json` prints and `read_matrix` reads."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def to_outputs(self) -> dict[str, str]:
        """Return the outputs of the job that plans, by name: a matrix a stage, and how many stages there are."""
        outputs = {"stages": str(len(self.stages))}
        for number in range(STAGES):
            cells = self.stages[number] if number < len(self.stages) else ()
            outputs[f"stage-{number}"] = orjson.dumps({"include": [cell.to_github() for cell in cells]}).decode()
        return outputs


def read_matrix(path: Path) -> Matrix:
    """Read a matrix. Raises InvalidFileError for what is none."""
    try:
        return Matrix.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidFileError(f"{path} cannot be read: {error.strerror}") from error
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidFileError(
            f"{path} is not a matrix: {place + ': ' if place else ''}{first['msg']}",
            hint="`wheelhouse matrix --json` prints one",
        ) from error


def make_matrix(
    plan: Plan,
    estimate: Callable[[Job], float],
    *,
    builder: BuilderChoice = "auto",
    most: int = MOST_CELLS,
    target: float = USUAL_CELL,
) -> Matrix:
    """Pack the jobs of a plan into at most `most` cells that last about `target` seconds, or as much longer as needed.

    `estimate` gives the seconds a job takes. Raises UsageError where even one cell a platform and stage were too many.
    """
    entries = plan.having("build")
    units = _units(entries, _stages(entries))
    groups = sorted(units)
    if len(groups) > most:
        raise UsageError(
            f"at most {most} cells are too few: {len(groups)} are needed, one for each platform and stage",
            hint="raise --cells, or select fewer targets",
        )
    seconds = {entry.job.id: max(estimate(entry.job), 1.0) for entry in entries}
    items = [[_item(unit, seconds) for unit in units[group].values()] for group in groups]
    order = {entry.job.id: number for number, entry in enumerate(entries)}
    stages: list[list[Cell]] = [[] for _ in range(max((stage for stage, _ in groups), default=-1) + 1)]
    for group, bins in zip(groups, pack(items, most=most, target=target), strict=True):
        stage, platform = group
        for number, packed in bins.items():
            jobs = [entry for item in packed for entry in units[group][item.name]]
            jobs.sort(key=lambda entry: order[entry.job.id])
            cell = _cell(f"stage-{stage}-{platform}-{number}", jobs, sum(item.seconds for item in packed))
            stages[stage].append(cell)
    return Matrix(
        builder=builder,
        stages=tuple(map(tuple, stages)),
        unavailable={entry.job.id: entry.reason for entry in plan.having("unavailable")},
    )


def _stages(entries: Sequence[Planned]) -> dict[str, int]:
    """Return the stage of each job: after the jobs that it depends on, but none later than the last."""
    stages: dict[str, int] = {}
    for entry in entries:  # a plan has dependencies first
        needed = [stages[id_] + 1 for id_ in entry.depends if id_ in stages]
        stages[entry.job.id] = min(max(needed, default=0), STAGES - 1)
    return stages


def _units(
    entries: Sequence[Planned], stages: Mapping[str, int]
) -> dict[tuple[int, str], dict[str, tuple[Planned, ...]]]:
    """Return what has to be in one cell, by stage and platform, and by its first job's id.

    That is one job; in the last stage, jobs that depend on each other.
    """
    leader = {entry.job.id: entry.job.id for entry in entries}

    def lead(id_: str) -> str:
        while leader[id_] != id_:
            leader[id_] = leader[leader[id_]]
            id_ = leader[id_]
        return id_

    for entry in entries:
        for needed in entry.depends:
            if stages.get(needed) == stages[entry.job.id]:
                leader[lead(entry.job.id)] = lead(needed)
    units: dict[tuple[int, str], dict[str, list[Planned]]] = {}
    for entry in entries:
        group = (stages[entry.job.id], entry.job.target.platform_tag)
        units.setdefault(group, {}).setdefault(lead(entry.job.id), []).append(entry)
    return {group: {name: tuple(jobs) for name, jobs in inside.items()} for group, inside in units.items()}


def _item(unit: tuple[Planned, ...], seconds: Mapping[str, float]) -> Item:
    first = unit[0].job
    return Item(name=first.id, near=first.project, seconds=sum(seconds[entry.job.id] for entry in unit))


def _cell(name: str, entries: Sequence[Planned], seconds: float) -> Cell:
    machine = _machine(entries[0])
    return Cell(
        name=name,
        platform=entries[0].job.target.platform_tag,
        runner=machine.label,
        emulates=machine.emulates,
        seconds=round(seconds, 1),
        jobs=tuple(entry.job.id for entry in entries),
    )


def _machine(entry: Planned) -> Runner:
    found = runner(entry.job.target)
    assert found is not None  # noqa: S101 - what no machine builds is not in the plan's jobs to build
    return found
