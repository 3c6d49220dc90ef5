"""A project's name in, what upstream says of it out: asked once for any number of askers, no oftener than needed.

Of several upstreams the first that has a project answers for it, and no other is mixed in: a name on the first can
never be taken over by files on the second. While the first cannot be asked, the second is not asked either.

A page that is known is used as it is when upstream is down or slow, however old it is. Raises UpstreamUnavailableError
for what is not known.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import UpstreamUnavailableError
from wheelhouse.index.upstream.client import Fetched, Unchanged
from wheelhouse.index.upstream.folder import Kept, digest_of
from wheelhouse.index.upstream.page import parse_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.index.upstream.address import Upstream
    from wheelhouse.index.upstream.client import UpstreamClient
    from wheelhouse.index.upstream.folder import PageFolder
    from wheelhouse.index.upstream.page import UpstreamPage
    from wheelhouse.index.upstream.stats import Counters

LOG = logging.getLogger("wheelhouse.index.upstream")
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})")
_NEVER = re.compile(r"(?:^|[\s,])(?:no-cache|no-store)\b")
_MOST_REMEMBERED = 20_000
#: Files on pages that came and are not yet rendered: an install asks for fifty at once, and what does not fit is parsed
#: again.
_MOST_JUST_READ = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long an answer of upstream holds, in seconds."""

    default: float = 600.0
    least: float = 10.0
    most: float = 3600.0
    missing: float = 60.0
    """That there is no such project."""
    failed: float = 10.0
    """That upstream could not say; an old page is used meanwhile."""
    offline: float = 10.0
    """What is on disk; another process may put something there."""
    patience: float = 3.0
    """How long an asker waits for news of a page that is known, before the old one has to do."""

    def of(self, caching: str | None) -> float:
        """Return how long a page holds that came with this `Cache-Control`."""
        if caching is None:
            return self.default
        if _NEVER.search(caching.lower()):
            return self.least
        found = _MAX_AGE.search(caching.lower())
        return min(max(float(found[1]), self.least), self.most) if found else self.default


@dataclass(frozen=True, slots=True)
class _Known:
    kept: Kept | None
    """None: there is no such project."""
    until: float


