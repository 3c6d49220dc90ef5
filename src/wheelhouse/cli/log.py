"""`wheelhouse log`: the log and the record of a job."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session


def _jobs(session: Session) -> list[str]:
    folder = session.workspace.jobs
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    session = ctx.find_root().obj
    return [job for job in _jobs(session) if job.startswith(incomplete)] if session is not None else []


@click.command(
    epilog="""\b
Examples:
  wheelhouse log                                       # the jobs that have one
  wheelhouse log psycopg2-2.9.10-cp313-manylinux_x86_64
  wheelhouse log psycopg2                              # the latest job of a project
  wheelhouse log psycopg2 --record                     # its record, as JSON
"""
)
@click.argument("job", required=False, shell_complete=_complete)
@click.option("--record", "as_record", is_flag=True, help="The job's record (JSON) instead of its log.")
@pass_session
def log(session: Session, /, *, job: str | None, as_record: bool) -> None:
    """Show the log of a job: of the given id, or the latest whose id begins with the given text."""
    from wheelhouse.record import FILE_NAME, LOG_NAME  # noqa: PLC0415 - start-up time

    jobs = _jobs(session)
    if job is None:
        for name in jobs:
            click.echo(name)
        if not jobs:
            click.echo(f"no job has run yet in {session.workspace.state}", err=True)
        return
    fitting = [name for name in jobs if name == job] or [name for name in jobs if name.startswith(f"{job}-")]
    if not fitting:
        near = difflib.get_close_matches(job, jobs, n=1, cutoff=0.4)
        raise UsageError(
            f"no job `{job}` has run here",
            hint=f"did you mean `{near[0]}`?" if near else "`wheelhouse log` lists those that have",
        )
    folder = session.workspace.jobs
    name = FILE_NAME if as_record else LOG_NAME
    newest = max(fitting, key=lambda id_: (folder / id_).stat().st_mtime)
    path = folder / newest / name
    if not path.is_file():
        raise UsageError(f"{newest} has no {name} yet", hint="it is running, or was stopped before it had one")
    click.echo(path.read_text("utf-8", "replace"), nl=False)
