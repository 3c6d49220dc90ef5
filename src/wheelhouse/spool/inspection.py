"""An open spool in; what is wrong in it, and what was done about it, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.spool.item import State

if TYPE_CHECKING:
    from wheelhouse.spool.item import Item
    from wheelhouse.spool.spool import Spool

_MISSING = "its bytes are missing from the spool"
_CHANGED = "its bytes in the spool have changed since they were accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found."""

    items: int
    """How many were looked at, every byte of them."""
    damaged: tuple[Item, ...]
    """Without the bytes that were accepted: set aside."""
    orphans: tuple[str, ...]
    """Files that no item names, by sha256: removed."""
    journal: tuple[str, ...]
    """What SQLite finds wrong with the journal."""

    @property
    def sound(self) -> bool:
        """Whether all that was accepted is there."""
        return not self.damaged and not self.journal


def fsck(spool: Spool) -> Inspection:
    """Read every byte, set aside what is damaged, and remove what nobody waits for. Others may go on meanwhile."""
    spool.tidy()
    items = spool.items()
    damaged = tuple(item for item in items if not spool.files.intact(item.sha256) and _condemn(spool, item))
    return Inspection(
        items=len(items),
        damaged=damaged,
        orphans=spool.remove_orphans(),
        journal=spool.journal.faults(),
    )


def _condemn(spool: Spool, item: Item) -> bool:
    """Set a damaged item aside; False: it was delivered while we looked."""
    with spool.journal.transaction(durable=True) as connection:
        verdict = _CHANGED if item.path.exists() else _MISSING
        return bool(
            connection.execute(
                "UPDATE item SET state = ?, verdict = ? WHERE id = ? AND state != ?",
                (State.ASIDE, verdict, item.id, State.DONE),
            ).rowcount
        )
