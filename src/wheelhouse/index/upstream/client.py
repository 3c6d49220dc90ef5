"""Questions to upstreams over HTTP: an address in, checked answers out, or UpstreamUnavailableError.

aiohttp is loaded when the first question is asked, or before by `get_ready`. Redirects are followed by hand, so that
credentials stay with the upstream and nobody is led where `address` says no.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urljoin

from wheelhouse.errors import UpstreamUnavailableError
from wheelhouse.index.upstream.address import Upstream, may_lead_to
from wheelhouse.index.upstream.page import html_to_json
from wheelhouse.index.upstream.stats import UpstreamState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import ModuleType

    import aiohttp
    from packaging.utils import NormalizedName

LOG = logging.getLogger("wheelhouse.index.upstream")
JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_MOST_PAGE = 64 * 2**20
CHUNK = 256 * 1024
_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_HTML = {"text/html", "application/vnd.pypi.simple.v1+html"}
_GONE = {404, 410}
_OK, _NOT_MODIFIED, _TOO_MANY = 200, 304, 429
_CONNECT, _SILENCE = 10.0, 30.0
"""Seconds until a connection has to stand, and between two pieces of an answer."""
_PAGE_TIME = 120.0
_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds in which an upstream that cannot be reached is not asked again."""
_SECONDS = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A project's page."""

    body: bytes
    """JSON (PEP 691), whatever upstream speaks."""
    url: str
    """Where it came from, after redirects: what links on it are relative to."""
    etag: str | None
    modified: str | None
    """`Last-Modified`."""
    caching: str | None
    """`Cache-Control`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The page is as it was."""

    caching: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Upstream has no such thing."""


PageAnswer: TypeAlias = Fetched | Unchanged | Missing


@dataclass(slots=True)
class _Health:
    up: bool = True
    since: datetime | None = None
    not_before: float = 0.0


class UpstreamClient:
    """Asks upstreams. Belongs to one event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages: aiohttp.ClientSession | None = None
        self._files: aiohttp.ClientSession | None = None
        self._health: dict[str, _Health] = {}
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._files, self._pages):
            if session is not None:
                await session.close()
        self._pages = self._files = None

    async def get_ready(self) -> None:
        """Load what asks. Makes no connection."""
        await self._sessions()

    def states(self) -> dict[str, UpstreamState]:
        """Say how each upstream that was asked does, by its address."""
        return {url: UpstreamState(up=health.up, since=health.since) for url, health in self._health.items()}

    async def page(
        self, upstream: Upstream, project: NormalizedName, *, etag: str | None = None, modified: str | None = None
    ) -> PageAnswer:
        """Ask for a project's page; with an `etag` or `modified`, only for one that has changed."""
        headers = {"Accept": _ACCEPT}
        if etag:
            headers["If-None-Match"] = etag
        elif modified:
            headers["If-Modified-Since"] = modified
        self._expect_up(upstream)
        pages, _ = await self._sessions()
        url = f"{upstream.url}{project}/"
        try:
            async with asyncio.timeout(_PAGE_TIME), self._ask(pages, upstream, url, headers) as answer:
                self._note(upstream, answer)
                return await _page_of(answer, project)
        except (TimeoutError, _UnreachableError) as error:
            self._change(upstream, up=False, pause=_PAUSE)
            if isinstance(error, _UnreachableError):
                raise
            raise _UnreachableError("upstream takes too long", where=upstream.host) from error

    @asynccontextmanager
    async def file(
        self, upstream: Upstream, url: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for a file, as its bytes are; the answer's status is the caller's to judge."""
        _, files = await self._sessions()
        async with self._ask(files, upstream, url, {"Accept-Encoding": "identity", **(headers or {})}) as answer:
            yield answer

    @asynccontextmanager
    async def _ask(
        self, session: aiohttp.ClientSession, upstream: Upstream, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a URL and follow redirects. What fails while the answer is read is told like what fails before."""
        import aiohttp  # noqa: PLC0415 - loaded with the session

        try:
            for _ in range(_MOST_REDIRECTS + 1):
                known = upstream.credentials_for(url)
                auth = aiohttp.encode_basic_auth(*known) if known else None
                sent = {**headers, "Authorization": auth} if auth else headers
                async with session.get(url, headers=sent, allow_redirects=False) as answer:
                    target = answer.headers.get("Location")
                    if answer.status not in _REDIRECTS or target is None:
                        yield answer
                        return
                    target = urljoin(url, target)
                    if not may_lead_to(url, target):
                        raise UpstreamUnavailableError("upstream redirects to where it may not lead")
                    url = target
            raise UpstreamUnavailableError("upstream redirects without end")
        except TimeoutError as error:
            raise _UnreachableError("upstream takes too long", where=upstream.host) from error
        except aiohttp.InvalidURL as error:
            raise UpstreamUnavailableError("upstream names an address that is none", where=upstream.host) from error
        except aiohttp.ClientConnectorError as error:
            raise _UnreachableError("upstream cannot be reached", where=upstream.host) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _UnreachableError("upstream broke off its answer", where=upstream.host) from error

    async def _sessions(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        async with self._opening:
            if self._pages is None or self._files is None:
                aiohttp = await asyncio.to_thread(_load)
                connector = aiohttp.TCPConnector(limit=64, limit_per_host=32)
                timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=_CONNECT, sock_read=_SILENCE)
                self._pages = aiohttp.ClientSession(
                    connector=connector, timeout=timeout, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
                )
                self._files = aiohttp.ClientSession(
                    connector=connector,
                    connector_owner=False,
                    timeout=timeout,
                    trust_env=True,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    read_bufsize=CHUNK,
                )
            return self._pages, self._files

    def _expect_up(self, upstream: Upstream) -> None:
        health = self._health.get(upstream.url)
        if health is not None and self._clock() < health.not_before:
            raise UpstreamUnavailableError("upstream did not answer a moment ago", where=upstream.host)

    def _note(self, upstream: Upstream, answer: aiohttp.ClientResponse) -> None:
        """Remember that upstream is there; and if it wants to be left alone, for how long."""
        pause = 0.0
        if answer.status == _TOO_MANY:
            asked = _SECONDS.fullmatch(answer.headers.get("Retry-After", ""))
            pause = min(float(asked[0]) if asked else _PAUSE, _LONGEST_PAUSE)
        self._change(upstream, up=answer.status < 500, pause=pause)  # noqa: PLR2004 - RFC 9110, 15.6: server errors

    def _change(self, upstream: Upstream, *, up: bool, pause: float) -> None:
        health = self._health.setdefault(upstream.url, _Health())
        health.not_before = self._clock() + pause
        if health.since is None or health.up != up:
            health.up, health.since = up, datetime.now(UTC)
            LOG.log(logging.INFO if up else logging.WARNING, "upstream %s is %s", upstream.url, "up" if up else "down")


class _UnreachableError(UpstreamUnavailableError):
    """Not this answer alone: the next would fail likewise."""


async def _page_of(answer: aiohttp.ClientResponse, project: NormalizedName) -> PageAnswer:
    """Read an answer to a question for a page."""
    caching = answer.headers.get("Cache-Control")
    if answer.status in _GONE:
        return Missing()
    if answer.status == _NOT_MODIFIED:
        return Unchanged(caching=caching)
    if answer.status != _OK:
        raise UpstreamUnavailableError(f"upstream answered with status {answer.status}", where=answer.url.host)
    body = await _read(answer)
    url = str(answer.url)
    if answer.content_type in _HTML:
        body = await asyncio.to_thread(html_to_json, body, project=project, url=url)
    return Fetched(
        body=body,
        url=url,
        etag=answer.headers.get("ETag"),
        modified=answer.headers.get("Last-Modified"),
        caching=caching,
    )


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read a page, which may be packed, as long as it is not too large."""
    pieces, size = [], 0
    async for piece in answer.content.iter_chunked(CHUNK):
        size += len(piece)
        if size > _MOST_PAGE:
            raise UpstreamUnavailableError(f"upstream's page has more than {_MOST_PAGE} bytes", where=answer.url.host)
        pieces.append(piece)
    return b"".join(pieces)


def _load() -> ModuleType:
    import aiohttp  # noqa: PLC0415 - takes long, and a server may never need it

    return aiohttp
