"""The store of the index, as the commands reach it that need no server running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.index.changes.repository import Repository

#: Where the group puts what `--store` said.
PLACE = "wheelhouse.index.place"


def open_repository(session: Session) -> Repository:
    """Open the store that `--store` or the settings name. Raises UsageError where there is none."""
    from wheelhouse.index.changes.repository import Repository  # noqa: PLC0415 - start-up time
    from wheelhouse.index.settings import Settings  # noqa: PLC0415 - likewise
    from wheelhouse.index.stores.opening import open_store  # noqa: PLC0415 - likewise

    chosen = session.workspace.config.serve
    place = click.get_current_context().meta[PLACE]
    if place is not None:
        chosen = chosen.model_copy(update={"store": place if "://" in place else str(Path(place).absolute())})
    address = Settings.of(session.workspace, chosen).store
    if "://" not in address and not Path(address).is_dir():
        raise UsageError(f"there is no index in {address}", hint="`wheelhouse serve` makes one; --store names another")
    return Repository(store=open_store(address))
