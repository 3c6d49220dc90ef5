"""A store's manifests in, what is new in it and how much there is out.

Manifests are read in the time that a visitor can wait, and again only when they have changed; an index that is too
large for that says how many projects it has, and no more.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING

from wheelhouse.errors import StoreDamagedError, StoreUnavailableError
from wheelhouse.index.web.project import newest_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest
    from wheelhouse.index.stores.store import Store

NEWEST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The version of a project that got a file last."""

    project: NormalizedName
    version: str
    published: datetime
    """When its newest file came."""
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a board remembers of one project."""

    files: int
    size: int
    """Bytes."""
    latest: Release | None
    """None: no files."""
    newest: str | None = None
    """The version that an installer would choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of the projects in the store."""

    known: Mapping[NormalizedName, Summary]
    complete: bool
    """Every project has been looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What the first page shows."""

    projects: int
    files: int | None
    """None: too many to count."""
    size: int | None
    counted: bool
    """False: not all have been looked at yet."""
    newest: tuple[Release, ...]


def summarize(manifest: Manifest) -> Summary:
    """Return what the first page says of a project."""
    files = manifest.offered
    last = max(files, key=lambda file: file.upload_time, default=None)
    latest = None
    if last is not None:
        latest = Release(
            project=manifest.name,
            version=last.version,
            published=last.upload_time,
            files=sum(file.version == last.version for file in files),
        )
    size = sum(file.size for file in files)
    return Summary(files=len(files), size=size, latest=latest, newest=newest_version(manifest))


def show_home(names: Sequence[NormalizedName], look: Look | None) -> Home:
    """Put the first page together for whoever reads these projects; no look: there are too many."""
    found = [look.known[name] for name in names if name in look.known] if look is not None else []
    return Home(
        projects=len(names),
        files=sum(summary.files for summary in found) if look is not None else None,
        size=sum(summary.size for summary in found) if look is not None else None,
        counted=look is None or look.complete,
        newest=tuple(
            nlargest(NEWEST, (s.latest for s in found if s.latest is not None), key=lambda latest: latest.published)
        ),
    )


@dataclass(slots=True, kw_only=True)
class Board:
    """Summaries of all projects. Safe for threads."""

    store: Store
    most: int = 20_000
    """Projects that are looked at; an index with more goes without."""
    patience: float = 1.5
    """Seconds that one look may take; the next one goes on from there."""
    clock: Callable[[], float] = time.monotonic
    _known: dict[NormalizedName, tuple[str, Summary]] = field(default_factory=dict, init=False)
    _complete: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def look(self) -> Look | None:
        """Return what is known after a look at what has changed; None: there are too many. Takes a while."""
        with self._lock:
            with suppress(StoreUnavailableError):  # what is known is true still
                marks = self.store.projects()
                if len(marks) > self.most:
                    self._known, self._complete = {}, False
                    return None
                self._complete = self._refresh(marks)
            return Look(known={name: known for name, (_, known) in self._known.items()}, complete=self._complete)

    def known(self, names: Iterable[NormalizedName]) -> Mapping[NormalizedName, Summary]:
        """Return what was known of some projects at the last look."""
        with self._lock:
            return {name: self._known[name][1] for name in names if name in self._known}

    def _refresh(self, marks: Mapping[NormalizedName, str]) -> bool:
        """Read what has changed; say whether there was time for all of it."""
        until = self.clock() + self.patience
        for name in self._known.keys() - marks.keys():
            del self._known[name]
        for name, mark in marks.items():
            if name in self._known and self._known[name][0] == mark:
                continue
            if self.clock() > until:
                return False
            self._known[name] = (mark, self._summarize(name))
        return True

    def _summarize(self, name: NormalizedName) -> Summary:
        try:
            manifest = self.store.read_manifest(name)
        except StoreDamagedError:  # its own page says so
            manifest = None
        return summarize(manifest) if manifest is not None else Summary(files=0, size=0, latest=None)
