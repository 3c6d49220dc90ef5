"""`wheelhouse recipe bump` and `wheelhouse recipe retire`: recipes as upstream goes on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.completion import recipe_names
from wheelhouse.cli.github import outputs_file, write_outputs
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import JobsFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.cli.session import Session
    from wheelhouse.errors import SourceError
    from wheelhouse.lifecycle.bumping import Bump
    from wheelhouse.lifecycle.upstream import Release
    from wheelhouse.recipe import Recipe

#: Status of `bump --check` where something is to be done.
_NEWER = 1


@click.command(
    epilog="""\b
Examples:
  wheelhouse recipe bump psycopg2
  wheelhouse recipe bump --all --json          # what a nightly workflow makes pull requests of
  wheelhouse recipe bump --all --check         # write nothing; exit status 1 where there is something newer
"""
)
@click.argument("names", nargs=-1, shell_complete=recipe_names)
@click.option("--all", "everything", is_flag=True, help="Every recipe that is not retired.")
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 where upstream has something newer.")
@click.option("--keep", is_flag=True, help="Keep the version that was the newest, below the new one.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each recipe as JSON.")
@click.option("--github-output", is_flag=True, help="As --check; write `projects` that are behind to $GITHUB_OUTPUT.")
@pass_session
def bump(
    session: Session,
    *,
    names: tuple[str, ...],
    everything: bool,
    check: bool,
    keep: bool,
    as_json: bool,
    github_output: bool,
) -> int:
    """Write upstream's newest versions into recipes, with their hashes from the index.

    Yanked versions and prereleases are passed over. A recipe's patches are tried on the new source first; where one
    does not apply the recipe stays as it is, and exit status 3 tells of it. Comments and layout stay.
    """
    from wheelhouse.farm.github import MOST_CELLS  # noqa: PLC0415 - start-up time
    from wheelhouse.lifecycle.bumping import bump as bring_up  # noqa: PLC0415 - likewise

    outputs = outputs_file() if github_output else None
    check = check or github_output
    recipes = chosen_recipes(session, names, everything=everything)
    known = ask_upstream(session, recipes)
    cache = session.workspace.cache
    bumps = [bring_up(recipe, known[recipe.project], cache=cache, writing=not check, keep=keep) for recipe in recipes]
    if outputs is not None:
        behind = [entry.project for entry in bumps if entry.state == "newer"]
        write_outputs(outputs, {"projects": json.dumps(behind[:MOST_CELLS])})  # the others tomorrow
    if as_json:
        session.json([entry.to_json() for entry in bumps])
    else:
        for entry in bumps:
            if entry.state != "current":
                click.echo(_line(entry))
        if not session.quiet:
            current = sum(entry.state == "current" for entry in bumps)
            click.echo(f"upstream's newest version is in {current} of {len(bumps)} recipes", err=True)
    if any(entry.state in {"refused", "unknown"} for entry in bumps):
        return JobsFailedError.exit_code
    return _NEWER if outputs is None and any(entry.state == "newer" for entry in bumps) else 0


@click.command(
    epilog="""\b
Examples:
  wheelhouse recipe retire psutil --reason "upstream has wheels for all our machines"
  wheelhouse recipe retire psutil --undo
"""
)
@click.argument("name", shell_complete=recipe_names)
@click.option("--reason", help="Why, for whoever looks for its wheels.")
@click.option("--undo", is_flag=True, help="Take it back into use.")
@pass_session
def retire(session: Session, *, name: str, reason: str | None, undo: bool) -> None:
    """Leave a recipe out of --all, `bump --all` and the like: package.retired. It can still be built by its name."""
    from wheelhouse.lifecycle.editing import read_document, set_values, write_document  # noqa: PLC0415 - start-up time

    if undo == bool(reason):
        raise UsageError("give a --reason, or say --undo")
    recipe = session.registry.recipe(name)
    path = session.registry.path(name)
    document = read_document(path)
    if undo:
        document.get("package", {}).pop("retired", None)
    else:
        set_values(document, "package", {"retired": reason})
    write_document(path, document)
    if not session.quiet:
        click.echo(f"{recipe.project} is {'in use again' if undo else 'retired'}: {path}", err=True)


def chosen_recipes(session: Session, names: Sequence[str], *, everything: bool) -> list[Recipe]:
    """Return the recipes that are named, or all in use. Raises UsageError, InvalidFileError."""
    if bool(names) == everything:
        raise UsageError("name recipes, or say --all", hint="`wheelhouse recipe list` shows them")
    if names:
        return [session.registry.recipe(name) for name in dict.fromkeys(names)]
    return [recipe for _, recipe in sorted(session.registry.load().items()) if recipe.package.retired is None]


def ask_upstream(
    session: Session, recipes: Iterable[Recipe]
) -> Mapping[NormalizedName, tuple[Release, ...] | SourceError]:
    """Ask the index that sources come from for what it has of these projects."""
    from wheelhouse.config import index_url  # noqa: PLC0415 - start-up time
    from wheelhouse.lifecycle.upstream import ask  # noqa: PLC0415 - likewise

    index = index_url(session.workspace.config, os.environ)
    return ask([recipe.project for recipe in recipes], index=index)


def _line(entry: Bump) -> str:
    if entry.state == "unknown":
        return f"{entry.project} {entry.before}: {entry.reason}"
    words = {"newer": "there is", "bumped": "->", "refused": "left as it is, though there is"}[entry.state]
    return f"{entry.project} {entry.before} {words} {entry.after}" + (f": {entry.reason}" if entry.reason else "")
