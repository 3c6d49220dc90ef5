"""A running index, as the commands that look after one reach it."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.cli.session import Session
    from wheelhouse.index.client import IndexClient

_LONGEST_NAME = 64


@contextmanager
def connected(session: Session, url: str | None) -> Iterator[IndexClient]:
    """Reach the index of a URL, or the one that `wheelhouse publish` sends to. Raises UsageError."""
    from wheelhouse.index.client import IndexClient  # noqa: PLC0415 - start-up time

    chosen = url or os.environ.get("TWINE_REPOSITORY_URL") or session.workspace.config.publish.url
    if not chosen:
        raise UsageError(
            "no index to ask", hint="--url, WHEELHOUSE_URL, or `url` under [publish] in wheelhouse.toml names one"
        )
    with IndexClient.of(chosen, os.environ) as client:
        yield client


def parse_stage(text: str) -> str:
    """Return a stage's name. Raises UsageError."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) or len(text) > _LONGEST_NAME:
        raise UsageError(
            f"`{text}` is no name of a stage",
            hint=f"small letters, digits and single `-` between, {_LONGEST_NAME} at most; wheels go before --stage",
        )
    return text


def tell_published(session: Session, told: dict[str, Any], *, as_json: bool) -> None:
    """Say what was published."""
    if as_json:
        session.json(told)
    else:
        for filename in told["published"]:
            click.echo(f"{click.style('published', fg='green')}  {filename}")
        for filename in told["present"]:
            click.echo(f"present    {filename}")
    session.talk.print(
        f"stage {told['stage']}: {len(told['published'])} published, {len(told['present'])} were there before",
        markup=False,
    )
