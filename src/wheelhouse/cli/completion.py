"""`wheelhouse completion`: what a shell must be told to complete our commands; and the recipe names to complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_VARIABLE = "_WHEELHOUSE_COMPLETE"


@click.command(
    epilog="""\b
Examples:
  eval "$(wheelhouse completion bash)"                                    # in ~/.bashrc
  eval "$(wheelhouse completion zsh)"                                     # in ~/.zshrc
  wheelhouse completion fish > ~/.config/fish/completions/wheelhouse.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options and recipe names."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - start-up time

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices above are click's own
    script = kind(click.get_current_context().find_root().command, {}, "wheelhouse", _VARIABLE)
    # Not script.source(): for bash it first starts a bash to ask for its version.
    click.echo(script.source_template % script.source_vars())


def recipe_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Complete the name of a recipe. Says nothing, rather than an error, where there is no registry."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only while a shell completes

    from wheelhouse.config import find_registry  # noqa: PLC0415 - likewise
    from wheelhouse.errors import WheelhouseError  # noqa: PLC0415 - likewise
    from wheelhouse.registry import Registry  # noqa: PLC0415 - likewise

    # The callbacks of the groups above are not run while a shell completes, so there is no Session yet.
    chosen = ctx.find_root().params.get("registry")
    try:
        folder = find_registry(start=Path.cwd(), registry=Path(chosen) if chosen else None, environment=os.environ)
        projects = Registry(folder=folder / "recipes").projects()
    except (WheelhouseError, OSError):
        return []
    return [CompletionItem(name) for name in projects if name.startswith(incomplete)]
