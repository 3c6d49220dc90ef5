"""`wheelhouse summary`: what became of the jobs of a matrix, as Markdown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.farm.summary import Subject


@click.command(
    epilog="""\b
Examples:
  wheelhouse summary                                  # of all that has run here
  wheelhouse summary --matrix matrix.json --planned   # of what is going to be built, for a pull request
  wheelhouse summary --matrix matrix.json --github    # onto the page of a run of GitHub Actions
"""
)
@click.option("--matrix", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="File of `matrix --json`.")
@click.option("--cell", metavar="NAME", help="Only the jobs of this cell.")
@click.option("--planned", is_flag=True, help="What is to be done, whatever was done before.")
@click.option("--github", is_flag=True, help="Append to $GITHUB_STEP_SUMMARY instead of printing.")
@click.option("--comment", is_flag=True, help="Keep it short enough for a comment.")
@pass_session
def summary(
    session: Session, /, *, matrix: Path | None, cell: str | None, planned: bool, github: bool, comment: bool
) -> None:
    """Tell in Markdown what became of jobs: counts, causes of failures, and a grid of projects and targets."""
    from wheelhouse.farm.summary import COMMENT_LIMIT, STEP_LIMIT  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.summary import summary as write  # noqa: PLC0415 - likewise

    if planned and matrix is None:
        raise UsageError("--planned needs a --matrix", hint="`wheelhouse matrix --json` writes one")
    if cell is not None and matrix is None:
        raise UsageError("--cell needs a --matrix", hint="`wheelhouse matrix --json` writes one")
    if github and not os.environ.get("GITHUB_STEP_SUMMARY"):
        raise UsageError("GITHUB_STEP_SUMMARY names no file", hint="--github is for jobs of GitHub Actions")
    page = write(_subject(session, matrix, cell, planned=planned), limit=COMMENT_LIMIT if comment else STEP_LIMIT)
    if not github:
        click.echo(page, nl=False)
        return
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as stream:
        stream.write(page)


def _subject(session: Session, matrix: Path | None, cell: str | None, *, planned: bool) -> Subject:
    from wheelhouse.farm.github import read_matrix  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.summary import Subject  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    results = Results(session.workspace)
    unavailable = {}
    if matrix is None:
        jobs: tuple[str, ...] = tuple(sorted(results.recorded()))
    else:
        made = read_matrix(matrix)
        cells = made.cells if cell is None else (made.cell(cell),)
        jobs = tuple(id_ for one in cells for id_ in one.jobs)
        unavailable = dict(made.unavailable) if cell is None else {}
    begun = results.recorded()
    found = {} if planned else {id_: results.latest(id_) for id_ in jobs if id_ in begun}
    records = {id_: record for id_, record in found.items() if record is not None}
    return Subject(jobs=jobs, unavailable=unavailable, records=records, planned=planned)
