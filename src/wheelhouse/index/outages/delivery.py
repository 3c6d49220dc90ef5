"""What waits in the spool for the store in; files of a repository out, those of one project in order."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wheelhouse.errors import IndexRefusesError, StoreUnavailableError, WheelhouseError
from wheelhouse.index.model import Sha256
from wheelhouse.index.outages.pending import TARGET, from_item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.changes.repository import NewFile, Repository
    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.index.model import Manifest
    from wheelhouse.index.outages.waiting import Waiting
    from wheelhouse.spool import Item, Spool

LOG = logging.getLogger("wheelhouse.index")
BATCH = 100
BATCH_BYTES = 100_000_000
"""Files that are leased, delivered and settled together: after a crash all of them are delivered again."""
AT_ONCE = 8
"""Requests on their way: what it helps against is the way to a store elsewhere and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Brings items of the spool into a repository."""

    repository: Repository
    spool: Spool
    waiting: Waiting
    bounds: Bounds
    last: Callable[[NormalizedName], Manifest | None] = lambda project: None  # noqa: ARG005 - nothing is known
    """What was known last of a project: enough to begin with, since the store takes no manifest that does not follow on
    its newest."""
    keep: Callable[[Path, Sha256], None] = lambda path, sha256: None  # noqa: ARG005 - nobody wants it
    """Told of each file once it is in the store: it was served from here, and is to be when the store is down again."""

    def waits(self) -> bool:
        """Say whether anything waits for the store."""
        self.waiting.refresh()
        return bool(self.waiting.projects())

    def hurry(self) -> None:
        """Make what waits due now."""
        self.spool.hurry(TARGET)

    def deliver(self) -> int:
        """Deliver a batch of what is due, some projects at once; return how many items were settled."""
        projects: dict[str, list[Item]] = {}
        for item in self.spool.lease_many(target=TARGET, most=BATCH, most_bytes=BATCH_BYTES):
            projects.setdefault(item.order_key, []).append(item)
        if not projects:
            return 0
        width = min(AT_ONCE, len(projects))
        with ThreadPoolExecutor(width, thread_name_prefix="delivery") as pool:
            delivered = list(pool.map(partial(self._project, at_once=AT_ONCE // width), projects.values()))
        done = [item for one in delivered for item in one.done]
        if done:
            self.spool.done(*done)
        refused = [item for one in delivered for item in one.refused]
        self.waiting.remove([*done, *refused])
        return len(done) + len(refused)

    def _project(self, items: Sequence[Item], *, at_once: int) -> _Delivered:
        """Deliver items of one project by one swap of its manifest, if that can be."""
        try:
            arrivals = [self._arrival(item) for item in items]
            known = self.last(arrivals[0][0].name.project)
            self.repository.add_files(arrivals, at_once=at_once, read=(known,))
        except (WheelhouseError, OSError, ValueError, KeyError):
            return self._one_by_one(items)
        self._arrived(items)
        return _Delivered(done=items)

    def _one_by_one(self, items: Sequence[Item]) -> _Delivered:
        """Find out which item is to blame; behind one that has to wait, all wait."""
        done: list[Item] = []
        refused: list[Item] = []
        for number, item in enumerate(items):
            try:
                self.repository.add_files([self._arrival(item)])
            except (IndexRefusesError, ValueError, KeyError) as error:
                LOG.error("%s was acknowledged, and cannot be published: %s", item.name, error)  # noqa: TRY400 - told whole
                self.spool.set_aside(item, str(error))
                refused.append(item)
            except (WheelhouseError, OSError) as error:
                for late in items[number:]:
                    self.spool.retry_later(late, str(error), outage=isinstance(error, StoreUnavailableError))
                break
            else:
                self._arrived([item])
                done.append(item)
        return _Delivered(done=done, refused=refused)

    def _arrived(self, items: Sequence[Item]) -> None:
        for item in items:
            self.keep(item.path, Sha256(item.sha256))
            LOG.info("%s is in the store now", item.name)

    def _arrival(self, item: Item) -> tuple[NewFile, Path]:
        if not self.spool.files.intact(item.sha256):
            raise ValueError("its bytes in the spool are damaged or missing")
        return from_item(item).arrival(self.bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivered:
    """What became of items of one project; the rest waits."""

    done: Sequence[Item]
    refused: Sequence[Item] = ()
