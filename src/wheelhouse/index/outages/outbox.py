"""A verified file in, a promise out: it is in the store, or else in the spool, from where it follows.

An upload goes to the spool when the store is down, and also when older ones of its project are there: a project's
files reach the store in the order in which they were acknowledged.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.errors import StoreUnavailableError, WheelhouseError
from wheelhouse.index.changes.repository import Added, SameBytes
from wheelhouse.index.changes.together import add_together
from wheelhouse.index.outages.pending import TARGET, merge, to_fields

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from typing import BinaryIO

    from wheelhouse.index.changes.repository import NewFile, Outcome, Repository
    from wheelhouse.index.changes.together import End
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

    def publish_many(self, arrivals: Sequence[tuple[NewFile, bytes]]) -> list[End]:
        """Do as `publish` for small files of which no two claim the same; return what became of each.

        Those that the store cannot take now go to the spool one by one.
        """
        with ExitStack() as stack:
            for new, _ in sorted(arrivals, key=lambda arrival: arrival[0].name.order):
                stack.enter_context(self._places.alone(new.name.place))
            whys = [self._obstacle(new) for new, _ in arrivals]
            free = [arrival for arrival, why in zip(arrivals, whys, strict=True) if why is None]
            ends: dict[str, End] = {}
            down = ""
            try:
                published = add_together(self.repository, free)
            except StoreUnavailableError as error:
                down = str(error)
            else:
                ends = {new.name.filename: end for (new, _), end in zip(free, published, strict=True)}
                self._keep_here([new for new in free if not isinstance(ends[new[0].name.filename], Exception)])
            for (new, data), why in zip(arrivals, whys, strict=True):
                if new.name.filename not in ends:
                    ends[new.name.filename] = self._end(new, data, why or down)
            return [ends[new.name.filename] for new, _ in arrivals]

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

    def _end(self, new: NewFile, data: bytes, why: str) -> End:
        """Accept a file, or say why that cannot be."""
        try:
            with self._written(data) as path:
                return self._accept(new, path, why)
        except (WheelhouseError, OSError) as error:
            return error

    def _keep_here(self, arrivals: Sequence[tuple[NewFile, bytes]]) -> None:
        """Keep what was just written to a store elsewhere."""
        for new, data in arrivals if self.cache.shelf is not None else ():
            with self._written(data) as path:
                self.cache.keep(path, new.sha256)

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        with self.scratch() as file:
            file.write(data)
            file.flush()
            yield Path(file.name)

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
