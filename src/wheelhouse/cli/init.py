"""`wheelhouse init`: a new registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wheelhouse.cli.session import Session


@click.command(
    epilog="""\b
Examples:
  wheelhouse init
  wheelhouse init wheels --package psycopg2
  wheelhouse init --github                   # and the workflows that build it there
"""
)
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--package", metavar="NAME", help="Project of the first recipe; its newest sdist is looked up on the index."
)
@click.option(
    "--github", is_flag=True, help="Workflows for GitHub Actions too; to a registry that is there, these only."
)
@pass_session
def init(session: Session, *, folder: Path, package: str | None, github: bool) -> None:
    """Make a registry in FOLDER (default: here): wheelhouse.toml, recipes/ and a first recipe. Overwrites nothing."""
    from wheelhouse.config import FILE_NAME, Config, index_url  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.workflows import workflow_files  # noqa: PLC0415 - likewise
    from wheelhouse.scaffold import FIRST, newest_sdist, registry_files, write_registry  # noqa: PLC0415 - likewise

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder")
    root = folder.absolute()
    workflows = workflow_files(root) if github else {}
    if github and package is None and (root / FILE_NAME).is_file():
        write_registry(workflows)
        _list(workflows, folder, root)
        if not session.quiet:
            click.echo("\nNext:", err=True)
            _next_on_github()
        return
    registry_files(root, None)  # refuses before the index is asked
    sdist = None if package is None else newest_sdist(package, index=index_url(Config(), os.environ))
    files = {**registry_files(root, sdist), **workflows}
    write_registry(files)
    _list(files, folder, root)
    if not session.quiet:
        _next_steps(folder, FIRST if sdist is None else sdist.name)
        if github:
            _next_on_github()


def _list(files: Iterable[Path], folder: Path, root: Path) -> None:
    for path in files:
        click.echo(str(path.relative_to(root) if folder == Path() else folder / path.relative_to(root)))


def _next_steps(folder: Path, name: str) -> None:
    click.echo("\nNext:", err=True)
    if folder != Path():
        click.echo(f"  cd {folder}", err=True)
    click.echo("  wheelhouse recipe lint", err=True)
    click.echo(f"  wheelhouse build {name}", err=True)
    click.echo("  wheelhouse recipe schema > recipe.schema.json    # for your editor", err=True)


def _next_on_github() -> None:
    click.echo("  git add . && git commit && git push              # pull requests are planned and built", err=True)
    click.echo(
        "  gh variable set WHEELHOUSE_INDEX_URL             # where main publishes to; without it, nowhere", err=True
    )
