"""`wheelhouse index config`: the lines that a client needs to install from the index."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.index.client_config import Client

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - only compared with


@click.command(
    epilog="""\b
Examples:
  wheelhouse index config pip > ~/.config/pip/pip.conf
  wheelhouse index config uv --url https://wheels.example/ > uv.toml
  wheelhouse index config poetry --url https://wheels.example/ >> pyproject.toml
"""
)
@click.argument("client", type=click.Choice(["pip", "uv", "poetry", "pdm"]))
@click.option("--url", metavar="URL", help="Address of the index. [default: as `wheelhouse serve` has it]")
@click.option("--name", default="wheelhouse", show_default=True, help="What the client calls the index.")
@pass_session
def config(session: Session, /, *, client: Client, url: str | None, name: str) -> None:
    """Print the lines that make a client install from the index and from nowhere else. No token is ever in them."""
    from wheelhouse.index.client_config import Address, client_config  # noqa: PLC0415 - start-up time

    address = Address.parse(url if url is not None else _served(session), name=name)
    click.echo(client_config(client, address), nl=False)


def _served(session: Session) -> str:
    from wheelhouse.index.environment import with_variables  # noqa: PLC0415 - start-up time

    chosen = with_variables(session.workspace.config.serve, os.environ)
    if chosen.url:
        return chosen.url
    if chosen.port == 0:
        raise UsageError("the port is any that is free: say where the index is", where="--url")
    host = socket.gethostname() if chosen.host in _EVERYWHERE else chosen.host
    scheme = "https" if chosen.tls_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{chosen.port}/"
