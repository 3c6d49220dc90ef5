"""Files that somebody will want in, the same files in the mirror's cache out: for sites that are offline.

They come as they would come for a client, by the same rules and checks, and are kept: eviction spares them. What is
here already is not fetched again, so that a run that was stopped is taken up by the next.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from wheelhouse.errors import WheelhouseError
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.access.auth import AccessRules, Gate
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.changes.upload import Uploads
from wheelhouse.index.model import FileName
from wheelhouse.index.pages.catalog import Catalog
from wheelhouse.index.problems import DeniedError
from wheelhouse.index.routes.site import Site
from wheelhouse.index.serving.app import IndexApp
from wheelhouse.index.stores.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.index.pages.catalog import Entry
    from wheelhouse.index.settings import Settings
    from wheelhouse.index.upstream.mirror import Mirror
    from wheelhouse.index.upstream.page import Origin

State = Literal["fetched", "here", "ours", "failed"]
AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """One file that is wanted."""

    project: NormalizedName
    filename: str
    sha256: str | None
    """As whoever resolved it saw it; None: it was not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it."""

    filename: str
    project: NormalizedName
    state: State
    """`here`: it was there before; `ours`: it is no file of upstream's, and in the store."""
    size: int | None = None
    """Bytes."""
    cause: str = ""
    """Why it failed."""


class Follower(Protocol):
    """Is told how it goes, in the event loop's thread."""

    def planned(self, files: int, size: int) -> None:
        """Say how many files there are to fetch, and how many bytes as far as upstream says."""
        ...

    def begun(self, filename: str) -> None:
        """Say that a file is on its way."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Say what became of a file."""
        ...


def reading_site(settings: Settings, mirror: Mirror) -> tuple[IndexApp, Catalog]:
    """Put an application together that only answers what can be read, to programs on this machine; and its catalog."""
    store = open_store(settings.store)
    catalog = Catalog(store=store, mirror=mirror)
    site = Site(
        catalog=catalog,
        gate=Gate(rules=AccessRules(), tokens=TokenFile(settings.tokens)),
        uploads=Uploads(repository=Repository(store=store), limit=0, bounds=settings.bounds),
        audit=AuditLog(folder=settings.audit),
    )
    return IndexApp(site=site), catalog


async def fetch_ahead(
    sought: Sequence[Sought], *, catalog: Catalog, mirror: Mirror, sdists: bool, follower: Follower, since: float
) -> list[Outcome]:
    """Have files here, and keep them. With `sdists`, those of the same versions too. One failure stops no other.

    What came after `since` (seconds since 1970) counts as fetched: a resolver may have asked for it before.
    """
    projects = list(dict.fromkeys(each.project for each in sought))
    found = await asyncio.gather(*(_entry(catalog, project) for project in projects))
    entries = dict(zip(projects, found, strict=True))
    outcomes: list[Outcome] = []
    origins: dict[str, tuple[NormalizedName, Origin]] = {}
    for each in sought:
        judged = _judge(each, entries[each.project])
        if isinstance(judged, Outcome):
            outcomes.append(judged)
            follower.ended(judged)
        else:
            origins[judged.filename] = (each.project, judged)
    if sdists:
        for each in sought:
            origins |= {origin.filename: (each.project, origin) for origin in _sdists(each, entries[each.project])}
    follower.planned(len(origins), sum(origin.size or 0 for _, origin in origins.values()))
    slots = asyncio.Semaphore(AT_ONCE)

    async def fetch(project: NormalizedName, origin: Origin) -> Outcome:
        async with slots:
            follower.begun(origin.filename)
            outcome = await _fetch(mirror, project, origin, since)
            follower.ended(outcome)
            return outcome

    return [*outcomes, *await asyncio.gather(*(fetch(project, origin) for project, origin in origins.values()))]


async def _entry(catalog: Catalog, project: NormalizedName) -> Entry | str:
    """Return a project's entry, or why there is none."""
    try:
        entry = await catalog.find(project)
    except (WheelhouseError, DeniedError) as error:
        return str(error)
    return entry if entry is not None else f"there is no project {project}"


def _judge(sought: Sought, entry: Entry | str) -> Origin | Outcome:
    """Return where a file comes from, or what there is to say instead."""

    def failed(cause: str) -> Outcome:
        return Outcome(filename=sought.filename, project=sought.project, state="failed", cause=cause)

    if isinstance(entry, str):
        return failed(entry)
    own, origin = entry.files.get(sought.filename), entry.theirs.get(sought.filename)
    known = own.sha256 if own is not None else origin.sha256 if origin is not None else None
    if known is None:
        return failed("the mirror does not offer it: a rule hides it, or upstream has it no more")
    if sought.sha256 is not None and sought.sha256 != known:
        return failed(f"the mirror has other bytes under this name (sha256 {known})")
    if origin is not None:
        return origin
    assert own is not None  # noqa: S101 - one of the two is known
    return Outcome(filename=own.filename, project=sought.project, state="ours", size=own.size)


def _sdists(sought: Sought, entry: Entry | str) -> list[Origin]:
    if isinstance(entry, str):
        return []
    version = FileName.parse(sought.filename).version
    return [origin for name, origin in entry.theirs.items() if _is_sdist(name, version)]


def _is_sdist(filename: str, version: Version) -> bool:
    if filename.endswith(".whl"):
        return False
    name = FileName.parse(filename)
    return name.kind == "sdist" and name.version == version


async def _fetch(mirror: Mirror, project: NormalizedName, origin: Origin, since: float) -> Outcome:
    shelf, beside = mirror.shelf, origin.beside()
    try:
        for each in (origin, beside):
            if each is not None:
                await asyncio.to_thread(shelf.keep, each.sha256, each.filename)
        path = await mirror.fetch(origin)
        stat = await asyncio.to_thread(path.stat)
    except (WheelhouseError, OSError) as error:
        return Outcome(filename=origin.filename, project=project, state="failed", cause=str(error))
    state: State = "fetched" if stat.st_mtime >= since else "here"
    return Outcome(filename=origin.filename, project=project, state=state, size=stat.st_size)
