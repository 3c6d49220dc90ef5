"""`wheelhouse matrix`: what GitHub Actions would build, on which machines, in which cells."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.github import outputs_file, write_outputs
from wheelhouse.cli.selecting import Selected, jobs_for, reasons, targeting
from wheelhouse.cli.session import pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.cli.session import Session
    from wheelhouse.farm.github import Matrix
    from wheelhouse.plan import Plan

_MINUTE = 60


@click.command(
    epilog="""\b
Examples:
  wheelhouse matrix --all
  wheelhouse matrix --changed-since origin/main        # recipes of this branch, and what depends on them
  wheelhouse matrix --json > matrix.json               # then: wheelhouse build --matrix matrix.json --cell NAME
  wheelhouse matrix psycopg2 --arch all --json | jq -r '.stages[][].name'
"""
)
@targeting
@click.option(
    "--changed-since",
    metavar="COMMIT",
    envvar="WHEELHOUSE_CHANGED_SINCE",
    help="Only recipes that differ from where this branch left COMMIT, and those that depend on them.",
)
@click.option("--cells", type=click.IntRange(1, 256), default=256, show_default=True, help="Cells at most.")
@click.option("--minutes", type=click.IntRange(min=1), default=20, show_default=True, help="How long a cell may last.")
@click.option("--json", "as_json", is_flag=True, help="Print the matrix as JSON, with the jobs of each cell.")
@click.option("--github-output", is_flag=True, help="Write the outputs that wheels.yml reads to $GITHUB_OUTPUT.")
@pass_session
def matrix(
    session: Session,
    /,
    *,
    changed_since: str | None,
    cells: int,
    minutes: int,
    as_json: bool,
    github_output: bool,
    **options: Any,
) -> None:
    """Plan for the machines of GitHub Actions, and pack the jobs into cells that last about as long as each other.

    Without names (here or in WHEELHOUSE_PACKAGES), all recipes. `auto` stands for the architectures of Linux that
    GitHub has machines of; macOS and Windows are built for where a selector names them (`cp313-macosx_*`). How long
    a job takes is known from records of earlier ones. The outputs: a matrix for each stage (`stage-0` …), how many
    `stages` there are (0: nothing is to be built), and the `results` that a cell leaves, by path, below `root`.
    """
    from wheelhouse.farm.durations import Durations, read_durations  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.github import make_matrix  # noqa: PLC0415 - likewise

    outputs = outputs_file() if github_output else None
    selected = _selected(session, changed_since, **options)
    with _much_that_stays():
        plan, setting = _plan(session, selected)
        durations = Durations(read_durations(session.workspace.jobs))
        made = make_matrix(plan, durations.estimate, builder=setting, most=cells, target=minutes * _MINUTE)
    if outputs is not None:
        write_outputs(outputs, made.to_outputs() | _results(session))
    if as_json:
        click.echo(made.to_json(), nl=False)
    else:
        for cell in made.cells:
            emulated = f", emulates {cell.emulates}" if cell.emulates else ""
            click.echo(f"{cell.name}  {cell.runner}{emulated}, {cell.seconds / _MINUTE:.0f} min: {' '.join(cell.jobs)}")
    if not session.quiet:
        _tell(plan, made)


@contextmanager
def _much_that_stays() -> Iterator[None]:
    """Keep the collector of circles from looking at all values again and again: that is a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()  # what is there now is not looked at again
            gc.enable()


def _selected(session: Session, changed_since: str | None, **options: Any) -> Selected | None:
    """Return what was asked for; None where nothing has changed."""
    # A workflow has them as one text, and YAML is no place to split it.
    named = options["packages"] or tuple(os.environ.get("WHEELHOUSE_PACKAGES", "").split())
    selected = Selected(**{**options, "packages": named})
    if changed_since is None:
        return selected if named else replace(selected, everything=True)
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - start-up time

    from wheelhouse.farm.changes import changed_recipes, with_dependents  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise
    from wheelhouse.selection import parse_packages  # noqa: PLC0415 - likewise

    changed = changed_recipes(session.workspace.registry, changed_since, Processes())
    if changed is None:
        return _selected(session, None, **options)
    projects = with_dependents(changed, session.registry.load())
    asked = {canonicalize_name(package.name): str(package) for package in parse_packages(selected.packages)}
    names = sorted(text for name, text in asked.items() if name in projects) if asked else sorted(projects)
    return replace(selected, packages=tuple(names), everything=False) if names else None


def _plan(session: Session, selected: Selected | None) -> tuple[Plan, Any]:
    """Return the plan, and the builder that was set."""
    from wheelhouse.farm.runners import MACHINES, RunnerFacts  # noqa: PLC0415 - start-up time
    from wheelhouse.plan import Plan, make_plan  # noqa: PLC0415 - likewise

    setting = session.workspace.config.build.builder
    if selected is None:
        return Plan(()), setting
    setting = selected.builder or setting
    return make_plan(jobs_for(session, selected, MACHINES), RunnerFacts(setting=setting)), setting


def _results(session: Session) -> dict[str, str]:
    """Return what a cell leaves for others, relative to the current folder, and the folder that holds all of it."""
    workspace = session.workspace
    kept = (workspace.dist, workspace.jobs, workspace.locks)
    paths = [Path(os.path.relpath(path)).as_posix() for path in kept]
    return {"results": "\n".join(paths), "root": Path(os.path.relpath(os.path.commonpath(kept))).as_posix()}


def _tell(plan: Plan, made: Matrix) -> None:
    from wheelhouse.farm.github import LONGEST_CELL  # noqa: PLC0415 - start-up time

    for line in reasons(plan.having("unavailable")):
        click.echo(f"cannot be built there: {line}", err=True)
    longest = max((cell.seconds for cell in made.cells), default=0.0)
    jobs = sum(len(cell.jobs) for cell in made.cells)
    counts = f"{jobs} jobs in {len(made.cells)} cells of {len(made.stages)} stages"
    click.echo(f"{counts}, the longest about {longest / _MINUTE:.0f} min", err=True)
    if longest > LONGEST_CELL:
        click.echo(
            f"warning: GitHub ends a job after {LONGEST_CELL / 3600:.0f} hours, and one is expected to take"
            f" {longest / 3600:.0f}; name packages, to build the registry in several runs",
            err=True,
        )
