"""The index as an ASGI application: pages and files straight from here, all else by the routes of Starlette.

    GET /simple/                     list of projects        PEP 503, 691
    GET /simple/<project>/           a project's page
    GET /files/<ab>/<sha256>/<name>  a file; + .metadata (PEP 658), + .provenance (PEP 740)

Every route takes any spelling of a project's name, decides about access by the normalised one, and only then says
what there is.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from dataclasses import replace
from functools import cached_property, lru_cache
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wheelhouse.errors import IndexRefusesError, NotOnIndexError, WheelhouseError
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.access.auth import Gate
from wheelhouse.index.access.publishers import Publisher
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.changes import wheelfile
from wheelhouse.index.changes.attestations import Attestations, ready
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.changes.upload import Uploads
from wheelhouse.index.model import FileName, parse_project
from wheelhouse.index.outages.durable import make_durable
from wheelhouse.index.pages.catalog import Catalog
from wheelhouse.index.pages.negotiation import negotiate
from wheelhouse.index.pages.render import Links
from wheelhouse.index.problems import NOT_FOUND, Problem, problem_of
from wheelhouse.index.routes.requests import Patience
from wheelhouse.index.routes.site import Site, asker_of, request_id, with_request_id
from wheelhouse.index.serving.answers import PATHSEND, GoneError, Reply, Sent
from wheelhouse.index.serving.proxies import NO_PROXIES, Proxies
from wheelhouse.index.serving.tidying import Tidying
from wheelhouse.index.stores.opening import open_store
from wheelhouse.index.telling.logs import Answered, is_told, tell
from wheelhouse.index.telling.traffic import kind_of
from wheelhouse.index.upstream.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from packaging.utils import NormalizedName
    from starlette.applications import Starlette

    from wheelhouse.index.access.auth import Asker
    from wheelhouse.index.access.oidc import TrustedPublishing
    from wheelhouse.index.model import File, Sha256
    from wheelhouse.index.outages.auditdb import Recorder
    from wheelhouse.index.outages.outbox import Outbox
    from wheelhouse.index.serving.answers import Receive, Scope, Send
    from wheelhouse.index.settings import Settings
    from wheelhouse.index.stores.store import Store
    from wheelhouse.index.telling.logs import AccessLog
    from wheelhouse.index.upstream.page import Origin

LOG = logging.getLogger("wheelhouse.index")
#: Clients of one kind send one header: looking at it once is enough.
_wanted_form = lru_cache(maxsize=512)(negotiate)
_METHODS = {"GET", "HEAD"}
_SIMPLE, _FILES, _STAGES = "/simple", "/files/", "/_/stages/"
_FILE_PARTS = 3
#: Bytes of pages that are remembered. Public projects have thousands of files, and some twenty go into one install.
_MEMORY, _MEMORY_OF_MIRROR = 64 << 20, 192 << 20
_NOT_ACCEPTABLE = Problem(
    status=406,
    text="a page is to be had as application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html or text/html",
)
_NO_METHOD = Problem(status=405, text="this can only be read", headers={"Allow": "GET, HEAD"})


def make_app(settings: Settings) -> IndexApp:
    """Open the store and put the application together. Raises UsageError, StoreUnavailableError."""
    store = open_store(settings.store)
    outbox, repository = None, Repository(store=store)
    if settings.buffer is not None:
        durable = make_durable(store, settings.buffer, elsewhere="://" in settings.store, bounds=settings.bounds)
        store, outbox, repository = durable.reading, durable.outbox, durable.outbox.repository
    publishing = _publishing(settings, repository.store)
    mint = publishing.mint if publishing is not None else None
    links = Links(public=settings.public)
    tidying = _tidying(settings, repository.store)
    return IndexApp(
        site=Site(
            catalog=Catalog(
                store=store,
                mirror=Mirror.open(settings.mirror, links=links) if settings.mirror is not None else None,
                most_bytes=_MEMORY if settings.mirror is None else _MEMORY_OF_MIRROR,
                links=links,
            ),
            gate=Gate(rules=settings.access, tokens=TokenFile(settings.tokens), mint=mint),
            uploads=Uploads(
                repository=repository,
                limit=settings.max_upload,
                bounds=settings.bounds,
                attestations=_attestations(settings),
                outbox=outbox,
            ),
            patience=Patience(rate=settings.min_upload_rate),
            audit=AuditLog(folder=settings.audit),
            records=settings.records,
            pending=outbox,
            tidied=tidying.tidied if tidying is not None else None,
            recorder=_recorder(settings, outbox),
            publishing=publishing,
            public=settings.public,
        ),
        access_log=settings.access_log,
        proxies=Proxies.of(settings.trusted_proxies),
        tidying=tidying,
    )


def _tidying(settings: Settings, store: Store) -> Tidying | None:
    if not settings.gc_hours:
        return None
    return Tidying(store=store, every=settings.gc_hours * 3600.0, stage_days=settings.stage_days)


def _recorder(settings: Settings, outbox: Outbox | None) -> Recorder | None:
    if settings.audit_database is None or outbox is None:
        return None
    from wheelhouse.index.outages.auditdb import make_recorder  # noqa: PLC0415 - start-up time

    return make_recorder(outbox.spool, settings.audit_database)


def _attestations(settings: Settings) -> Attestations:
    tables = settings.trust.publishers if settings.trust is not None else ()
    publishers = tuple(Publisher.of(table) for table in tables)
    return ready(Attestations(policy=settings.attestations, publishers=publishers))


def _publishing(settings: Settings, store: Store) -> TrustedPublishing | None:
    if settings.trust is None:
        return None
    from wheelhouse.index.access.oidc import TrustedPublishing  # noqa: PLC0415 - cryptography takes its time to load

    return TrustedPublishing.of(settings.trust, store.claim)


class IndexApp:
    """The application. Holds nothing that another process would have to know."""

    def __init__(
        self,
        *,
        site: Site,
        access_log: AccessLog = "nothing",
        proxies: Proxies = NO_PROXIES,
        tidying: Tidying | None = None,
    ) -> None:
        self.site = site
        self.tidying = tidying
        self.access_log: AccessLog = access_log
        self.proxies = proxies

    @cached_property
    def _routes(self) -> Starlette:
        """What is not asked for all day. Loaded when the first one asks, or when there is time for it."""
        from wheelhouse.index.serving.table import make_routes  # noqa: PLC0415 - start-up time

        return make_routes(self.site)

    async def go_on(self) -> None:
        """Load what the first answers do not need, then do what is to be done now and then."""
        await asyncio.to_thread(getattr, self, "_routes")
        await asyncio.to_thread(wheelfile.get_ready)
        mirror = self.site.catalog.mirror
        if mirror is not None:
            try:
                await mirror.get_ready()
            except WheelhouseError as error:
                LOG.warning("%s", error)
        if self.tidying is not None:
            await self.tidying.go_on()

    def close(self) -> None:
        """Let go of what is open; what was acknowledged is on a disk."""
        if self.tidying is not None:
            self.tidying.close()
        if self.site.recorder is not None:
            self.site.recorder.close()
        if self.site.pending is not None:
            self.site.pending.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        if self.proxies.networks:
            scope = self.proxies.unveil(scope)
        path = _below(scope["path"], scope.get("root_path", ""))
        sent, begun = Sent(send), perf_counter()
        try:
            await self._answer(path, scope, receive, sent)
        except Exception as error:
            if sent.status:  # it is half told
                raise
            LOG.exception("%s %s", scope["method"], path, extra={"request": sent.request})
            head = scope["method"] == "HEAD"
            reply = Reply(send=sent, headers={}, head=head, public=False, pathsend=False)
            await reply.problem(problem_of(error))
        finally:
            self._count(path, scope, sent, perf_counter() - begun)

    async def _answer(self, path: str, scope: Scope, receive: Receive, sent: Sent) -> None:
        answer = self._direct(path)
        if answer is None:
            scope = with_request_id(scope, sent)
            await self._routes(scope, receive, sent)
            return
        asker = asker_of(scope)
        reply = Reply(
            send=sent,
            headers=asker.headers,
            head=scope["method"] == "HEAD",
            public=self.site.gate.rules.anonymous_read,
            pathsend=PATHSEND in (scope.get("extensions") or {}),
        )
        if scope["method"] not in _METHODS:
            await reply.problem(_NO_METHOD)
            return
        try:
            await answer(path, scope, asker, reply)
        except GoneError:
            raise
        except Exception as error:
            problem = problem_of(error)
            if problem.ours:
                sent.request = request_id(asker)
                problem.log(error, f"{scope['method']} {path}", request=sent.request)
            if sent.status:
                raise
            await reply.problem(problem)

    def _count(self, path: str, scope: Scope, sent: Sent, seconds: float) -> None:
        kind = kind_of(path)
        self.site.traffic.add(kind, sent.status, size=sent.size, seconds=seconds)
        if is_told(self.access_log, kind, sent.status):
            asker = asker_of(scope)
            answered = Answered(
                method=scope["method"],
                path=path,
                status=sent.status,
                size=sent.size,
                seconds=seconds,
                who=self.site.who(asker),
                address=asker.address,
                request=sent.request or request_id(asker),
            )
            tell(answered)

    async def _theirs(self, origin: Origin, sha256: str, shelf: str, suffix: str, reply: Reply) -> None:
        """Answer with an upstream's file, or the metadata of one."""
        wanted = origin if not suffix else origin.beside() if suffix == "metadata" else None
        mirror = self.site.catalog.mirror
        if mirror is None or wanted is None or origin.sha256 != sha256 or shelf != sha256[:2]:
            raise NotOnIndexError(f"there is no file {origin.filename}{suffix and f'.{suffix}'} of this hash")
        await mirror.answer(reply, wanted)

    def _direct(self, path: str) -> Callable[[str, Scope, Asker, Reply], Awaitable[None]] | None:
        if path == _SIMPLE or path.startswith(f"{_SIMPLE}/"):
            return self._page
        if path.startswith(_FILES):
            return self._file
        if not path.startswith(_STAGES):
            return None
        from wheelhouse.index.routes.staging import is_staged  # noqa: PLC0415 - start-up time

        return self._staged if is_staged(path) else None

    async def _staged(self, path: str, scope: Scope, asker: Asker, reply: Reply) -> None:
        """Answer with a page or a file as it will be once a stage is published."""
        from wheelhouse.index.routes.staging import staged_site  # noqa: PLC0415 - start-up time

        site, path = staged_site(self.site, path)
        site.expect_known(asker, Action.UPLOAD)
        over = copy.copy(self)
        over.site = site
        answer = over._direct(path)  # noqa: SLF001 - a copy of this very object
        if answer is None:
            await reply.problem(NOT_FOUND)
            return
        await answer(path, scope, asker, replace(reply, public=False))

    async def _page(self, path: str, scope: Scope, asker: Asker, reply: Reply) -> None:
        """Answer with a page of the Simple API."""
        query: str = scope.get("query_string", b"").decode("latin-1")
        name = path[len(_SIMPLE) + 1 :]
        if not name:
            if path == _SIMPLE:
                await reply.moved(_with_query("simple/", query))
                return
            project = None
        elif "/" in name.removesuffix("/"):
            await reply.problem(NOT_FOUND)
            return
        else:
            project = _project_of(name.removesuffix("/"))
            if name != f"{project}/":
                self.site.authorize(asker, Action.READ, project)
                up = "../" if name.endswith("/") else ""
                await reply.moved(_with_query(f"{up}{project}/", query))
                return
        entry = await self.site.readable(asker, project)
        wanted = parse_qs(query).get("format", [None])[0] if query else None
        media_type = _wanted_form(asker.headers.get("accept"), wanted)
        if media_type is None:
            await reply.problem(_NOT_ACCEPTABLE)
            return
        await reply.page(entry.pages.of(media_type), media_type)

    async def _file(self, path: str, scope: Scope, asker: Asker, reply: Reply) -> None:  # noqa: ARG002 - as _page
        """Answer with a file that a project's manifest lists: knowing a hash alone opens nothing."""
        parts = path.removeprefix(_FILES).split("/")
        if len(parts) != _FILE_PARTS:
            await reply.problem(NOT_FOUND)
            return
        shelf, sha256, filename = parts
        name, suffix = _split(filename)
        entry = await self.site.readable(asker, _project_of_file(name))
        theirs = entry.theirs.get(name)
        if theirs is not None:
            await self._theirs(theirs, sha256, shelf, suffix, reply)
            return
        file = entry.files.get(name)
        if file is None or file.sha256 != sha256 or shelf != sha256[:2]:
            raise NotOnIndexError(f"there is no file {name} of this hash")
        store = self.site.catalog.store
        if not suffix:
            await reply.blob(store, file.sha256, file.size)
            return
        beside = _beside(file, suffix)
        blob = await asyncio.to_thread(store.find_blob, beside)
        if blob is None:
            raise NotOnIndexError(f"there is no {filename}")
        await reply.blob(store, beside, blob.size)


def _below(path: str, root: str) -> str:
    """Return the path below that of the index, whether a proxy has cut that off or not."""
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _project_of(text: str) -> NormalizedName:
    try:
        return parse_project(text)
    except IndexRefusesError as error:
        raise NotOnIndexError(error.message) from error


def _project_of_file(filename: str) -> NormalizedName:
    try:
        return FileName.parse(filename).project
    except IndexRefusesError as error:
        raise NotOnIndexError(error.message) from error


def _split(filename: str) -> tuple[str, str]:
    """Return the file that a name belongs to, and what of it is meant: `.metadata`, `.provenance` or itself."""
    stem, dot, last = filename.rpartition(".")
    return (stem, last) if dot and last in {"metadata", "provenance"} else (filename, "")


def _beside(file: File, suffix: str) -> Sha256:
    digest = file.core_metadata if suffix == "metadata" else file.provenance
    if digest is None:
        raise NotOnIndexError(f"{file.filename} has no {suffix}")
    return digest


def _with_query(location: str, query: str) -> str:
    return f"{location}?{query}" if query else location
