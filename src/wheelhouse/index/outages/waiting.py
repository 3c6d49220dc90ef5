"""A spool in, the files that wait in it for the store out: in memory, and looked at again when others change it."""

from __future__ import annotations

import logging
import threading
import zlib
from typing import TYPE_CHECKING

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.outages.pending import TARGET, from_item
from wheelhouse.spool import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import TypeAlias

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.outages.pending import PendingFile
    from wheelhouse.spool import Item, Spool

    ById: TypeAlias = Mapping[int, PendingFile]

LOG = logging.getLogger("wheelhouse.index")


class Waiting:
    """What waits, by project and by hash. Safe for threads; other servers may have the same spool open.

    The files of a project are replaced as a whole, never changed, so whoever reads them needs no lock.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._changes = -1
        self._projects: dict[NormalizedName, ById] = {}
        self._blobs: dict[Sha256, PendingFile] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look at the spool again if somebody else has changed it."""
        with self._lock:
            changes = self._spool.journal.changes()
            if changes == self._changes:
                return
            before = {number: pending for of_one in self._projects.values() for number, pending in of_one.items()}
            items = [item for item in self._spool.items(target=TARGET) if item.state is State.WAITING]
            projects: dict[NormalizedName, dict[int, PendingFile]] = {}
            for pending in filter(None, (before.get(item.id) or _pending(item) for item in items)):
                projects.setdefault(pending.name.project, {})[pending.id] = pending
            self._projects = {**projects}
            self._index()
            self._changes = changes

    def of(self, project: NormalizedName) -> tuple[PendingFile, ...]:
        """Return the files of a project that wait, in the order of their acceptance."""
        return tuple(self._projects.get(project, {}).values())

    def mark(self, project: NormalizedName) -> str:
        """Return a text that is another one whenever other files of the project wait."""
        numbers = self._projects.get(project, {}).keys()
        return f"{len(numbers)}-{zlib.crc32(repr(tuple(numbers)).encode()):08x}" if numbers else ""

    def projects(self) -> list[NormalizedName]:
        """Return the projects that files wait for."""
        return list(self._projects)

    def blob(self, sha256: Sha256) -> PendingFile | None:
        """Return the file that has some bytes, or whose METADATA or provenance they are."""
        return self._blobs.get(sha256)

    def add(self, item: Item) -> PendingFile:
        """Take a new item in. Raises ValueError where it is none of an upload."""
        pending = from_item(item)
        project = pending.name.project
        with self._lock:
            self._projects[project] = {**self._projects.get(project, {}), pending.id: pending}
            self._blobs.update(dict.fromkeys(pending.file.blobs, pending))
        return pending

    def remove(self, items: Collection[Item]) -> None:
        """Leave items out: delivered, or set aside."""
        gone = {item.id for item in items}
        with self._lock:
            for project in [project for project, of_one in self._projects.items() if not gone.isdisjoint(of_one)]:
                left = {number: one for number, one in self._projects.pop(project).items() if number not in gone}
                if left:
                    self._projects[project] = left
            self._index()

    def _index(self) -> None:
        self._blobs = {
            sha256: pending
            for of_one in self._projects.values()
            for pending in of_one.values()
            for sha256 in pending.file.blobs
        }


def _pending(item: Item) -> PendingFile | None:
    try:
        return from_item(item)
    except (ValueError, KeyError, IndexRefusesError) as error:
        LOG.error("item %d of the spool cannot be read: %s", item.id, error)  # noqa: TRY400 - what it is says enough
        return None
