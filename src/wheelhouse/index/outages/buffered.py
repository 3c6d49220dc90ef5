"""A store in, the same out with the files in it that wait for it in the spool: to be read, as if they were there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from wheelhouse.errors import IndexRefusesError, StoreUnavailableError
from wheelhouse.index.changes.wheelfile import Bounds, read_metadata
from wheelhouse.index.outages.pending import merge
from wheelhouse.index.stores.store import Blob, read_range
from wheelhouse.index.stores.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest, Sha256
    from wheelhouse.index.outages.pending import PendingFile
    from wheelhouse.index.outages.waiting import Waiting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BufferedStore(WrappedStore):
    """For readers. Whoever changes something has to ask the store itself."""

    waiting: Waiting
    bounds: Bounds = field(default_factory=Bounds)

    def projects(self) -> Mapping[NormalizedName, str]:
        """Return all projects; those that begin with a waiting file too."""
        self.waiting.refresh()
        stored = self.inner.projects()
        begun = {project: self.waiting.mark(project) for project in self.waiting.projects()}
        return {**begun, **stored} if begun else stored

    def names(self) -> AbstractSet[NormalizedName]:
        """Return the names; those of projects that begin with a waiting file too."""
        self.waiting.refresh()
        begun, stored = set(self.waiting.projects()), self.inner.names()
        return begun | stored if begun else stored

    def mark(self, project: NormalizedName) -> str | None:
        """Return the store's mark and that of what waits."""
        self.waiting.refresh()
        waits = self.waiting.mark(project)
        if not waits:
            return self.inner.mark(project)
        return f"{self._stored(project, self.inner.mark)}+{waits}"

    def pulse(self) -> str | None:
        """Return the store's, while nothing waits."""
        self.waiting.refresh()
        return None if self.waiting.projects() else self.inner.pulse()

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Return the manifest with the files that wait in it."""
        waiting = self.waiting.of(project)
        if not waiting:
            return self.inner.read_manifest(project)
        return merge(self._stored(project, self.inner.read_manifest), project, waiting)

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return None for what waits: its file goes when it is delivered, which may be before it is sent."""
        return None if self.waiting.blob(sha256) else self.inner.local_path(sha256)

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Return what is known of a blob."""
        pending = self.waiting.blob(sha256)
        if pending is None:
            return self.inner.find_blob(sha256)
        return Blob(sha256=sha256, size=_size(pending, sha256), modified=datetime.now(tz=UTC))

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes from the spool; of what was delivered in between, from the store."""
        pending = self.waiting.blob(sha256)
        if pending is not None:
            try:
                yield from self._spooled(pending, sha256, start, end)
            except FileNotFoundError:
                pass
            else:
                return
        yield from self.inner.open_range(sha256, start, end)

    def _spooled(self, pending: PendingFile, sha256: Sha256, start: int, end: int | None) -> Iterator[bytes]:
        if sha256 != pending.file.sha256:
            yield self._beside(pending, sha256)[start:end]
            return
        yield from read_range(pending.path, start, end)

    def _beside(self, pending: PendingFile, sha256: Sha256) -> bytes:
        if sha256 == pending.file.provenance and pending.provenance is not None:
            return pending.provenance
        try:
            return read_metadata(pending.path, pending.name, bounds=self.bounds)
        except IndexRefusesError as error:
            raise StoreUnavailableError(f"its bytes in the spool are damaged: {error}") from error

    def _stored(self, project: NormalizedName, ask: Callable[[NormalizedName], T | None]) -> T | None:
        """Return what the store says; None where it is down and has never told of such a project.

        Raises StoreUnavailableError where it has: a page with only some of its files would mislead.
        """
        try:
            return ask(project)
        except StoreUnavailableError:
            if project in self._listed():
                raise
            return None

    def _listed(self) -> AbstractSet[NormalizedName]:
        try:
            return self.inner.names()
        except StoreUnavailableError:
            return frozenset()


def _size(pending: PendingFile, sha256: Sha256) -> int:
    if sha256 == pending.file.sha256:
        return pending.file.size
    if sha256 == pending.file.provenance and pending.provenance is not None:
        return len(pending.provenance)
    return pending.metadata_size