class Pages:
    """What upstreams say, kept on disk. Belongs to one event loop."""

    def __init__(
        self,
        *,
        client: UpstreamClient,
        folder: PageFolder,
        upstreams: Callable[[], Sequence[Upstream]],
        counters: Counters,
        offline: bool = False,
        freshness: Freshness | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._folder = folder
        self._upstreams = upstreams
        self._counters = counters
        self._offline = offline
        self._freshness = freshness or Freshness()
        self._clock = clock
        self._known: OrderedDict[NormalizedName, _Known] = OrderedDict()
        self._just_read: dict[NormalizedName, tuple[Kept, UpstreamPage]] = {}
        """Pages that came a moment ago: whoever asked is about to read them."""
        self._asking: dict[NormalizedName, asyncio.Task[Kept | None]] = {}

    async def find(self, project: NormalizedName) -> Kept | None:
        """Return what is known of a project's page; None: no upstream has it."""
        known = self._known.get(project)
        if known is not None and self._clock() < known.until:
            self._known.move_to_end(project)
            self._counters.page_hits += 1
            return known.kept
        task = self._asking.get(project)
        if task is None:
            task = asyncio.create_task(self._refresh(project))
            self._asking[project] = task
            task.add_done_callback(lambda done: self._asked(project, done))
        if known is None or known.kept is None:
            return await asyncio.shield(task)
        await asyncio.wait({task}, timeout=self._freshness.patience)
        if task.done():
            return task.result()
        self._counters.page_stale += 1
        return known.kept

    def read(self, project: NormalizedName) -> tuple[Kept, UpstreamPage]:
        """Read a page that `find` returned, or a newer one; for a thread."""
        just_read = self._just_read.pop(project, None)
        if just_read is not None:
            return just_read
        found = self._folder.read(project)
        if found is None:
            self._known.pop(project, None)
            raise UpstreamUnavailableError(f"the page of {project} is no longer here")
        kept, body = found
        return kept, parse_page(body, project=project, url=kept.url, upstream=kept.upstream)

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def upstream_of(self, url: str) -> Upstream | None:
        """Return the upstream of an address, as long as it is configured."""
        return next((upstream for upstream in self._upstreams() if upstream.url == url), None)

    def _asked(self, project: NormalizedName, task: asyncio.Task[Kept | None]) -> None:
        del self._asking[project]
        if not task.cancelled():
            task.exception()  # whoever asked has been told; with nobody left it is nobody's

    async def _refresh(self, project: NormalizedName) -> Kept | None:
        before = self._known.get(project)
        kept = before.kept if before is not None else None
        if kept is None or self._offline:
            kept = await asyncio.to_thread(self._find_kept, project)
            if kept is not None and self._clock() < kept.asked + kept.fresh_for:
                return self._remember(project, kept, until=kept.asked + kept.fresh_for)
        if self._offline:
            return self._remember(project, kept, until=self._clock() + self._freshness.offline)
        try:
            return await self._ask_all(project, kept)
        except UpstreamUnavailableError as error:
            if kept is None:
                LOG.warning("%s: not known here, and upstream does not say: %s", project, error)
                raise
            LOG.warning("%s: serving the page of before: %s", project, error)
            self._counters.page_stale += 1
            return self._remember(project, kept, until=self._clock() + self._freshness.failed)

    def _find_kept(self, project: NormalizedName) -> Kept | None:
        """Return what is on disk, if it is from an upstream that counts."""
        kept = self._folder.find(project)
        return kept if kept is not None and self.upstream_of(kept.upstream) else None

    async def _ask_all(self, project: NormalizedName, kept: Kept | None) -> Kept | None:
        for upstream in await asyncio.to_thread(self._upstreams):
            mine = kept if kept is not None and kept.upstream == upstream.url else None
            answer = await self._client.page(
                upstream, project, etag=mine.etag if mine else None, modified=mine.modified if mine else None
            )
            if isinstance(answer, Fetched):
                return await self._keep(project, upstream, answer, mine)
            if isinstance(answer, Unchanged) and mine is not None:
                self._counters.page_revalidated += 1
                fresh_for = self._freshness.of(answer.caching)
                kept = mine.model_copy(update={"asked": self._clock(), "fresh_for": fresh_for})
                return self._remember(project, kept, until=kept.asked + fresh_for)
        await asyncio.to_thread(self._folder.remove, project)
        return self._remember(project, None, until=self._clock() + self._freshness.missing)

    async def _keep(self, project: NormalizedName, upstream: Upstream, answer: Fetched, before: Kept | None) -> Kept:
        kept = Kept(
            upstream=upstream.url,
            url=answer.url,
            etag=answer.etag,
            modified=answer.modified,
            digest=digest_of(answer.body),
            size=len(answer.body),
            asked=self._clock(),
            fresh_for=self._freshness.of(answer.caching),
        )

        def write() -> None:
            if before is None or before.digest != kept.digest:
                page = parse_page(
                    answer.body, project=project, url=kept.url, upstream=kept.upstream
                )  # or it is not kept
                self._just_read[project] = (kept, page)
            try:
                self._folder.write(project, kept, answer.body)
            except OSError as error:
                raise UpstreamUnavailableError(f"there is no room to keep the page of {project}") from error

        await asyncio.to_thread(write)
        self._make_room()
        self._counters.page_misses += 1
        self._remember(project, kept, until=kept.asked + kept.fresh_for)
        return kept

    def _make_room(self) -> None:
        """Let go of the oldest pages that nobody has come for; threads take theirs meanwhile."""
        waiting = list(self._just_read.items())
        files = sum(len(page.files) for _, (_, page) in waiting)
        for project, (_, page) in waiting[:-1]:
            if files <= _MOST_JUST_READ:
                return
            self._just_read.pop(project, None)
            files -= len(page.files)

    def _remember(self, project: NormalizedName, kept: Kept | None, *, until: float) -> Kept | None:
        self._known[project] = _Known(kept, until)
        self._known.move_to_end(project)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return kept
