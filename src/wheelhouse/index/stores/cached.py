"""A store in, the same out that can be read while it is down: its last manifests and some of its files are kept here.

Manifests are kept as they are read, one file a project. Files of a store elsewhere are kept on a shelf as they are
written and read, the least recently used gone first; from there they are also sent by their path.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse.errors import ShelfFullError, StoreDamagedError, StoreUnavailableError
from wheelhouse.index.stores.shelf import WrongBytesError
from wheelhouse.index.stores.store import Blob, parse_manifest, read_range
from wheelhouse.index.stores.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest, Sha256
    from wheelhouse.index.stores.shelf import Receiver, Shelf
    from wheelhouse.index.stores.store import Store

LOG = logging.getLogger("wheelhouse.index")


@dataclass(slots=True, kw_only=True)
class _Remembered:
    """What a cache knows besides its files."""

    projects: Mapping[NormalizedName, str] | None = None
    names: AbstractSet[NormalizedName] | None = None
    """As they were listed last."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class CachedStore(WrappedStore):
    """For readers. While the store is down, what it says is as old as the outage."""

    folder: Path
    """Of manifests: the generation, a line's end, the manifest."""
    shelf: Shelf | None
    """None: the store's files lie on this machine as it is."""
    _last: _Remembered = field(default_factory=_Remembered)

    @classmethod
    def open(cls, inner: Store, folder: Path, *, shelf: Shelf | None) -> CachedStore:
        """Make the folder where there is none, and remove what a crash left."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(".*"):
            path.unlink(missing_ok=True)
        return cls(inner, folder, shelf)

    def last_manifest(self, project: NormalizedName) -> Manifest | None:
        """Return the manifest that was read last; None: none is known."""
        path = self._path(project)
        with suppress(FileNotFoundError):
            try:
                return parse_manifest(path.read_bytes().partition(b"\n")[2], project, str(path))
            except StoreDamagedError as error:  # a power cut: the store has it
                LOG.warning("%s", error)
        return None

    def keep_manifest(self, manifest: Manifest) -> None:
        """Keep a manifest that was just read or written, unless a later one is kept."""
        path = self._path(manifest.name)
        with _best_effort(), self._last.lock:
            if _generation(path) < manifest.generation:
                unfinished = self.folder / f".{secrets.token_hex(8)}"
                unfinished.write_bytes(b"%d\n%b" % (manifest.generation, manifest.to_json()))  # no fsync: it is a copy
                unfinished.replace(path)

    def keep(self, source: Path, sha256: Sha256) -> None:
        """Keep a file that was just written to the store; it is not to be changed any more."""
        if self.shelf is not None:
            with _best_effort():
                self.shelf.adopt(source, sha256)

    def projects(self) -> Mapping[NormalizedName, str]:
        """List the projects as they are, or were."""
        try:
            found = self.inner.projects()
        except StoreUnavailableError:
            if self._last.projects is None:
                raise
            return self._last.projects
        self._last.projects = found
        return found

    def names(self) -> AbstractSet[NormalizedName]:
        """Return the names as they are, or were."""
        try:
            found = self.inner.names()
        except StoreUnavailableError:
            if self._last.names is None:
                return self.projects().keys()
            return self._last.names
        self._last.names = found
        return found

    def mark(self, project: NormalizedName) -> str | None:
        """Return the mark, or one of the manifest that is kept."""
        try:
            return self.inner.mark(project)
        except StoreUnavailableError:
            kept = self.last_manifest(project)
            if kept is None:
                raise
            return f"kept-{kept.generation}"

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Return the manifest and keep it, or the one that is kept."""
        try:
            manifest = self.inner.read_manifest(project)
        except StoreUnavailableError:
            kept = self.last_manifest(project)
            if kept is None:
                raise
            return kept
        if manifest is not None:
            self.keep_manifest(manifest)
        return manifest

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return where the bytes are: in the store, or on the shelf."""
        path = self.inner.local_path(sha256)
        return path if path is not None or self.shelf is None else self.shelf.path(sha256)

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Return what is known of a blob, without a question where it is on the shelf."""
        path = self.shelf.path(sha256) if self.shelf is not None else None
        if path is not None:
            with suppress(FileNotFoundError):  # evicted this moment
                stat = path.stat()
                return Blob(sha256=sha256, size=stat.st_size, modified=datetime.fromtimestamp(stat.st_mtime, tz=UTC))
        return self.inner.find_blob(sha256)

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes from the shelf, or from the store; what is read whole goes to the shelf."""
        path = self.shelf.path(sha256) if self.shelf is not None else None
        if path is not None:
            with suppress(FileNotFoundError):
                yield from read_range(path, start, end)
                return
        if self.shelf is None or start:
            yield from self.inner.open_range(sha256, start, end)
            return
        yield from _keeping(self.shelf, sha256, self.inner.open_range(sha256, start, end))

    def _path(self, project: NormalizedName) -> Path:
        return self.folder / f"{project}.json"


def _generation(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return int(file.readline(20))
    except (FileNotFoundError, ValueError):
        return 0


def _keeping(shelf: Shelf, sha256: Sha256, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Hand on what is read, and put it on the shelf if it was all there is."""
    with ExitStack() as stack:
        receiver: Receiver | None = None
        with _best_effort():
            receiver = stack.enter_context(shelf.receive(sha256))
        for data in pieces:
            if receiver is not None and not _write(receiver, data):
                receiver = None
            yield data
        if receiver is not None:
            with _best_effort(), suppress(WrongBytesError):  # a range that ends early
                receiver.commit()


def _write(receiver: Receiver, data: bytes) -> bool:
    with _best_effort():
        receiver.write(data)
        return True
    return False


@contextmanager
def _best_effort() -> Iterator[None]:
    """Go on without the cache where its disk fails."""
    try:
        yield
    except (OSError, ShelfFullError) as error:
        LOG.warning("the cache of the store: %s", error)
