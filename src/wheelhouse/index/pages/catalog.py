"""What a server remembers of projects: their manifests and rendered pages, for as long as they are true.

A page is rendered once a change and answered from memory. Once a second at most the store is asked whether a project
is as it was. While the store is down, what is remembered goes on being served.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.pages.once import Once
from wheelhouse.index.pages.render import RELATIVE, render_project, render_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import File, Manifest
    from wheelhouse.index.pages.render import Links, Pages
    from wheelhouse.index.stores.store import Store
    from wheelhouse.index.upstream.mirror import Mirror
    from wheelhouse.index.upstream.page import Origin

MEBIBYTE = 2**20
#: Bytes in memory, about, of what is known of an upstream's file, once its project's manifest is made.
_ORIGIN = 1200
#: Seconds after which a project is looked at whatever the store's pulse says: somebody may have mended it by hand.
_LOOK_AGAIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One project, or the list of all."""

    mark: object
    """The store's; another one means that something has changed."""
    listed: Manifest | Once[Manifest] | None
    """What is shown of the project; None: this is the list of all."""
    pages: Pages
    files: Mapping[str, File]
    """The files of ours that may be had, by their names."""
    theirs: Mapping[str, Origin] = field(default_factory=dict)
    """Those of an upstream, by their names."""
    own: Entry | None = None
    """What the store alone has of it, where more is shown than that."""
    until: datetime | None = None
    """When it is no longer true although nothing has changed."""
    names: Sequence[NormalizedName] = ()
    """Of the list of all: the projects, in order."""
    answers: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)
    """Answers made of this entry: `front` keeps them where they go when they are no longer true."""

    @property
    def manifest(self) -> Manifest | None:
        """What is shown of the project, which may have to be made first; None: this is the list of all."""
        return self.listed() if isinstance(self.listed, Once) else self.listed

    @property
    def size(self) -> int:
        """Bytes of the pages in all their forms, about, and as many as go with them."""
        pages = (self.pages.html, self.pages.json)
        whole = sum(page.size for page in pages)
        return whole + _ORIGIN * len(self.theirs) + (self.own.size if self.own is not None else 0)


@dataclass(slots=True)
class _Known:
    """An entry, and until when it needs no look."""

    entry: Entry
    asked: float
    """When it was last known to be true."""
    looked: float
    """When the store was last asked for this very project."""
    pulse: str | None
    """The store's at that time; None: it says nothing of this entry."""


