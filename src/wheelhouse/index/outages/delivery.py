"""What waits in the spool for the store in; files of a repository out, those of one project in order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import IndexRefusesError, StoreUnavailableError, WheelhouseError
from wheelhouse.index.model import Sha256
from wheelhouse.index.outages.pending import TARGET, from_item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wheelhouse.index.changes.repository import NewFile, Repository
    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.index.outages.waiting import Waiting
    from wheelhouse.spool import Item, Spool

LOG = logging.getLogger("wheelhouse.index")
BATCH = 100
"""Files of one project that one swap of its manifest publishes."""
AT_ONCE = 8
"""Files of a batch on their way: what it helps against is the way to a store elsewhere and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Brings items of the spool into a repository."""

    repository: Repository
    spool: Spool
    waiting: Waiting
    bounds: Bounds
    keep: Callable[[Path, Sha256], None] = lambda path, sha256: None  # noqa: ARG005 - nobody wants it
    """Told of each file once it is in the store: it was served from here, and is to be when the store is down again."""

    def left(self) -> int:
        """Return the number of projects that something waits for."""
        self.waiting.refresh()
        return len(self.waiting.projects())

    def hurry(self) -> None:
        """Make what waits due now."""
        self.spool.hurry(TARGET)

    def deliver(self) -> int:
        """Deliver what is due, one batch of one project; return how many items were settled."""
        first = self.spool.lease(target=TARGET)
        if first is None:
            return 0
        items = [first, *self.spool.lease_behind(first, most=BATCH - 1)]
        try:
            self.repository.add_files([self._arrival(item) for item in items], at_once=AT_ONCE)
        except (WheelhouseError, OSError, ValueError, KeyError):
            return self._one_by_one(items)
        self._settled(items)
        return len(items)

    def _one_by_one(self, items: Sequence[Item]) -> int:
        """Find out which item is to blame; behind one that has to wait, all wait."""
        settled = 0
        for number, item in enumerate(items):
            try:
                self.repository.add_files([self._arrival(item)])
            except (IndexRefusesError, ValueError, KeyError) as error:
                LOG.error("%s was acknowledged, and cannot be published: %s", item.name, error)  # noqa: TRY400 - told whole
                self.spool.set_aside(item, str(error))
                self.waiting.remove([item])
            except (WheelhouseError, OSError) as error:
                for late in items[number:]:
                    self.spool.retry_later(late, str(error), outage=isinstance(error, StoreUnavailableError))
                return settled
            else:
                self._settled([item])
            settled += 1
        return settled

    def _settled(self, items: Sequence[Item]) -> None:
        for item in items:
            self.keep(item.path, Sha256(item.sha256))
        self.spool.done(*items)
        self.waiting.remove(items)
        for item in items:
            LOG.info("%s is in the store now", item.name)

    def _arrival(self, item: Item) -> tuple[NewFile, Path]:
        if not self.spool.files.intact(item.sha256):
            raise ValueError("its bytes in the spool are damaged or missing")
        return from_item(item).arrival(self.bounds)
