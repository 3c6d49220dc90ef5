"""`wheelhouse index audit`: who did what on the index, and who tried."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from wheelhouse.cli.session import Session
    from wheelhouse.index.access.audit import AuditEvent

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.command(
    epilog="""\b
Examples:
  wheelhouse index audit --since 7d
  wheelhouse index audit --project psycopg2 --json | jq 'select(.outcome == "denied")'
"""
)
@click.option("--project", metavar="NAME", help="Of this project only.")
@click.option("--since", metavar="TIME", help="For how long back, as `12h`, `7d`, `4w`; or from a day, as 2026-11-30.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_session
def audit(session: Session, /, *, project: str | None, since: str | None, as_json: bool) -> None:
    """Show what was done on the index of this workspace, the oldest first: uploads, yanks, tokens, denied tries."""
    from wheelhouse.index.access.audit import AuditLog  # noqa: PLC0415 - start-up time
    from wheelhouse.index.model import parse_project  # noqa: PLC0415 - likewise
    from wheelhouse.index.settings import audit_folder  # noqa: PLC0415 - likewise

    log = AuditLog(folder=audit_folder(session.workspace))
    name = None if project is None else parse_project(project)
    for event in log.events(since=_moment(since) if since else None, project=name):
        click.echo(event.model_dump_json(exclude_defaults=True) if as_json else _line(event))


def note(
    session: Session,
    action: str,
    *,
    project: NormalizedName | None = None,
    filename: str | None = None,
    reason: str | None = None,
) -> None:
    """Write down that whoever may write in the workspace has done something."""
    from wheelhouse.index.access.audit import AuditAction, AuditEvent, AuditLog, AuditOutcome  # noqa: PLC0415 - start-up time
    from wheelhouse.index.settings import audit_folder  # noqa: PLC0415 - likewise

    event = AuditEvent(
        time=datetime.now(UTC),
        action=AuditAction(action),
        outcome=AuditOutcome.DONE,
        project=project,
        filename=filename,
        who="command-line",
        reason=reason or "",
    )
    AuditLog(folder=audit_folder(session.workspace)).record(event)


def _line(event: AuditEvent) -> str:
    """Return an event as one line that does nothing to a terminal: much of it is what strangers sent."""
    claims = "".join(f" {name}={value}" for name, value in event.claims.items())
    what = event.filename or event.project or ""
    why = f": {event.reason}" if event.reason else ""
    text = f"{event.time:%Y-%m-%d %H:%M:%S} {event.outcome:<7} {event.action} {what} by {event.who}{claims}"
    text += f" from {event.address}{why}" if event.address else why
    return "".join(character if character.isprintable() else " " for character in text)


def _moment(text: str) -> datetime:
    ago = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if ago is not None:
        return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is no time for --since", hint="as in `12h`, `7d`, or 2026-11-30") from None
    return day if day.tzinfo is not None else day.replace(tzinfo=UTC)
