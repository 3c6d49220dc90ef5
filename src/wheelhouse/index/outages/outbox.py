"""A verified file in, a promise out: it is in the store, or else in the spool, from where it follows.

An upload goes to the spool when the store is down, and also when older ones of its project are there: a project's
files reach the store in the order in which they were acknowledged.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.changes.repository import Added, SameBytes
from wheelhouse.index.outages.pending import TARGET, merge, to_fields

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from wheelhouse.index.changes.repository import NewFile, Outcome, Repository
    from wheelhouse.index.model import File
    from wheelhouse.index.outages.replay import Replay
    from wheelhouse.index.outages.waiting import Waiting
    from wheelhouse.index.stores.cached import CachedStore
    from wheelhouse.index.stores.guarded import Outage
    from wheelhouse.spool import Item, Spool, Stats


class _Places:
    """One lock for each name that an upload is at work on: two files of one name must not both be accepted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def alone(self, place: Hashable) -> Iterator[None]:
        with self._lock:
            lock, users = self._held.get(place, (threading.Lock(), 0))
            self._held[place] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._held.pop(place)
                if users > 1:
                    self._held[place] = (lock, users - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Takes files for a repository whose store can be down."""

    repository: Repository
    spool: Spool
    waiting: Waiting
    cache: CachedStore
    outage: Outage
    """Of the store."""
    scratch_here: bool
    """Files on their way go to the spool's disk; else to the store's, while that is up."""
    replay: Replay
    _places: _Places = field(default_factory=_Places, init=False)

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file for an upload on its way, where keeping it costs least."""
        with ExitStack() as stack:
            yield self._scratch(stack)

    def publish(self, new: NewFile, path: Path) -> Outcome:
        """Publish a file, or accept it into the spool: in both cases it is on a disk when this returns.

        Raises as `Repository.add_file`, and SpoolFullError where there is no room in the spool either.
        """
        with self._places.alone(new.name.place):
            why = self._obstacle(new)
            if why is None:
                try:
                    outcome = self.repository.add_file(new, path)
                except StoreUnavailableError as error:
                    why = str(error)
                else:
                    self.cache.keep(path, new.sha256)
                    return outcome
            return self._accept(new, path, why)

    def close(self) -> None:
        """End the replay and let go of the spool; what waits is kept for the next start."""
        self.replay.close()
        self.spool.close()

    def stats(self) -> Stats:
        """Count what the spool holds, for whatever target."""
        return self.spool.stats()

    def items(self) -> list[Item]:
        """Return all that is in the spool, oldest first."""
        return self.spool.items()

    def _scratch(self, stack: ExitStack) -> BinaryIO:
        if not self.scratch_here:
            try:
                return stack.enter_context(self.repository.store.scratch())
            except StoreUnavailableError:
                pass
        return stack.enter_context(self.spool.scratch())

    def _obstacle(self, new: NewFile) -> str | None:
        """Say why the store is not to be asked."""
        if self.outage.since is not None:
            return self.outage.why
        self.waiting.refresh()
        return "older files of its project wait before it" if self.waiting.of(new.name.project) else None

    def _accept(self, new: NewFile, path: Path, why: str) -> Outcome:
        same = self._judge(new)
        if same is not None:
            return SameBytes(file=same)
        project = new.name.project
        item = self.spool.accept(
            path,
            target=TARGET,
            name=new.name.filename,
            order_key=project,
            fields=to_fields(new, datetime.now(tz=UTC)),
            verdict=why,
            sha256=new.sha256,
        )
        pending = self.waiting.add(item)
        self.replay.wake()
        return Added(file=pending.file)

    def _judge(self, new: NewFile) -> File | None:
        """Return the waiting file that is the same; None: it may be added, as far as is known.

        That a published file is the same is not enough: what is known of the store may be old, and it may be gone.
        """
        project = new.name.project
        self.waiting.refresh()
        waiting = self.waiting.of(project)
        manifest = merge(self.cache.last_manifest(project), project, waiting)
        (same,) = self.repository.judge(manifest, [new])
        return same if same is not None and any(one.file is same for one in waiting) else None
