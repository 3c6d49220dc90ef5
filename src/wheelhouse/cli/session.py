"""What every command is handed: where to work, and how to speak. stdout carries data, stderr carries talk."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from wheelhouse.config import Workspace
    from wheelhouse.registry import Registry


class Session:
    """One call of the command line."""

    def __init__(self, *, registry: Path | None, dist: Path | None, debug: bool, quiet: bool) -> None:
        self._registry = registry
        self._dist = dist
        self.debug = debug
        self.quiet = quiet

    @cached_property
    def workspace(self) -> Workspace:
        """The folders and settings. Raises InvalidFileError."""
        from wheelhouse.config import find_workspace  # noqa: PLC0415 - start-up time

        return find_workspace(start=Path.cwd(), registry=self._registry, environment=os.environ, dist=self._dist)

    @property
    def registry(self) -> Registry:
        """The recipes."""
        from wheelhouse.registry import Registry  # noqa: PLC0415 - start-up time

        return Registry(folder=self.workspace.registry)

    @cached_property
    def talk(self) -> Console:
        """Where people are spoken to: stderr, with colour as NO_COLOR, FORCE_COLOR and the terminal say."""
        from rich.console import Console  # noqa: PLC0415 - start-up time

        return Console(stderr=True, highlight=False, quiet=self.quiet, soft_wrap=True)

    def say(self, text: str) -> None:
        """Tell people one plain line on stderr, as it is; `talk` would take 15 ms to start, and replace `:x:` in it."""
        if not self.quiet:
            click.echo(text, err=True)

    @cached_property
    def data(self) -> Console:
        """Where tables for people go that are the command's answer: stdout."""
        from rich.console import Console  # noqa: PLC0415 - start-up time

        return Console(highlight=False, soft_wrap=True)

    def json(self, value: Any) -> None:
        """Print a value as JSON on stdout."""
        import orjson  # noqa: PLC0415 - start-up time

        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


#: Hands a command its Session.
pass_session = click.make_pass_decorator(Session)
