"""The options with which `build` and `plan` are told what to build, and the plan that follows from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from wheelhouse.cli.completion import recipe_names
from wheelhouse.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wheelhouse.builders import Builder
    from wheelhouse.cli.session import Session
    from wheelhouse.config import BuilderChoice
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.plan import Plan, Planned
    from wheelhouse.process import Processes
    from wheelhouse.results import Results
    from wheelhouse.selection import Machines

Function = TypeVar("Function", bound="Callable[..., object]")

_OPTIONS = (
    click.argument("packages", nargs=-1, metavar="[PACKAGE[==VERSION]]...", shell_complete=recipe_names),
    click.option("--all", "everything", is_flag=True, help="Every recipe of the registry."),
    click.option("--all-versions", is_flag=True, help="Every version of a recipe, not its newest alone."),
    click.option("--python", "pythons", multiple=True, metavar="X.Y", help="Only for this Python. Repeatable."),
    click.option("--arch", "archs", multiple=True, metavar="ARCH", help="`auto` (this machine's), `all`, `aarch64`…"),
    click.option("--only", multiple=True, metavar="SELECTOR", help="Build identifier, or cibuildwheel selector."),
    click.option(
        "--builder",
        type=click.Choice(["auto", "cibuildwheel", "host"]),
        default=None,
        help="Containers, or this machine itself. [default: wheelhouse.toml's, else auto]",
    ),
)
_FORCE = click.option("--force", is_flag=True, help="Build even what has the same inputs as its last result.")
_FARM = click.option(
    "--farm",
    type=click.Choice(["local", "salt"]),
    default="local",
    show_default=True,
    help="This machine, or the minions of the Salt master that it is.",
)


def selecting(function: Function) -> Function:
    """Give a command the options that say what to build, and where."""
    return targeting(_FORCE(_FARM(function)))


def targeting(function: Function) -> Function:
    """Give a command the same options, without where, and without the one that says to build again what is there."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What those options came to."""

    packages: tuple[str, ...]
    everything: bool
    all_versions: bool
    pythons: tuple[str, ...]
    archs: tuple[str, ...]
    only: tuple[str, ...]
    builder: BuilderChoice | None
    force: bool = False
    farm: Literal["local", "salt"] = "local"

    def asked_for(self, entry: Planned) -> tuple[str, ...]:
        """Return what of a job was named, so that jobs which answer the same wish are alike.

        `--python 3.13` is fulfilled by any C library's wheel for 3.13; a whole build identifier only by itself.
        """
        job = entry.job
        return (
            *((job.project, str(job.version)) if self.packages else ()),
            *((job.target.python_version,) if self.pythons else ()),
            *((job.target.arch,) if self.archs else ()),
            *((str(job.target),) if str(job.target) in self.only else ()),
        )


def make_builders(
    session: Session, selected: Selected, processes: Processes, *, pull: bool = False
) -> Mapping[BuilderName, Builder]:
    """Return the builders of this machine: the one that is asked for, or all to choose from.

    Where containers are asked for by option, or `pull` is set, an image that is not here counts as available.
    """
    workspace = session.workspace
    setting = selected.builder or workspace.config.build.builder
    builders: dict[BuilderName, Builder] = {}
    if setting != "host":
        from wheelhouse.builders.cibuildwheel import CibuildwheelBuilder  # noqa: PLC0415 - start-up time

        builders["cibuildwheel"] = CibuildwheelBuilder(
            processes=processes,
            config=workspace.config,
            environment=os.environ,
            cache=workspace.cache,
            pull=pull or selected.builder == "cibuildwheel",
        )
    if setting != "cibuildwheel":
        from wheelhouse.builders.host import HostBuilder  # noqa: PLC0415 - start-up time

        builders["host"] = HostBuilder(
            processes=processes, config=workspace.config, environment=os.environ, cache=workspace.cache
        )
    return builders


