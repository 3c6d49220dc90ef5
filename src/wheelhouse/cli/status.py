"""`wheelhouse status`: which recipes upstream has made unnecessary, which are behind, which fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wheelhouse.cli.completion import recipe_names
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.cli.session import Session
    from wheelhouse.job import Job
    from wheelhouse.lifecycle.standing import Standing
    from wheelhouse.recipe import Recipe


@click.command(
    epilog="""\b
Examples:
  wheelhouse status
  wheelhouse status psycopg2 --json
"""
)
@click.argument("names", nargs=-1, shell_complete=recipe_names)
@click.option("--json", "as_json", is_flag=True, help="Print where each recipe stands as JSON.")
@pass_session
def status(session: Session, *, names: tuple[str, ...], as_json: bool) -> None:
    """Tell where recipes stand (default: all), by what the index has and by the last builds here.

    Unnecessary: upstream's newest version has wheels for everything that the recipe builds for. Behind: upstream has a
    newer version. Failing: the last attempt at a job of its newest version failed.
    """
    from wheelhouse.cli.recipe_bump import ask_upstream  # noqa: PLC0415 - start-up time
    from wheelhouse.lifecycle.standing import standing  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    loaded = session.registry.load(names or None)
    wanted = {session.registry.recipe(name).project for name in names} or set(loaded)
    recipes = [loaded[project] for project in sorted(wanted)]
    known = ask_upstream(session, recipes)
    latest = Results(session.workspace).latest
    found = [
        standing(recipe, _jobs(session, loaded, recipe), known[recipe.project], latest=latest) for recipe in recipes
    ]
    if as_json:
        session.json([entry.to_json() for entry in found])
        return
    for entry in found:
        for remark in entry.remarks:
            click.echo(f"{entry.project} {entry.version}: {remark}")
    if not session.quiet:
        click.echo(_count(found), err=True)


def _jobs(session: Session, loaded: Mapping[NormalizedName, Recipe], recipe: Recipe) -> Sequence[Job]:
    """Return the jobs of the recipe's newest version; none where nothing is left to build for on this machine."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - start-up time

    from wheelhouse.selection import Wanted, select_jobs  # noqa: PLC0415 - likewise

    try:
        jobs = select_jobs(loaded, Wanted(packages=(Requirement(recipe.project),)), session.workspace.config)
    except UsageError:
        return ()
    return [job for job in jobs if job.project == recipe.project]


def _count(found: Sequence[Standing]) -> str:
    counts = {
        "unnecessary": sum(entry.unnecessary for entry in found),
        "behind": sum(entry.behind for entry in found),
        "failing": sum(bool(entry.failing) for entry in found),
        "retired": sum(entry.retired is not None for entry in found),
    }
    return f"{len(found)} recipe{'' if len(found) == 1 else 's'}: " + ", ".join(
        f"{number} {word}" for word, number in counts.items()
    )
