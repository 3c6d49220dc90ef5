"""`wheelhouse machine`: what can be built here, as a fleet's grains have it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.session import pass_session

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session


@click.command(
    epilog="""\b
Examples:
  wheelhouse machine
  wheelhouse machine --json | jq -r '.pythons[]'
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def machine(session: Session, *, as_json: bool) -> None:
    """Tell what this machine can build with: container engine, Pythons, compilers, and how many jobs at once.

    A Salt minion that has a wheelhouse command tells this to its master, as the grain `wheelhouse`.
    """
    from wheelhouse.builders.capabilities import capabilities  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.local import default_width  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise

    workspace = session.workspace
    found: dict[str, Any] = capabilities(Processes(), os.environ, cache=workspace.cache)
    found["width"] = workspace.config.build.jobs or default_width(())
    if as_json:
        session.json(found)
        return
    for name, value in found.items():
        shown = " ".join(value) if isinstance(value, list) else value
        click.echo(f"{name.replace('_', ' '):<12} {shown if shown != '' else 'none'}")
