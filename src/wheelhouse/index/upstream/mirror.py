"""What the rest of the index asks of upstreams: a project's entry, a file's bytes for an answer, and numbers.

Every route goes through the catalog's entries, so that all of them see the same decision about a project.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wheelhouse.errors import MachineError, NotOnIndexError, ShelfFullError, UpstreamUnavailableError
from wheelhouse.index.access.auth import Denied, utc_now
from wheelhouse.index.pages.catalog import Entry
from wheelhouse.index.pages.render import RELATIVE, render_root
from wheelhouse.index.problems import DeniedError
from wheelhouse.index.stores.shelf import Shelf
from wheelhouse.index.stores.store import read_range
from wheelhouse.index.upstream.client import UpstreamClient
from wheelhouse.index.upstream.combine import View, combine
from wheelhouse.index.upstream.files import Files
from wheelhouse.index.upstream.folder import PageFolder
from wheelhouse.index.upstream.pages import Freshness, Pages
from wheelhouse.index.upstream.stats import Counters, MirrorStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.pages.render import Links
    from wheelhouse.index.serving.answers import Reply
    from wheelhouse.index.upstream.address import Upstream
    from wheelhouse.index.upstream.page import Origin
    from wheelhouse.index.upstream.rules import MirrorRules

LOG = logging.getLogger("wheelhouse.index.upstream")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorSetup:
    """How upstreams are mirrored."""

    folder: Path
    """Where pages and files are kept."""
    upstreams: Callable[[], Sequence[Upstream]]
    """In order; asked for when the first is needed, because to find the default one takes its time."""
    rules: MirrorRules
    budget: int | None = None
    """Bytes of files; None: no bound."""
    offline: bool = False
    """Ask nobody; serve what is here."""
    freshness: Freshness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Upstreams behind an index. Belongs to one event loop."""

    setup: MirrorSetup
    client: UpstreamClient
    folder: PageFolder
    shelf: Shelf
    pages: Pages
    files: Files
    counters: Counters
    links: Links = RELATIVE
    now: Callable[[], datetime] = utc_now

    @classmethod
    def open(cls, setup: MirrorSetup, *, links: Links = RELATIVE, now: Callable[[], datetime] = utc_now) -> Mirror:
        """Open what is kept, make it where there is nothing. Asks nobody. Raises MachineError."""
        counters, client, folder = Counters(), UpstreamClient(), PageFolder(setup.folder / "pages")
        try:
            shelf = Shelf.open(setup.folder / "files", budget=setup.budget)
            folder.sweep()
        except OSError as error:
            raise MachineError(
                f"the mirror's folder cannot be used: {error.strerror or error}",
                where=str(setup.folder),
                hint="make it writable, or serve with --no-mirror",
            ) from error
        pages = Pages(
            client=client,
            folder=folder,
            upstreams=setup.upstreams,
            counters=counters,
            offline=setup.offline,
            freshness=setup.freshness,
            clock=lambda: now().timestamp(),
        )
        files = Files(client=client, shelf=shelf, upstream_of=pages.upstream_of, counters=counters)
        return cls(
            setup=setup,
            client=client,
            folder=folder,
            shelf=shelf,
            pages=pages,
            files=files,
            counters=counters,
            links=links,
            now=now,
        )

    async def close(self) -> None:
        """Give up what is on its way, and close all connections."""
        await self.files.close()
        await self.pages.close()
        await self.client.close()

    async def get_ready(self) -> None:
        """Load what the first question would have to wait for. Asks nobody."""
        if not self.setup.offline:
            await asyncio.to_thread(self.setup.upstreams)
            await self.client.get_ready()

    def looks_for(self, project: NormalizedName | None, ours: Entry | None) -> bool:
        """Say whether `behind` may add something to what is ours, now or later."""
        return project is None or self.setup.rules.standing(project, ours.manifest if ours is not None else None).theirs

    async def behind(self, project: NormalizedName | None, ours: Entry | None, known: Entry | None) -> Entry | None:
        """Return a project's entry with what upstream has of it; None: nobody has it.

        `known` is the one of before: returned again as long as it is true. Raises DeniedError where a rule forbids the
        project, UpstreamUnavailableError where nobody can say.
        """
        if project is None:
            return ours and await asyncio.to_thread(self._root, ours, known)
        standing = self.setup.rules.standing(project, ours.manifest if ours is not None else None)
        own = ours if standing.ours else None
        if not standing.theirs:
            if standing.denied and own is None:
                raise DeniedError(
                    Denied(status=403, message=f"{project} is not to be had here, by a rule of this mirror")
                )
            return own
        try:
            kept = await self.pages.find(project)
        except UpstreamUnavailableError as error:
            if own is None:
                raise
            LOG.warning("%s: serving our own files alone: %s", project, error)
            return own
        if kept is None:
            return own
        mark = self._mark(own, kept.digest)
        if known is not None and known.mark == mark and (known.until is None or self.now() < known.until):
            return known
        return await asyncio.to_thread(self._combined, project, own)

    async def answer(self, reply: Reply, origin: Origin) -> None:
        """Answer with a file of upstream's, from the shelf or as it comes.

        A range of a file that is not here waits for all of it: nobody is given bytes that were not verified.
        """
        path = self.files.here(origin)
        if path is None and self.setup.offline:
            raise NotOnIndexError(f"{origin.filename} is not here, and this mirror is offline")
        if path is not None:
            await self._answer_kept(reply, origin, path)
        elif reply.head and origin.size is not None:
            await reply.blob(_Nothing(), origin.sha256, origin.size)
        elif reply.head or reply.wants_range:
            await self._answer_kept(reply, origin, await self.files.whole(origin))
        else:
            fetch = self.files.fetch(origin)
            size = await fetch.known_size()
            async with aclosing(fetch.pieces()) as pieces:
                await reply.arriving(origin.sha256, size, pieces)

    async def fetch(self, origin: Origin) -> Path:
        """Have a file here, with its metadata; for those who fetch ahead."""
        beside = origin.beside()
        if beside is not None:
            await self.files.whole(beside)
        return await self.files.whole(origin)

    async def metadata(self, origin: Origin) -> bytes | None:
        """Return the core metadata of a file; None: upstream has none, or does not give them now."""
        beside = origin.beside()
        if beside is None:
            return None
        try:
            path = self.files.here(beside) if self.setup.offline else await self.files.whole(beside)
            return await asyncio.to_thread(path.read_bytes) if path is not None else None
        except (UpstreamUnavailableError, NotOnIndexError, ShelfFullError, FileNotFoundError):
            return None

    def stats(self) -> MirrorStats:
        """Say how the mirror does. Reads one small file."""
        return MirrorStats(
            counted=replace(self.counters),
            fetching=self.files.fetching,
            shelf=self.shelf.stats(),
            offline=self.setup.offline,
            upstreams=self.client.states(),
        )

    async def _answer_kept(self, reply: Reply, origin: Origin, path: Path) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size if origin.size is None else origin.size
        await reply.blob(_OnDisk(path), origin.sha256, size)

    def _root(self, ours: Entry, known: Entry | None) -> Entry:
        """List our projects, and those of upstream whose pages are here."""
        rules, own = self.setup.rules, set(ours.mark) if isinstance(ours.mark, set | frozenset) else set()
        names = own | {name for name in self.folder.projects() if rules.standing(name, None).theirs}
        if names == own:
            return ours
        mark = (frozenset(own), frozenset(names))
        if known is not None and known.mark == mark:
            return known
        listed = sorted(names)
        return Entry(mark=mark, listed=None, pages=render_root(listed), files={}, names=listed, own=ours)

    def _combined(self, project: NormalizedName, own: Entry | None) -> Entry:
        kept, page = self.pages.read(project)
        mark = self._mark(own, kept.digest)  # before the shelf is looked at: what comes meanwhile is seen the next time
        view = View(
            now=self.now(),
            min_age=self.setup.rules.age_of(project),
            has=self._is_here if self.setup.offline else None,
        )
        listing = combine(own.manifest if own is not None else None, page, view, links=self.links)
        return Entry(
            mark=mark,
            listed=listing.manifest,
            pages=listing.pages,
            files=listing.files,
            theirs=listing.theirs,
            own=own,
            until=listing.until,
        )

    def _mark(self, own: Entry | None, digest: str) -> object:
        stock = self.shelf.stats() if self.setup.offline else None
        return (own.mark if own is not None else None, digest, stock)

    def _is_here(self, sha256: Sha256) -> bool:
        return self.shelf.path(sha256) is not None


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """A file of the shelf, as an answer wants it."""

    path: Path

    def local_path(self, sha256: Sha256) -> Path | None:  # noqa: ARG002 - there is one
        return self.path

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:  # noqa: ARG002
        return read_range(self.path, start, end)


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No bytes, for an answer that sends none."""

    def local_path(self, sha256: Sha256) -> Path | None:  # noqa: ARG002
        return None

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:  # noqa: ARG002
        return iter(())
