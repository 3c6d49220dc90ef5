"""An index and a reader in, the views of pages out: the one place of these pages that asks the store and the disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from markupsafe import Markup

from wheelhouse.errors import IndexRefusesError, NotOnIndexError, StoreUnavailableError
from wheelhouse.index.model import parse_project
from wheelhouse.index.web.about import About, read_about
from wheelhouse.index.web.builds import STATES, Jobs, list_builds
from wheelhouse.index.web.home import Board, show_home
from wheelhouse.index.web.insides import Component, Insides, grafted_in, look_inside, open_blob
from wheelhouse.index.web.memory import Memory
from wheelhouse.index.web.project import files_of, find_version, installing, newest_version, show_project
from wheelhouse.index.web.search import LONGEST_QUERY, search
from wheelhouse.index.web.waiting import show_waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import File, Manifest, Sha256
    from wheelhouse.index.pages.catalog import Entry
    from wheelhouse.index.routes.site import Site
    from wheelhouse.index.upstream.stats import MirrorStats
    from wheelhouse.index.web.builds import Builds, BuildView
    from wheelhouse.index.web.home import Home, Summary
    from wheelhouse.index.web.insides import Grafted
    from wheelhouse.index.web.project import Installing, ProjectView
    from wheelhouse.index.web.reader import Reader
    from wheelhouse.index.web.search import Results
    from wheelhouse.index.web.waiting import Waiting

_MOST_WHEELS = 100
"""Of one version, that are looked into for one page."""
_MOST_METADATA = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found, with what is known of each project."""

    results: Results
    summaries: Mapping[NormalizedName, Summary]
    elsewhere: NormalizedName | None
    """What may be had from an upstream, where nothing was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """All of a project's page that its manifest and the bytes of its files say."""

    view: ProjectView
    about: About
    grafted: tuple[Grafted, ...]
    components: tuple[Component, ...]
    """By the SBOMs."""
    looked_into: int
    """How many wheels could be."""

    @property
    def description(self) -> Markup:
        """The description, marked as what may stand in a page as it is: it was cleaned."""
        return Markup(self.about.description)  # noqa: S704 - `about.tame` made it


