"""`wheelhouse index`: look after what the index has, with or without a server running over the same store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.audit import audit
from wheelhouse.cli.index_change import delete, policy, status, unyank, yank
from wheelhouse.cli.index_config import config
from wheelhouse.cli.index_store import PLACE, open_repository
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import StoreDamagedError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session

_as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.group()
@click.option(
    "--store",
    metavar="PLACE",
    envvar="WHEELHOUSE_STORE",
    help="Where files are kept: a folder or s3://bucket/prefix. [default: as `wheelhouse serve` has it]",
)
@click.pass_context
def index(ctx: click.Context, /, *, store: str | None) -> None:
    """Look after the files that `wheelhouse serve` serves: list, yank, delete, verify, export."""
    ctx.meta[PLACE] = store


for _command in (config, audit, yank, unyank, delete, status, policy):
    index.add_command(_command)


@index.command(name="list")
@click.argument("project", required=False)
@_as_json
@pass_session
def list_(session: Session, /, *, project: str | None, as_json: bool) -> None:
    """List the projects of the index, or the files of one."""
    from wheelhouse.index.model import parse_project  # noqa: PLC0415 - start-up time

    repository = open_repository(session)
    if project is None:
        names = repository.projects()
        if as_json:
            session.json(names)
        else:
            click.echo("".join(f"{name}\n" for name in names), nl=False)
        return
    manifest = repository.project(parse_project(project))
    if as_json:
        session.json(manifest.model_dump(mode="json"))
        return
    for file in manifest.files:
        yanked = "" if file.yanked is False else "  yanked" + (f": {file.yanked}" if file.yanked is not True else "")
        click.echo(f"{file.filename}  {file.size} bytes  {file.upload_time:%Y-%m-%d %H:%M} UTC{yanked}")


@index.command()
@_as_json
@pass_session
def verify(session: Session, /, *, as_json: bool) -> None:
    """Read every byte of the store and hold it against the manifests."""
    from wheelhouse.index.changes.verify import verify as verify_store  # noqa: PLC0415 - start-up time

    accounts = []
    for account in verify_store(open_repository(session).store):
        accounts.append(account)
        if not as_json:
            for damage in account.damages:
                where = f"stage {account.stage}: " if account.stage else ""
                click.echo(f"{where}{damage.project}: {damage.filename or 'manifest'}: {damage.message}")
    damages = [damage for account in accounts for damage in account.damages]
    projects = len({account.project for account in accounts if account.files or not account.stage})
    files, size = sum(account.files for account in accounts), sum(account.size for account in accounts)
    if as_json:
        told = [
            {
                "stage": account.stage,
                "project": damage.project,
                "filename": damage.filename,
                "message": damage.message,
            }
            for account in accounts
            for damage in account.damages
        ]
        session.json({"projects": projects, "files": files, "bytes": size, "damages": told})
    session.talk.print(f"{projects} projects, {files} files, {size:,} bytes read", markup=False)
    if damages:
        raise StoreDamagedError(
            f"{len(damages)} files or manifests are not as they were published",
            hint="upload the same wheels again: bytes that are missing or cut short are put back",
        )


@index.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option(
    "--grace",
    "hours",
    metavar="HOURS",
    type=click.IntRange(1),
    default=24,
    show_default=True,
    help="Leave alone what was put later than so many hours ago: it may belong to an upload on its way.",
)
@click.option(
    "--stage-days",
    metavar="DAYS",
    type=click.IntRange(1),
    help="Drop what is staged for longer. [default: `stage-days` under `[serve]`]",
)
@_as_json
@pass_session
def gc(session: Session, /, *, dry_run: bool, hours: int, stage_days: int | None, as_json: bool) -> None:
    """Remove bytes that no project names any more, stages whose time is over, and what crashes left behind."""
    from wheelhouse.index.changes.verify import collect_garbage  # noqa: PLC0415 - start-up time

    garbage = collect_garbage(
        open_repository(session).store,
        now=datetime.now(tz=UTC),
        grace=timedelta(hours=hours),
        stage_life=timedelta(days=stage_days or session.workspace.config.serve.stage_days),
        dry_run=dry_run,
    )
    if as_json:
        told = {"blobs": garbage.blobs, "bytes": garbage.size, "leftovers": garbage.leftovers}
        session.json({**told, "expired": garbage.expired})
    verb = "would be removed" if dry_run else "removed"
    session.talk.print(
        f"{garbage.blobs} orphans of {garbage.size:,} bytes, {garbage.leftovers} leftovers and {garbage.expired} files"
        f" staged too long ago {verb}",
        markup=False,
    )


@index.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--public", metavar="URL", help="Address the folder will be served at; provenance needs it (PEP 740).")
@pass_session
def export(session: Session, /, *, folder: Path, public: str | None) -> None:
    """Write the index as static files: `simple/` and `files/`, for nginx or a bucket. Again: only what has changed."""
    from wheelhouse.index.pages.export import export as export_store  # noqa: PLC0415 - start-up time
    from wheelhouse.index.pages.render import Links  # noqa: PLC0415 - likewise

    done = export_store(open_repository(session).store, folder.absolute(), links=Links(public=public))
    session.talk.print(
        f"{done.projects} projects, {done.files} files in {folder}: {done.written} written, {done.removed} removed",
        markup=False,
    )