@dataclass(slots=True, kw_only=True)
class Catalog:
    """Entries by project; the least recently used go first when they take too much room."""

    store: Store
    mirror: Mirror | None = None
    """What is behind the store; None: nothing."""
    links: Links = RELATIVE
    fresh_for: float = 1.0
    """Seconds."""
    most_bytes: int = 64 * MEBIBYTE
    clock: Callable[[], float] = time.monotonic
    _entries: OrderedDict[NormalizedName | None, _Known] = field(default_factory=OrderedDict, init=False)
    _pulse: tuple[str | None, float] = field(default=(None, -math.inf), init=False)
    """The store's, and when it was felt."""
    _bytes: int = field(default=0, init=False)
    _loading: dict[NormalizedName | None, asyncio.Task[Entry | None]] = field(default_factory=dict, init=False)

    @property
    def held(self) -> tuple[int, int]:
        """Return how many entries are remembered, and the bytes of their pages."""
        return len(self._entries), self._bytes

    def remembered(self, project: NormalizedName | None) -> Entry | None:
        """Return a project's entry if no question to the store is due; None as project: the list of all."""
        known = self._entries.get(project)
        if known is None:
            return None
        now = self.clock()
        if now - known.asked > self.fresh_for:
            if known.pulse is None or known.pulse != self._felt(now) or now - known.looked > _LOOK_AGAIN:
                return None
            known.asked = now  # nothing at all has changed in the store: no need to ask for each project
        self._entries.move_to_end(project)
        return known.entry

    def _felt(self, now: float) -> str | None:
        """Return the store's pulse, as old as an entry may be."""
        if now - self._pulse[1] > self.fresh_for:
            self._pulse = (self.store.pulse(), now)
        return self._pulse[0]

    async def find(self, project: NormalizedName | None) -> Entry | None:
        """Return a project's entry; None: there is no such project. One question for any number of askers.

        Raises StoreUnavailableError and StoreDamagedError.
        """
        entry = self.remembered(project)
        if entry is not None:
            return entry
        task = self._loading.get(project)
        if task is None:
            task = asyncio.create_task(self._refresh(project))
            self._loading[project] = task
            task.add_done_callback(lambda done: self._loaded(project, done))
        return await asyncio.shield(task)

    async def manifest(self, entry: Entry) -> Manifest:
        """Return what is shown of a project."""
        listed = entry.listed
        assert listed is not None  # noqa: S101 - only the list of all has none
        if not isinstance(listed, Once):
            return listed
        return listed() if listed.made else await asyncio.to_thread(listed)

    async def metadata(self, entry: Entry, file: File) -> bytes | None:
        """Return the core metadata of a file of an entry; None: there are none, or they cannot be had now.

        Raises StoreUnavailableError, NotOnIndexError.
        """
        theirs = entry.theirs.get(file.filename)
        if theirs is not None:
            return await self.mirror.metadata(theirs) if self.mirror is not None else None
        if file.core_metadata is None:
            return None
        return await asyncio.to_thread(b"".join, self.store.open_range(file.core_metadata))

    def forget(self, project: NormalizedName) -> None:
        """Ask the store the next time: the project has changed, and its sender is to see it at once."""
        for key in (project, None):
            self._drop(key)
            self._loading.pop(key, None)

    async def _refresh(self, project: NormalizedName | None) -> Entry | None:
        before = self._entries.get(project)
        known = before.entry if before is not None else None
        asked = self.clock()
        pulse = self._felt(asked)  # before anything is read: what changes meanwhile changes the next one
        try:
            entry = await asyncio.to_thread(self._load, project, (known.own or known) if known else None)
            if self.mirror is not None:
                pulse = None if self.mirror.looks_for(project, entry) else pulse
                entry = await self.mirror.behind(project, entry, known)
        except StoreUnavailableError:
            if known is None:
                raise
            entry, pulse = known, None
        if self._loading.get(project) is asyncio.current_task():  # not forgotten while it was asked for
            self._keep(project, _Known(entry, asked, asked, pulse) if entry is not None else None)
        return entry

    def _loaded(self, project: NormalizedName | None, task: asyncio.Task[Entry | None]) -> None:
        if self._loading.get(project) is task:
            del self._loading[project]
        if not task.cancelled():
            task.exception()  # whoever asked has been told; with nobody left it is nobody's

    def _load(self, project: NormalizedName | None, known: Entry | None) -> Entry | None:
        if project is None:
            names = self.store.names()
            if known is not None and known.mark == names:
                return known
            listed = sorted(names)
            return Entry(mark=set(names), listed=None, pages=render_root(listed), files={}, names=listed)
        mark = self.store.mark(project)
        if mark is None:
            return None
        if known is not None and known.mark == mark:
            return known
        manifest = self.store.read_manifest(project)
        if manifest is None:
            return None
        files = {file.filename: file for file in manifest.offered}
        return Entry(mark=mark, listed=manifest, pages=render_project(manifest, self.links), files=files)

    def _keep(self, project: NormalizedName | None, known: _Known | None) -> None:
        self._drop(project)
        if known is None:
            return
        self._entries[project] = known
        self._bytes += known.entry.size
        while self._bytes > self.most_bytes and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))

    def _drop(self, project: NormalizedName | None) -> None:
        known = self._entries.pop(project, None)
        if known is not None:
            self._bytes -= known.entry.size
