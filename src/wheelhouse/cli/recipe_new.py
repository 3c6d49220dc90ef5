"""`wheelhouse recipe new`: from a project's name to its recipe, and with --solve to a checked wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from packaging.utils import canonicalize_name

from wheelhouse.cli.recipe_solving import Solver, look, place
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import JobsFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wheelhouse.cli.session import Session
    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.solving import Solution
    from wheelhouse.lifecycle.survey import Survey


@click.command(
    epilog="""\b
Examples:
  wheelhouse recipe new pyaudio                        # recipes/pyaudio/recipe.toml, from what the sdist says
  wheelhouse recipe new pyaudio==0.2.14 --solve        # and build, and mend the recipe, until a wheel passes its checks
  wheelhouse recipe new pyaudio --solve --install      # installing with apt-get what the build turns out to need
  wheelhouse recipe new ./spam-1.0.tar.gz              # of a file, without asking the index
  wheelhouse recipe new pyaudio --print                # only show it
"""
)
@click.argument("project", metavar="PROJECT[==VERSION]|SDIST")
@click.option("--solve", "solving", is_flag=True, help="Build, mend the recipe as the diagnosis says, and build again.")
@click.option("--install", is_flag=True, help="With --solve on the host: install what is missing (apt-get, as root).")
@click.option("--builder", type=click.Choice(["host", "cibuildwheel"]), default="host", help="With --solve.  [host]")
@click.option("--python", metavar="X.Y", help="With --solve: build for this Python. [default: wheelhouse's own]")
@click.option("--rounds", type=click.IntRange(1, 50), default=10, help="With --solve: builds at most. [default: 10]")
@click.option("--print", "printing", is_flag=True, help="Write no file; print the recipe.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found and done as JSON.")
@pass_session
def new(
    session: Session,
    *,
    project: str,
    solving: bool,
    install: bool,
    builder: str,
    python: str | None,
    rounds: int,
    printing: bool,
    as_json: bool,
) -> int:
    """Write the recipe of PROJECT from what its sdist says; nothing of the sdist is run.

    Back end, names, extension modules, licence and system packages are read from its files; a comment says where
    each comes from. With --solve it is then built and mended until a wheel passes all checks; what it requires and
    nobody has a wheel of gets a recipe too, and where no version is named and the newest needs what no system package
    here has, an older one is taken. Exit status 3 says that no wheel came about, with the reason in words.
    """
    from wheelhouse.lifecycle.draft import recipe_text  # noqa: PLC0415 - start-up time
    from wheelhouse.lifecycle.editing import write_text  # noqa: PLC0415 - likewise

    if (install or python) and not solving:
        raise UsageError("--install and --python go with --solve")
    if solving and printing:
        raise UsageError("--print writes no recipe that --solve could build", hint="leave one of them out")
    found, said = look(session, project)
    text = recipe_text(found, said)
    if printing:
        click.echo(text, nl=False)
        return 0
    path = place(session, found)
    write_text(path, text)
    if not session.quiet:
        click.echo(f"wrote {path}", err=True)
    solution, others = None, []
    if solving:
        solver = Solver(session=session, install=install, builder=builder, python=python, rounds=rounds)
        found, said, solution = solver.run(path, found, said, pinned=canonicalize_name(project) != found.project)
        others = solver.others
    if as_json:
        session.json(_account(found, said, path, solution, others))
    elif solution is None:
        click.echo(path)
    elif solution.reason:
        click.echo(f"{click.style('no wheel:', fg='red', bold=True)} {solution.reason}", err=True)
    elif solution.record is not None and solution.record.wheel is not None:
        click.echo(session.workspace.dist / solution.record.wheel.filename)
    return JobsFailedError.exit_code if solution is not None and solution.reason else 0


def _account(
    found: Found, said: Survey, path: Path, solution: Solution | None, others: Sequence[tuple[Found, Solution]]
) -> dict[str, Any]:
    from wheelhouse.lifecycle.wanted import merged  # noqa: PLC0415 - start-up time

    account: dict[str, Any] = {
        "project": found.project,
        "version": str(found.version),
        "sha256": found.sha256,
        "recipe": str(path),
        "backend": said.backend,
        "requires": list(said.requires),
        "licence": list(said.licence.value) if said.licence else [],
        "import-names": list(said.import_names.value) if said.import_names else [],
        "extensions": [{"name": extension.name, "where": extension.where} for extension in said.extensions],
        "system-packages": {family: list(names) for family, names in merged(said.packages).items()},
    }
    if solution is not None:
        account |= _outcome(solution)
        account["requirements"] = [{"project": other.project, **_outcome(theirs)} for other, theirs in others]
    return account


def _outcome(solution: Solution) -> dict[str, Any]:
    record = solution.record
    return {
        "solved": not solution.reason,
        "reason": solution.reason or None,
        "rounds": [entry.to_json() for entry in solution.rounds],
        "wheel": record.wheel.filename if record is not None and record.wheel is not None else None,
    }
