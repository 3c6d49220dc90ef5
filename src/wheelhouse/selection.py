"""Recipes and what the user asked for in; the jobs in question out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from wheelhouse.errors import UsageError
from wheelhouse.job import make_jobs, split_id
from wheelhouse.target import BuildIdentifier, Selection, matches, native_arch, native_family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.config import Config
    from wheelhouse.job import Job
    from wheelhouse.recipe import Recipe
    from wheelhouse.target import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for. Empty fields leave the choice to recipes and `wheelhouse.toml`."""

    packages: tuple[Requirement, ...] = ()
    """Project names, with a version specifier where one was given. Empty: all recipes."""
    pythons: tuple[str, ...] = ()
    """`3.13`, `3.14t`."""
    archs: tuple[str, ...] = ()
    """As cibuildwheel has them; `auto`, `all`."""
    only: tuple[str, ...] = ()
    """cibuildwheel selectors over build identifiers; whole identifiers among them."""
    all_versions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The machines that jobs are selected for: what recipes mean when they name no architecture and no platform."""

    archs: frozenset[str]
    """What `auto` stands for."""
    families: frozenset[Family]
    """Those that are built for without being named."""
    named: frozenset[Family] = frozenset()
    """Those that are built for where a selector names them."""
    where: str = "on this machine"


def this_machine() -> Machines:
    """Return what is built here when nothing is said."""
    family = native_family()
    linux: frozenset[Family] = frozenset({"manylinux", "musllinux"})
    return Machines(archs=frozenset({native_arch()}), families=linux if family in linux else frozenset({family}))


def parse_packages(texts: Iterable[str]) -> tuple[Requirement, ...]:
    """Parse `psycopg2` or `psycopg2==2.9.9`. Raises UsageError."""
    return tuple(_package(text) for text in texts)


def _package(text: str) -> Requirement:
    refusal = UsageError(
        f"`{text}` is neither a project nor a project with a version", hint="as in `psycopg2` or `psycopg2==2.9.10`"
    )
    try:
        package = Requirement(text)
    except InvalidRequirement as error:
        raise refusal from error
    if package.url or package.extras or package.marker:
        raise refusal
    return package


def select_jobs(
    recipes: Mapping[NormalizedName, Recipe], wanted: Wanted, config: Config, machines: Machines | None = None
) -> tuple[Job, ...]:
    """Return the jobs asked for, and those that they depend on. `machines`: this one, where none are given.

    Raises UsageError where a name, version, Python or architecture that was asked for selects nothing.
    """
    machines = machines or this_machine()
    asked = {canonicalize_name(package.name): package for package in wanted.packages}
    jobs: list[Job] = []
    for project in _with_dependencies(recipes, asked or _in_use(recipes)):
        recipe = recipes[project]
        versions = _versions(recipe, asked.get(project), wanted)
        targets = _targets(recipe, wanted, config, machines)
        found = [job for version in versions for job in make_jobs(recipe, version, targets, config)]
        if not found and project in asked:
            raise _nothing_selected(recipe, wanted, config, machines)
        jobs += found
    return tuple(jobs)


def jobs_by_id(
    recipes: Mapping[NormalizedName, Recipe], ids: Iterable[str], config: Config, machines: Machines | None = None
) -> tuple[Job, ...]:
    """Return the jobs with these ids, and of what they depend on all that is built for their platforms.

    Raises UsageError where a recipe has no such job.
    """
    jobs = {id_: _job_by_id(recipes, id_, config) for id_ in ids}
    selected = dict(jobs)
    for job in jobs.values():
        for project in list(_with_dependencies(recipes, job.depends)):
            recipe = recipes[project]
            every = _targets(recipe, Wanted(archs=("all",)), config, machines or this_machine())
            targets = [target for target in every if target.platform_tag == job.target.platform_tag]
            for needed in make_jobs(recipe, next(iter(recipe.versions)), targets, config):
                selected.setdefault(needed.id, needed)
    return tuple(selected.values())


def project_of(job: str) -> str:
    """Return the project of a job's id. Raises UsageError for what is no id."""
    project, _, _ = split_id(job)
    if not project:
        raise UsageError(f"`{job}` is not a job's id", hint="as in psycopg2-2.9.10-cp313-manylinux_x86_64")
    return project


