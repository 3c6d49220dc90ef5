"""`wheelhouse recipe`: list, show and lint the recipes of a registry, print their schema; and what changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.completion import recipe_names
from wheelhouse.cli.recipe_bump import bump, retire
from wheelhouse.cli.recipe_new import new
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import InvalidFileError, UsageError

if TYPE_CHECKING:
    from packaging.version import Version

    from wheelhouse.cli.session import Session
    from wheelhouse.errors import Problem
    from wheelhouse.job import Job
    from wheelhouse.recipe import Recipe
    from wheelhouse.recipe_lint import Report


@click.group()
def recipe() -> None:
    """Make recipes, keep them up to date, and look at those of a registry: list, show, lint; and their schema."""


recipe.add_command(new)
recipe.add_command(bump)
recipe.add_command(retire)


@recipe.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the recipes as JSON.")
@pass_session
def list_recipes(session: Session, *, as_json: bool) -> None:
    """List all recipes with their versions, newest first."""
    survey = session.registry.survey()
    recipes = [survey.recipes[name] for name in sorted(survey.recipes)]
    if as_json:
        session.json([_summary(entry) for entry in recipes])
    else:
        width = max((len(entry.project) for entry in recipes), default=0)
        for entry in recipes:
            click.echo(f"{entry.project:<{width}}  {', '.join(table.version for table in entry.version)}")
    if survey.problems:
        raise _invalid(session, survey.problems)
    if not recipes and not as_json:
        click.echo(f"no recipes in {session.registry.folder}", err=True)


@recipe.command()
@click.argument("name", shell_complete=recipe_names)
@click.option("--target", metavar="ID", help="Show the job for this build identifier, with all overrides resolved.")
@click.option("--version", metavar="VERSION", help="With --target: the version. [default: the newest]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_session
def show(session: Session, *, name: str, target: str | None, version: str | None, as_json: bool) -> None:
    """Show one recipe; with --target, the job that it comes to."""
    found = session.registry.recipe(name)
    if target is None:
        if version is not None:
            raise UsageError("--version goes with --target", hint=f"all versions: `wheelhouse recipe show {name}`")
        targets = _targets(session, found)
        shown: object = targets if as_json else f"{_plural(len(targets), 'build identifier')}; --json lists them"
        _print(session, _summary(found) | {"targets": shown} | _tables(found), as_json=as_json)
    else:
        _print(session, _job(_resolve(session, found, version, target)), as_json=as_json)


@recipe.command()
@click.argument("names", nargs=-1, shell_complete=recipe_names)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@pass_session
def lint(session: Session, *, names: tuple[str, ...], as_json: bool) -> int:
    """Tell everything that is wrong with recipes (default: all), in one go. Ends with status 4 if anything is."""
    from wheelhouse.recipe_lint import lint as look_at  # noqa: PLC0415 - start-up time

    report = look_at(session.registry, session.workspace.config, names or None)
    if as_json:
        session.json([*_findings("error", report.problems), *_findings("warning", report.advice)])
    else:
        for problem in report.problems:
            click.echo(f"{click.style('error', fg='red')}: {problem}")
        for problem in report.advice:
            click.echo(f"{click.style('warning', fg='yellow')}: {problem}")
    if not session.quiet:
        click.echo(_count(report), err=True)
    return InvalidFileError.exit_code if report.problems else 0


@recipe.command()
@click.option("--config", "for_config", is_flag=True, help="The schema of wheelhouse.toml, not of recipe.toml.")
@pass_session
def schema(session: Session, *, for_config: bool) -> None:
    """Print the JSON Schema of recipe.toml, for editors."""
    from wheelhouse.recipe_schema import config_schema, recipe_schema  # noqa: PLC0415 - start-up time

    session.json(config_schema() if for_config else recipe_schema())


def _invalid(session: Session, problems: tuple[Problem, ...]) -> InvalidFileError:
    return InvalidFileError(
        f"{_plural(len(problems), 'problem')} in the recipes of {session.registry.folder}", problems=problems
    )


def _summary(entry: Recipe) -> dict[str, Any]:
    return {
        "name": entry.project,
        "versions": [table.version for table in entry.version],
        "import-names": list(entry.import_names),
        "depends": list(entry.depends.build),
        "folder": str(entry.folder),
    }


def _tables(entry: Recipe) -> dict[str, Any]:
    """Return the recipe as written: only the keys that it has."""
    return {"recipe": entry.model_dump(mode="json", exclude_unset=True)}


def _targets(session: Session, entry: Recipe) -> list[str]:
    from wheelhouse.target import Selection  # noqa: PLC0415 - start-up time

    defaults = session.workspace.config.targets
    build = defaults.build if entry.targets.build is None else entry.targets.build
    skip = defaults.skip + entry.targets.skip
    families = frozenset({"manylinux", "musllinux", "macosx", "win"})
    return [str(target) for target in Selection(build=build, skip=skip, families=families).identifiers()]


def _resolve(session: Session, entry: Recipe, version: str | None, target: str) -> Job:
    from wheelhouse.job import make_job  # noqa: PLC0415 - start-up time
    from wheelhouse.target import BuildIdentifier  # noqa: PLC0415 - likewise

    identifier = BuildIdentifier.parse(target)
    job = make_job(entry, _version(entry, version), identifier, session.workspace.config)
    if job is None:
        reasons = [o.reason for o in entry.override if o.skip]
        raise UsageError(
            f"{entry.project} is not built for {identifier}",
            hint=f"an [[override]] of the recipe skips it: {'; '.join(reasons)}",
        )
    return job


def _version(entry: Recipe, text: str | None) -> Version:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - start-up time

    if text is None:
        return next(iter(entry.versions))
    try:
        version = Version(text)
    except InvalidVersion:
        raise UsageError(f"`{text}` is not a version (PEP 440)") from None
    if version not in entry.versions:
        known = ", ".join(str(known) for known in entry.versions)
        raise UsageError(f"the recipe of {entry.project} has no version {version}", hint=f"it has {known}")
    return version


def _job(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "source": {
            "url": job.source.url or "the sdist on the index",
            "sha256": job.source.sha256,
            "patches": [str(patch.path) for patch in job.source.patches],
            "subdirectory": job.source.subdirectory,
        },
        "build-number": job.build_number,
        "system-packages": job.system_packages.model_dump(mode="json"),
        "build": {
            "requires": list(job.requires),
            "constraints": list(job.constraints),
            "environment": dict(job.environment),
            "config-settings": dict(job.config_settings),
            "toolchain": job.toolchain,
            "extension": job.extension,
            "abi3": job.abi3,
        },
        "cibuildwheel": dict(job.cibuildwheel),
        "image": job.image,
        "repair": {
            "allow-grafted": list(job.repair.allow_grafted),
            "exclude": list(job.repair.exclude),
            "strip": job.repair.strip,
        },
        "test": {
            "imports": list(job.test.imports),
            "command": job.test.command,
            "requires": list(job.test.requires),
        },
        "timeout": job.timeout,
        "memory": job.memory,
        "depends": list(job.depends),
    }


def _print(session: Session, value: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        session.json(value)
    else:
        for line in _lines(value):
            click.echo(line)


def _lines(value: dict[str, Any], prefix: str = "") -> list[str]:
    """Return `key: value` lines; tables indented, what is empty left out."""
    lines: list[str] = []
    for key, inner in value.items():
        if inner in (None, "", [], {}):
            continue
        if isinstance(inner, dict):
            if within := _lines(inner, f"{prefix}  "):
                lines += [f"{prefix}{key}:", *within]
        elif isinstance(inner, list) and any(isinstance(item, dict) for item in inner):
            for number, item in enumerate(inner):
                lines += [f"{prefix}{key}[{number}]:", *_lines(item, f"{prefix}  ")]
        else:
            lines.append(f"{prefix}{key}: {_word(inner)}")
    return lines


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _findings(severity: str, problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [
        {"severity": severity, "file": str(problem.file), "key": problem.key, "message": problem.message}
        for problem in problems
    ]


def _count(report: Report) -> str:
    looked = _plural(report.recipes, "recipe")
    return f"{looked}: {_plural(len(report.problems), 'problem')}, {_plural(len(report.advice), 'warning')}"


def _plural(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
