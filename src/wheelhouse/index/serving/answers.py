"""What to answer in, ASGI messages out: small texts, pages rendered before, and files of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wheelhouse.index.pages.conditions import Span, best_encoding, is_known, wanted_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.pages.negotiation import MediaType
    from wheelhouse.index.pages.render import Body, Page
    from wheelhouse.index.problems import Problem

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

PATHSEND = "http.response.pathsend"
#: A page may be kept, and is asked after each time: what was published a moment ago is installed a moment later.
_ASK_AGAIN = "max-age=0, must-revalidate"
#: A file's address has its hash in it.
_FOR_EVER = "max-age=31536000, immutable"
_NO_SNIFFING: Header = (b"x-content-type-options", b"nosniff")


class GoneError(Exception):
    """Nobody is there any more to take the rest of an answer."""


class Sent:
    """Passes messages on, and remembers what the answer is."""

    __slots__ = ("_send", "request", "size", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        """0: no answer has begun."""
        self.size = 0
        """Bytes of the body."""
        self.request = ""
        """The request's id, once somebody wanted it."""

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        kind = message["type"]
        if kind == "http.response.body":
            self.size += len(message.get("body", b""))
        elif kind == "http.response.start":
            self.status = message["status"]
            if self.request:
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request.encode("latin-1"))]
        elif kind == PATHSEND:
            self.size = message.get("size", 0)
        await self._send(message)


class Blobs(Protocol):
    """Where the bytes of an answer are: a store, or what has as much of one."""

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return where the bytes lie on this machine's disk; None: not there."""
        ...

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes from `start` up to `end`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Where an answer goes, and how much of it is wanted."""

    send: Send
    headers: Mapping[str, str]
    """The request's, by names in lower case."""
    head: bool
    """The request is HEAD: the same headers, and no body."""
    public: bool
    """Anybody may read: shared caches may keep it."""
    pathsend: bool
    """The server can send a file by its path."""

    async def problem(self, problem: Problem) -> None:
        """Answer that something is not as it should be."""
        headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        await self._text(problem.status, problem.text, headers)

    async def moved(self, location: str) -> None:
        """Answer that the right spelling is elsewhere; the location is relative, so that a proxy's path stays."""
        await self._text(301, f"moved to {location}", [(b"location", location.encode())])

    async def page(self, page: Page, media_type: MediaType) -> None:
        """Answer with a page, in the client's best encoding, or that it has it."""
        encoding = best_encoding(self.headers.get("accept-encoding"))
        if page.takes_long(encoding):
            await asyncio.to_thread(page.encoded, encoding)
        known = self.headers.get("if-none-match")
        status, headers, data = page_answer(page.encoded(encoding), media_type, known=known, public=self.public)
        await self._start(status, headers)
        await self.send({"type": "http.response.body", "body": b"" if self.head else data})

    @property
    def wants_range(self) -> bool:
        """Say whether a part of a file may be what is wanted."""
        return not self.head and "range" in self.headers

    async def arriving(self, sha256: Sha256, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Answer with a file that is on its way here. Its first piece is here before the status is sent."""
        piece = await anext(pieces, b"")
        await self._start(200, file_headers(sha256, size, public=self.public))
        while piece:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await anext(pieces, b"")
        await self._end()

    async def blob(self, store: Blobs, sha256: Sha256, size: int) -> None:
        """Answer with a file of the store, or a range of it, or that the client has it."""
        etag = f'"{sha256}"'
        headers = _of_file(etag, public=self.public)
        if is_known(self.headers.get("if-none-match"), etag):
            await self._start(304, headers)
            await self._end()
            return
        asked = None if self.head else self.headers.get("range")  # RFC 9110, 14.2: a range is for GET
        span = wanted_span(asked, self.headers.get("if-range"), etag=etag, size=size)
        if span is not None and span.start >= span.end:
            await self._whole(416, b"", [(b"content-range", f"bytes */{size}".encode())])
            return
        status, part = (200, Span(0, size)) if span is None else (206, span)
        headers += _of_bytes(part.end - part.start)
        if span is not None:
            headers.append((b"content-range", f"bytes {part.start}-{part.end - 1}/{size}".encode()))
        path = store.local_path(sha256) if self.pathsend and span is None else None
        if self.head:
            await self._start(status, headers)
            await self._end()
        elif path is not None:
            await self._start(status, headers)
            await self.send({"type": PATHSEND, "path": str(path), "size": size})
        else:
            await self._stream(status, headers, store.open_range(sha256, part.start, part.end))

    async def _stream(self, status: int, headers: list[Header], pieces: Iterator[bytes]) -> None:
        """Send what comes from the store. The first piece is there before the status is: a store can be down."""
        piece = await asyncio.to_thread(next, pieces, None)
        await self._start(status, headers)
        while piece is not None:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await asyncio.to_thread(next, pieces, None)
        await self._end()

    async def _text(self, status: int, text: str, headers: Sequence[Header]) -> None:
        plain = (b"content-type", b"text/plain; charset=utf-8")
        await self._whole(status, f"{text}\n".encode(), [plain, (b"cache-control", b"no-store"), *headers])

    async def _whole(self, status: int, body: bytes, headers: list[Header]) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self._start(status, [*headers, length, _NO_SNIFFING])
        await self.send({"type": "http.response.body", "body": b"" if self.head else body})

    async def _start(self, status: int, headers: list[Header]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})


def page_answer(
    body: Body, media_type: MediaType, *, known: str | None, public: bool
) -> tuple[int, list[Header], bytes]:
    """Return status, headers and body of the answer with a page; `known` is what the client has (If-None-Match)."""
    headers = [
        (b"etag", body.etag.encode()),
        (b"cache-control", _caching(_ASK_AGAIN, public=public)),
        (b"vary", b"Accept, Accept-Encoding"),
    ]
    if is_known(known, body.etag):
        return 304, headers, b""
    charset = "; charset=utf-8" if media_type.value.startswith("text/") else ""
    headers.append((b"content-type", f"{media_type.value}{charset}".encode()))
    if body.encoding is not None:
        headers.append((b"content-encoding", body.encoding.encode()))
    return 200, [*headers, (b"content-length", str(len(body.data)).encode()), _NO_SNIFFING], body.data


def file_headers(sha256: str, size: int, *, public: bool) -> list[Header]:
    """Return the headers of an answer with a whole file."""
    return [*_of_file(f'"{sha256}"', public=public), *_of_bytes(size)]


def _of_file(etag: str, *, public: bool) -> list[Header]:
    return [
        (b"etag", etag.encode()),
        (b"cache-control", _caching(_FOR_EVER, public=public)),
        (b"accept-ranges", b"bytes"),
    ]


def _of_bytes(size: int) -> list[Header]:
    return [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(size).encode()),
        _NO_SNIFFING,
    ]


def _caching(directive: str, *, public: bool) -> bytes:
    return f"{'public' if public else 'private'}, {directive}".encode()