def _job_by_id(recipes: Mapping[NormalizedName, Recipe], id_: str, config: Config) -> Job:
    project, version, target = split_id(id_)
    recipe = recipes[canonicalize_name(project)]
    known = next((known for known in recipe.versions if str(known) == version), None)
    if known is None:
        raise UsageError(
            f"no job `{id_}`: the recipe of {recipe.project} has no version {version}",
            hint=f"it has {', '.join(map(str, recipe.versions))}",
        )
    found = make_jobs(recipe, known, (BuildIdentifier.parse(target),), config)
    if not found:
        raise UsageError(f"no job `{id_}`: an [[override]] of the recipe skips it")
    return found[0]


def _in_use(recipes: Mapping[NormalizedName, Recipe]) -> Iterator[NormalizedName]:
    return (project for project, recipe in recipes.items() if recipe.package.retired is None)


def _with_dependencies(
    recipes: Mapping[NormalizedName, Recipe], asked: Iterable[NormalizedName]
) -> Iterator[NormalizedName]:
    seen: set[NormalizedName] = set()
    waiting = list(asked)
    while waiting:
        project = waiting.pop(0)
        if project not in seen:
            seen.add(project)
            yield project
            waiting += [canonicalize_name(name) for name in recipes[project].depends.build]


def _versions(recipe: Recipe, package: Requirement | None, wanted: Wanted) -> tuple[Version, ...]:
    versions = tuple(recipe.versions)
    if package is not None and package.specifier:
        fitting = tuple(v for v in versions if package.specifier.contains(v, prereleases=True))
        if not fitting:
            raise UsageError(
                f"no version of {recipe.project} in the recipe fits `{package.specifier}`",
                hint=f"the recipe has {', '.join(map(str, versions))}",
            )
        return fitting
    return versions if wanted.all_versions else versions[:1]


def _targets(recipe: Recipe, wanted: Wanted, config: Config, machines: Machines) -> tuple[BuildIdentifier, ...]:
    own = recipe.targets.build
    if own is not None:
        return _chosen(recipe, own, wanted, config, machines)
    # The defaults of wheelhouse.toml give way to what was asked for, where they have nothing for it.
    found = () if wanted.only else _chosen(recipe, config.targets.build, wanted, config, machines)
    return found or (_chosen(recipe, ("*",), wanted, config, machines) if wanted.pythons or wanted.only else ())


def _chosen(
    recipe: Recipe, build: tuple[str, ...], wanted: Wanted, config: Config, machines: Machines
) -> tuple[BuildIdentifier, ...]:
    selection = Selection(
        build=build,
        skip=config.targets.skip + recipe.targets.skip,
        archs=_archs(wanted, config, machines),
        pythons=frozenset(wanted.pythons) or None,
        families=None if wanted.only else _families(build, machines),
    )
    patterns = " ".join(wanted.only)
    return tuple(
        target
        for target in selection.identifiers()
        # PyPy and GraalPy only where a selector names them.
        if (target.implementation == "cp" or build != ("*",) or wanted.only)
        and (not patterns or matches(patterns, str(target)))
    )


def _families(build: Iterable[str], machines: Machines) -> frozenset[str]:
    patterns = " ".join(build)
    return frozenset({*machines.families, *(family for family in machines.named if f"-{family}" in patterns)})


def _archs(wanted: Wanted, config: Config, machines: Machines) -> frozenset[str] | None:
    names = wanted.archs or (("all",) if wanted.only else config.targets.archs)
    if "all" in names:
        return None
    return frozenset().union(*(machines.archs if name == "auto" else {name} for name in names))


def _nothing_selected(recipe: Recipe, wanted: Wanted, config: Config, machines: Machines) -> UsageError:
    asked = [
        *(f"--python {python}" for python in wanted.pythons),
        *(f"--arch {arch}" for arch in wanted.archs),
        *(f"--only '{pattern}'" for pattern in wanted.only),
    ]
    build = config.targets.build if recipe.targets.build is None else recipe.targets.build
    return UsageError(
        f"{recipe.project} has no target {'that fits ' + ' '.join(asked) if asked else machines.where}",
        hint=f"it is built for {' '.join(build)}"
        + (f", but not for {' '.join(skip)}" if (skip := config.targets.skip + recipe.targets.skip) else "")
        + "; `cibuildwheel --print-build-identifiers` shows what there is",
    )