class Shown:
    """What the pages show. What is read from the bytes of a file is remembered by their sha256."""

    def __init__(self, *, site: Site) -> None:
        self._site = site
        self._board = Board(store=site.catalog.store)
        self._jobs = Jobs(site.records) if site.records is not None else None
        self._abouts: Memory[About] = Memory(200)
        self._insides: Memory[Insides | None] = Memory(5000)

    def menu(self, reader: Reader | None) -> tuple[str, ...]:
        """Return the pages that a reader finds in the menu; None: nobody that is known."""
        if reader is None:
            return ()
        there = {
            "builds": self._jobs is not None and (reader.local or reader.known),
            "spool": self._site.pending is not None and reader.runs(None),
            "mirror": self._site.catalog.mirror is not None and reader.runs(None),
        }
        return tuple(page for page, shown in there.items() if shown)

    async def home(self, reader: Reader) -> Home:
        """Return the first page."""
        names = await self._names()
        if not reader.reads(None):
            names = await asyncio.to_thread(lambda: list(filter(reader.reads, names)))
        return show_home(names, await asyncio.to_thread(self._board.look))

    async def search(self, reader: Reader, query: str, page: int) -> Found:
        """Return what fits a query."""
        names = await self._names()
        reads = None if reader.reads(None) else reader.reads
        results = await asyncio.to_thread(search, names, query, page=page, reads=reads)
        return Found(
            results=results,
            summaries=self._board.known(results.names),
            elsewhere=None if results.total else self._elsewhere(query, reader),
        )

    def _elsewhere(self, query: str, reader: Reader) -> NormalizedName | None:
        mirror = self._site.catalog.mirror
        if mirror is None or mirror.setup.offline or len(query) > LONGEST_QUERY:
            return None
        try:
            name = parse_project(query.strip())
        except IndexRefusesError:
            return None
        return name if reader.reads(name) and mirror.looks_for(name, None) else None

    async def _names(self) -> Sequence[NormalizedName]:
        entry = await self._site.catalog.find(None)
        return entry.names if entry is not None else ()

    def version(self, manifest: Manifest, asked: str | None) -> str | None:
        """Return the version that a page is about; None: there are no files. Raises NotOnIndexError."""
        return newest_version(manifest) if asked is None else find_version(manifest, asked)

    async def project(self, entry: Entry, version: str | None) -> ProjectPage:
        """Return the page of a project at a version, one of its manifest's."""
        manifest = await self._site.catalog.manifest(entry)
        files = files_of(manifest, version)
        metadata = await self._metadata(entry, files)
        return await asyncio.to_thread(self._project, manifest, version, files, metadata)

    def _project(
        self, manifest: Manifest, version: str | None, files: Sequence[File], metadata: tuple[Sha256, bytes] | None
    ) -> ProjectPage:
        found = self._look_into(files)
        about = About() if metadata is None else self._abouts.get(metadata[0], lambda: read_about(metadata[1]))
        return ProjectPage(
            view=show_project(manifest, version),
            about=about,
            grafted=grafted_in(found),
            components=tuple(sorted({c for insides in found.values() for c in insides.components}, key=str)),
            looked_into=len(found),
        )

    async def _metadata(self, entry: Entry, files: Sequence[File]) -> tuple[Sha256, bytes] | None:
        """Return the METADATA of a version, by their sha256; None: there are none, or not now."""
        for file in files:
            if file.core_metadata is None:
                continue
            origin, mirror = entry.theirs.get(file.filename), self._site.catalog.mirror
            if origin is not None and mirror is not None:
                data = await mirror.metadata(origin)
                return None if data is None else (file.core_metadata, data)
            with suppress(NotOnIndexError, StoreUnavailableError):  # the page has enough to say without
                return (file.core_metadata, await asyncio.to_thread(self._read, file.core_metadata))
        return None

    def _look_into(self, files: Sequence[File]) -> dict[str, Insides]:
        wheels = [file for file in files if file.filename.endswith(".whl") and not file.filename.endswith("-any.whl")]
        found = {}
        for file in wheels[:_MOST_WHEELS]:
            with suppress(StoreUnavailableError):  # likewise
                insides = self._insides.get(file.sha256, partial(look_inside, partial(self._open, file)))
                if insides is not None:
                    found[file.filename] = insides
        return found

    def _open(self, file: File) -> IO[bytes]:
        """Open a file that is here, in the store or on the mirror's shelf; nothing is fetched for a page."""
        mirror = self._site.catalog.mirror
        path = mirror.shelf.path(file.sha256) if mirror is not None else None
        return path.open("rb") if path is not None else open_blob(self._site.catalog.store, file.sha256, file.size)

    def _read(self, sha256: Sha256) -> bytes:
        return b"".join(self._site.catalog.store.open_range(sha256, 0, _MOST_METADATA))

    def installing(self, view: ProjectView, *, root: str, pinned: bool) -> Installing:
        """Return the lines that install what a page is about."""
        return installing(view.name, view.version, root=root, pinned=pinned)

    async def builds(self, reader: Reader, state: str, project: str, page: int) -> Builds:
        """Return the list of builds, of the projects whose works the reader is shown."""
        jobs = self._expect_jobs(reader)
        builds = [build for build in await asyncio.to_thread(jobs.all) if reader.runs(build.project)]
        wanted = next((known for known in STATES if known == state), None)
        return list_builds(builds, state=wanted, project=project, page=page)

    async def build(self, reader: Reader, job: str) -> BuildView:
        """Return the page of a job. Raises NotOnIndexError, also where the reader is not shown it."""
        return await asyncio.to_thread(self._expect_jobs(reader).find, job, shown=reader.runs)

    async def waiting(self, reader: Reader) -> Waiting:
        """Return what waits for the store."""
        reader.expect_runs(None)
        if self._site.pending is None:
            raise NotOnIndexError("this index keeps no spool")
        return await asyncio.to_thread(show_waiting, self._site.pending, self._site.pending.outage)

    async def mirror(self, reader: Reader) -> MirrorStats:
        """Return how the mirror does."""
        reader.expect_runs(None)
        if self._site.catalog.mirror is None:
            raise NotOnIndexError("this index mirrors nothing")
        return await asyncio.to_thread(self._site.catalog.mirror.stats)

    def _expect_jobs(self, reader: Reader) -> Jobs:
        if not reader.local and not reader.known:
            reader.expect_runs(None)
        if self._jobs is None:
            raise NotOnIndexError("this index keeps no records of builds")
        return self._jobs