def plan_for(
    session: Session,
    selected: Selected,
    *,
    builders: Mapping[BuilderName, Builder],
    results: Results,
    job_ids: Sequence[str] = (),
) -> Plan:
    """Read the recipes, and plan what was asked for: by ids of jobs alone, or by names and targets.

    Raises UsageError, InvalidFileError.
    """
    from wheelhouse.config import configured_index  # noqa: PLC0415 - start-up time
    from wheelhouse.facts import KnownFacts  # noqa: PLC0415 - likewise
    from wheelhouse.plan import make_plan  # noqa: PLC0415 - likewise

    workspace = session.workspace
    facts = KnownFacts(
        workspace=workspace,
        results=results,
        builders=builders,
        setting=selected.builder or workspace.config.build.builder,
        index=configured_index(workspace.config, os.environ),
    )
    if job_ids and not selected.packages and not selected.everything:
        jobs = jobs_by_id(session, job_ids)
    else:
        jobs = jobs_for(session, selected)
    return make_plan(jobs, facts, force=selected.force)


def jobs_by_id(session: Session, ids: Sequence[str], machines: Machines | None = None) -> tuple[Job, ...]:
    """Read the recipes of jobs, and return these jobs and those that they depend on.

    Raises UsageError, InvalidFileError.
    """
    from wheelhouse import selection  # noqa: PLC0415 - start-up time

    recipes = session.registry.load({selection.project_of(id_) for id_ in ids})
    return selection.jobs_by_id(recipes, ids, session.workspace.config, machines)


def jobs_for(session: Session, selected: Selected, machines: Machines | None = None) -> tuple[Job, ...]:
    """Read the recipes, and return the jobs that were asked for. `machines`: this one, where none are given.

    Raises UsageError, InvalidFileError.
    """
    from wheelhouse.selection import Wanted, parse_packages, select_jobs  # noqa: PLC0415 - start-up time

    if not selected.packages and not selected.everything:
        raise UsageError("name a package, or say --all", hint="`wheelhouse recipe list` shows the recipes")
    if selected.packages and selected.everything:
        raise UsageError("--all and names of packages do not go together", hint="leave one of them out")
    packages = parse_packages(selected.packages)
    recipes = session.registry.load([package.name for package in packages] if packages else None)
    wanted = Wanted(
        packages=packages,
        pythons=selected.pythons,
        archs=selected.archs,
        only=selected.only,
        all_versions=selected.all_versions,
    )
    return select_jobs(recipes, wanted, session.workspace.config, machines)


def reasons(impossible: Iterable[Planned]) -> Sequence[str]:
    """Return one line for each reason why some targets cannot be built here."""
    by_reason: dict[str, list[str]] = {}
    for entry in impossible:
        by_reason.setdefault(entry.reason, []).append(str(entry.job.target))
    return [f"{', '.join(dict.fromkeys(targets))}: {reason}" for reason, targets in by_reason.items()]


def only_jobs(plan: Plan, ids: Sequence[str]) -> Plan:
    """Narrow the plan to some jobs and those that they depend on."""
    if not ids:
        return plan
    from wheelhouse.plan import Plan  # noqa: PLC0415 - start-up time

    entries = {entry.job.id: entry for entry in plan.entries}
    if unknown := [id_ for id_ in ids if id_ not in entries]:
        raise UsageError(
            f"no job `{unknown[0]}` in this plan", hint="`wheelhouse plan` with the same options lists them"
        )
    wanted: set[str] = set()
    waiting = list(ids)
    while waiting:
        id_ = waiting.pop()
        wanted.add(id_)
        waiting += [needed for needed in entries[id_].depends if needed not in wanted]
    return Plan(tuple(entry for id_, entry in entries.items() if id_ in wanted))


def refuse_what_is_impossible(plan: Plan, selected: Selected) -> None:
    """Raise MachineError where a project, Python or architecture that was named can be built for no target here."""
    possible = {selected.asked_for(entry) for entry in plan.entries if entry.action != "unavailable"}
    missing = [entry for entry in plan.having("unavailable") if selected.asked_for(entry) not in possible]
    if missing:
        hints = dict.fromkeys(entry.hint for entry in missing if entry.hint)
        raise MachineError("cannot be built here: " + "; ".join(reasons(missing)), hint=next(iter(hints), None))
