"""`wheelhouse token`: who may do what on the index."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.audit import note
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.index.access.tokens import Token, TokenFile

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of the index: the password to the user name `__token__`."""


@token.command(
    epilog="""\b
Examples:
  wheelhouse token create ci --scope 'upload:acme-*' --scope 'read:*'
  wheelhouse token create laptop --scope 'read:*' --expires never
  wheelhouse token create release --scope 'upload:*' --scope 'yank:*' --expires 4w --json
"""
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    metavar="ACTION:PROJECTS",
    multiple=True,
    required=True,
    help="What it may do (read, upload, yank, delete, admin, metrics), and to which projects. Several can be given.",
)
@click.option(
    "--expires", metavar="TIME", default="90d", show_default=True, help="For how long: `12h`, `90d`, `4w` or `never`."
)
@click.option("--json", "as_json", is_flag=True, help="Print the token with all that is known of it.")
@pass_session
def create(session: Session, /, *, name: str, scopes: tuple[str, ...], expires: str, as_json: bool) -> None:
    """Make a token and print it: it is shown this once, and kept nowhere but as a hash."""
    from wheelhouse.index.access.auth import utc_now  # noqa: PLC0415 - start-up time
    from wheelhouse.index.access.scopes import Scope  # noqa: PLC0415 - likewise

    parsed = [Scope.parse(scope) for scope in scopes]
    tokens = _tokens(session)
    text = tokens.create(name, scopes=parsed, now=utc_now(), lifetime=_lifetime(expires))
    note(session, "create-token", reason=f"{name}: {' '.join(map(str, parsed))}, expires {expires}")
    if as_json:
        made = next(found for found in tokens.list() if found.name == name)
        session.json({"token": text, **_told(made)})
    else:
        click.echo(text)
    session.talk.print(f"token {name}: keep it now, it is not shown again. User name: __token__", markup=False)


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@pass_session
def list_(session: Session, /, *, as_json: bool) -> None:
    """List the tokens; their secrets are known to nobody."""
    from rich.table import Table  # noqa: PLC0415 - start-up time

    from wheelhouse.index.access.auth import utc_now  # noqa: PLC0415 - likewise

    tokens = _tokens(session).list()
    if as_json:
        session.json([_told(found) for found in tokens])
        return
    table = Table("name", "scopes", "expires", "last used", box=None, pad_edge=False)
    for found in tokens:
        over = " (over)" if found.expired(utc_now()) else ""
        table.add_row(found.name, " ".join(found.scopes), f"{_day(found, 'expires')}{over}", _day(found, "last_used"))
    session.data.print(table)


@token.command()
@click.argument("name")
@pass_session
def revoke(session: Session, /, *, name: str) -> None:
    """Take a token away; servers refuse it from their next request on."""
    _tokens(session).revoke(name)
    note(session, "revoke-token", reason=name)
    session.talk.print(f"token {name} is revoked", markup=False)


def _tokens(session: Session) -> TokenFile:
    from wheelhouse.index.access.tokens import TokenFile  # noqa: PLC0415 - likewise
    from wheelhouse.index.environment import with_variables  # noqa: PLC0415 - start-up time
    from wheelhouse.index.settings import tokens_file  # noqa: PLC0415 - likewise

    serve = with_variables(session.workspace.config.serve, os.environ)
    return TokenFile(tokens_file(session.workspace, serve))


def _told(found: Token) -> dict[str, Any]:
    return found.model_dump(mode="json", exclude={"sha256", "claims"})


def _day(found: Token, field: str) -> str:
    moment = found.expires if field == "expires" else found.last_used
    return "never" if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")


def _lifetime(text: str) -> timedelta | None:
    if text == "never":
        return None
    form = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if form is None:
        raise UsageError(f"`{text}` is no time for --expires", hint="as in `12h`, `90d`, `4w`, or `never`")
    return int(form[1]) * _UNITS[form[2]]
