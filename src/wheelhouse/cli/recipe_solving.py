"""An sdist in; its recipe's place, and the recipe solved there, with those of its requirements, out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.errors import SourceError, UsageError

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from wheelhouse.cli.session import Session
    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.solving import Solution
    from wheelhouse.lifecycle.survey import Survey
    from wheelhouse.lifecycle.upstream import Release
    from wheelhouse.record import Record

#: Requirements of requirements that recipes are written of.
_DEEPEST = 3
#: Older versions that are built, one after the other.
_MOST_OLDER = 10


def look(session: Session, project: str) -> tuple[Found, Survey]:
    """Fetch an sdist and read what it says. Raises UsageError, SourceError."""
    return read(session, project, None)[:2]


def read(session: Session, project: str, word: str | None) -> tuple[Found, Survey, bool]:
    """Fetch an sdist, read what it says, and whether its source has a word. Raises UsageError, SourceError."""
    import tempfile  # noqa: PLC0415 - start-up time

    from wheelhouse.config import index_url  # noqa: PLC0415 - likewise
    from wheelhouse.diagnose.lookup import KnownPackages  # noqa: PLC0415 - likewise
    from wheelhouse.lifecycle.sdist import find_sdist  # noqa: PLC0415 - likewise
    from wheelhouse.lifecycle.survey import mentions, survey  # noqa: PLC0415 - likewise
    from wheelhouse.source.archive import unpack  # noqa: PLC0415 - likewise

    workspace = session.workspace
    found = find_sdist(project, cache=workspace.cache, index=lambda: index_url(workspace.config, os.environ))
    with tempfile.TemporaryDirectory(prefix="wheelhouse-new-") as folder:
        unpacked = unpack(found.archive, Path(folder) / "source")
        # The table alone: what only this machine's own index knows would be guessed for one family and no other.
        said = survey(unpacked.top, epoch=unpacked.epoch, lookup=KnownPackages())
        return found, said, word is not None and mentions(unpacked.top, word)


def place(session: Session, found: Found) -> Path:
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
class Solver:
    """Solves recipes as one command was told to, and those of requirements that have no wheel with them."""

    session: Session
    install: bool
    builder: str
    python: str | None
    rounds: int
    others: list[tuple[Found, Solution]] = field(default_factory=list)
    _depth: int = 0

    def solve(self, path: Path, found: Found) -> Solution:
        """Solve the recipe of this very version. Raises CanceledError."""
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

    def run(self, path: Path, found: Found, said: Survey, *, pinned: bool) -> tuple[Found, Survey, Solution]:
        """Solve the recipe; `pinned`: of no other version. Returns what was solved in the end."""
        solution = self.solve(path, found)
        return (found, said, solution) if pinned or not solution.reason else self._or_older(path, found, said, solution)

    def _or_older(self, path: Path, found: Found, said: Survey, solution: Solution) -> tuple[Found, Survey, Solution]:
        """Solve an older version where a newer one asks for what this machine lacks; else leave all as it is."""
        from wheelhouse.lifecycle.draft import recipe_text  # noqa: PLC0415 - start-up time
        from wheelhouse.lifecycle.editing import write_text  # noqa: PLC0415 - likewise
        from wheelhouse.lifecycle.older import lacking, older_without  # noqa: PLC0415 - likewise

        before = path.read_text("utf-8")
        releases: tuple[Release, ...] | None = None
        reason, version, tried = solution.reason, found, solution
        for _ in range(_MOST_OLDER):
            lack = lacking([turn.record for turn in tried.rounds])
            if lack is None:
                break
            releases = self._releases(found) if releases is None else releases
            chosen = older_without(lack, version, releases=releases, look=self._look)
            if chosen is None:
                break
            older, told = chosen
            self._tell(f"{version.version} needs {lack.what}, which is not here; trying {older.version}")
            write_text(path, recipe_text(older, told))
            version, tried = older, self.solve(path, older)
            if not tried.reason:
                return older, told, tried
            said_then = tried.reason.partition("; what might help")[0]
            reason += f"; {older.version} has no wheel either: {said_then}"
        if version is not found:
            write_text(path, before)
        return found, said, replace(solution, reason=reason)

    def _releases(self, found: Found) -> tuple[Release, ...]:
        from wheelhouse.config import index_url  # noqa: PLC0415 - start-up time
        from wheelhouse.lifecycle.upstream import ask  # noqa: PLC0415 - likewise

        known = ask([found.project], index=index_url(self.session.workspace.config, os.environ))[found.project]
        return () if isinstance(known, SourceError) else known

    def _look(self, wanted: str, word: str | None) -> tuple[Found, Survey, bool]:
        return read(self.session, wanted, word)

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
            found, said = look(self.session, project)
        except (SourceError, UsageError) as error:
            self._tell(f"{project} has no wheel, and no recipe can be written: {error}")
            return
        path = place(self.session, found)
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
