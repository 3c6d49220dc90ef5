"""`wheelhouse recipe new`: from a project's name to its recipe, and with --solve to a checked wheel."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import JobsFailedError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.cli.session import Session
    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.solving import Solution
    from wheelhouse.lifecycle.survey import Survey
    from wheelhouse.record import Record

#: Requirements of requirements that recipes are written of.
_DEEPEST = 3


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
    nobody has a wheel of gets a recipe too. Exit status 3 says that this did not come about, with the reason in words.
    """
    from wheelhouse.lifecycle.draft import recipe_text  # noqa: PLC0415 - start-up time
    from wheelhouse.lifecycle.editing import write_text  # noqa: PLC0415 - likewise

    if (install or python) and not solving:
        raise UsageError("--install and --python go with --solve")
    if solving and printing:
        raise UsageError("--print writes no recipe that --solve could build", hint="leave one of them out")
    found, said = _look(session, project)
    text = recipe_text(found, said)
    if printing:
        click.echo(text, nl=False)
        return 0
    path = _place(session, found)
    write_text(path, text)
    if not session.quiet:
        click.echo(f"wrote {path}", err=True)
    solution, others = None, []
    if solving:
        solver = _Solver(session=session, install=install, builder=builder, python=python, rounds=rounds)
        solution, others = solver.solve(path, found), solver.others
    if as_json:
        session.json(_account(found, said, path, solution, others))
    elif solution is None:
        click.echo(path)
    elif solution.reason:
        click.echo(f"{click.style('no wheel:', fg='red', bold=True)} {solution.reason}", err=True)
    elif solution.record is not None and solution.record.wheel is not None:
        click.echo(session.workspace.dist / solution.record.wheel.filename)
    return JobsFailedError.exit_code if solution is not None and solution.reason else 0


def _look(session: Session, project: str) -> tuple[Found, Survey]:
    import tempfile  # noqa: PLC0415 - start-up time

    from wheelhouse.config import index_url  # noqa: PLC0415 - likewise
    from wheelhouse.diagnose.lookup import KnownPackages  # noqa: PLC0415 - likewise
    from wheelhouse.lifecycle.sdist import find_sdist  # noqa: PLC0415 - likewise
    from wheelhouse.lifecycle.survey import survey  # noqa: PLC0415 - likewise
    from wheelhouse.source.archive import unpack  # noqa: PLC0415 - likewise

    workspace = session.workspace
    found = find_sdist(project, cache=workspace.cache, index=lambda: index_url(workspace.config, os.environ))
    with tempfile.TemporaryDirectory(prefix="wheelhouse-new-") as folder:
        unpacked = unpack(found.archive, Path(folder) / "source")
        # The table alone: what only this machine's own index knows would be guessed for one family and no other.
        said = survey(unpacked.top, epoch=unpacked.epoch, lookup=KnownPackages())
    return found, said


def _place(session: Session, found: Found) -> Path:
    """Return where the recipe goes. Raises UsageError where there is one, or no registry to write to."""
    from wheelhouse.config import bundled  # noqa: PLC0415 - start-up time
    from wheelhouse.recipe import FILE_NAME  # noqa: PLC0415 - likewise

    folder = session.workspace.registry
    here = Path.cwd()
    if folder.parent == bundled() and bundled() not in (here, *here.parents):
        raise UsageError("there is no registry here to write to", hint="`wheelhouse init` makes one")
    path = folder / found.project / FILE_NAME
    if path.exists():
        raise UsageError(
            f"{path} is there already, and nothing was changed",
            hint=f"`wheelhouse recipe bump {found.project}` adds a version; --print shows what would be written",
        )
    return path


@dataclass(kw_only=True)
class _Solver:
    """Solves recipes as one command was told to, and those of requirements that have no wheel with them."""

    session: Session
    install: bool
    builder: str
    python: str | None
    rounds: int
    others: list[tuple[Found, Solution]] = field(default_factory=list)
    _depth: int = 0

    def solve(self, path: Path, found: Found) -> Solution:
        from wheelhouse.lifecycle.machine import Debian, Images  # noqa: PLC0415 - start-up time
        from wheelhouse.lifecycle.solving import solve  # noqa: PLC0415 - likewise
        from wheelhouse.process import Processes  # noqa: PLC0415 - likewise

        on_host = self.builder == "host"
        return solve(
            path,
            build=lambda: self._build(found),
            dist=self.session.workspace.dist,
            machine=Debian(processes=Processes(), may_install=self.install) if on_host else Images(),
            registry=self.session.registry.projects,
            tell=self._tell,
            supply=self._supply if self._depth < _DEEPEST else None,
            rounds=self.rounds,
        )

    def _build(self, found: Found) -> Record:
        from wheelhouse.cli.build import build_once  # noqa: PLC0415 - start-up time
        from wheelhouse.cli.selecting import Selected  # noqa: PLC0415 - likewise

        selected = Selected(
            packages=(found.project,),
            everything=False,
            all_versions=False,
            pythons=(self.python or f"{sys.version_info[0]}.{sys.version_info[1]}",),
            archs=("auto",),
            only=(),
            builder="host" if self.builder == "host" else "cibuildwheel",
            force=True,
        )
        records = build_once(self.session, selected)
        failed = [record for record in records if record.status == "failed"]
        own = [record for record in records if record.project == found.project]
        return (failed or own)[0]

    def _supply(self, project: NormalizedName) -> None:
        """Write and solve the recipe of a requirement; why it cannot be had is told, and is no error of its own."""
        from wheelhouse.lifecycle.draft import recipe_text  # noqa: PLC0415 - start-up time
        from wheelhouse.lifecycle.editing import write_text  # noqa: PLC0415 - likewise

        try:
            found, said = _look(self.session, project)
        except (SourceError, UsageError) as error:
            self._tell(f"{project} has no wheel, and no recipe can be written: {error}")
            return
        path = _place(self.session, found)
        write_text(path, recipe_text(found, said))
        self._tell(f"{project} has no wheel: wrote {path}")
        self._depth += 1
        solution = self.solve(path, found)
        self._depth -= 1
        self.others.append((found, solution))
        if solution.reason:
            self._tell(f"{project}: no wheel: {solution.reason}")

    def _tell(self, text: str) -> None:
        if not self.session.quiet:
            click.echo(text, err=True)


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
