"""argv in, exit status out: the only package that prints, reads argv and exits.

Each command has a module of its own, imported only when it is called: a command's start-up is what it needs itself.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse import __version__
from wheelhouse.cli.session import Session
from wheelhouse.errors import MachineError, WheelhouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command name -> module and function. The order is that of `--help`.
COMMANDS = {
    "build": "wheelhouse.cli.build:build",
    "plan": "wheelhouse.cli.plan:plan",
    "matrix": "wheelhouse.cli.matrix:matrix",
    "summary": "wheelhouse.cli.summary:summary",
    "check": "wheelhouse.cli.check:check",
    "verify": "wheelhouse.cli.verify:verify",
    "repair": "wheelhouse.cli.repair:repair",
    "convert": "wheelhouse.cli.convert:convert",
    "recipe": "wheelhouse.cli.recipe:recipe",
    "status": "wheelhouse.cli.status:status",
    "init": "wheelhouse.cli.init:init",
    "log": "wheelhouse.cli.log:log",
    "machine": "wheelhouse.cli.machine:machine",
    "publish": "wheelhouse.cli.publish:publish",
    "stage": "wheelhouse.cli.stage:stage",
    "spool": "wheelhouse.cli.spool:spool",
    "serve": "wheelhouse.cli.serve:serve",
    "index": "wheelhouse.cli.index:index",
    "mirror": "wheelhouse.cli.mirror:mirror",
    "token": "wheelhouse.cli.token:token",
    "completion": "wheelhouse.cli.completion:completion",
}


class _Lazy(click.Group):
    """A group that imports a command's module when the command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--registry",
    type=click.Path(path_type=Path, exists=True),
    help="Folder with wheelhouse.toml and recipes/. [default: nearest upwards, else wheelhouse's own]",
)
@click.option("--dist", type=click.Path(path_type=Path, file_okay=False), help="Folder for finished wheels.")
@click.option("--debug", is_flag=True, help="Show a traceback for errors.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.version_option(__version__, prog_name="wheelhouse")
@click.pass_context
def cli(ctx: click.Context, *, registry: Path | None, dist: Path | None, debug: bool, quiet: bool) -> None:
    """Build wheels of packages with C extensions, from a recipe to a wheel that a fleet can install."""
    ctx.obj = Session(registry=registry, dist=dist, debug=debug, quiet=quiet)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return the exit status. Errors are printed here, once."""
    try:
        status = cli.main(list(arguments), prog_name="wheelhouse", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except WheelhouseError as error:
        return _report(error, debug="--debug" in arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`wheelhouse … | head`); nothing may be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        problem = MachineError(
            error.strerror or str(error),
            where=str(error.filename or "disk"),
            hint="make room or choose another folder with --dist or WHEELHOUSE_CACHE; nothing half-written was kept",
        )
        return _report(problem, debug="--debug" in arguments)
    return status if isinstance(status, int) else 0


def _report(error: WheelhouseError, *, debug: bool) -> int:
    if debug:
        import traceback  # noqa: PLC0415 - only when asked for

        traceback.print_exception(error)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint:', fg='cyan', bold=True)} {error.hint}", err=True)
    return error.exit_code
