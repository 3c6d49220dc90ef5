"""Heads of requests in, whole answers out for what is asked all day; all else goes on to the application.

A page of the Simple API or a small file, asked for by somebody who may read it, is answered from what the catalog
remembers. Whatever is out of the ordinary (another spelling, a query, a range, a wrong token, an entry that is due for
a look) is the application's, whose answers these are too: made of the same parts, and kept on the entry that
they are made of, so that they go when it does.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import unquote

from wheelhouse.errors import IndexRefusesError, WheelhouseError
from wheelhouse.index.access.auth import FORWARDED, is_local
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import FileName
from wheelhouse.index.pages.conditions import best_encoding
from wheelhouse.index.pages.negotiation import negotiate
from wheelhouse.index.routes.site import asker_of, request_id
from wheelhouse.index.serving.answers import PATHSEND, GoneError, file_headers, page_answer
from wheelhouse.index.telling.logs import Answered, is_told, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from wheelhouse.index.access.auth import Asker
    from wheelhouse.index.pages.catalog import Entry
    from wheelhouse.index.serving.answers import Header, Message, Receive, Scope, Send
    from wheelhouse.index.serving.app import IndexApp
    from wheelhouse.index.serving.connection import Exchange
    from wheelhouse.index.telling.traffic import Kind

_PAGES, _FILES = "/simple/", "/files/"
_FILE_PARTS = 5
#: Bytes of a file that is read here, if the kernel has it in memory: what is larger the kernel sends by itself.
_SMALL = 128 * 1024
#: Answers that an entry keeps: clients of one kind ask with the same headers.
_MOST_ANSWERS = 256
#: Requests of which is remembered what they ask for, and bytes of one.
_MOST_KNOWN, _LONGEST_KNOWN = 8192, 2048
#: Seconds until the store is asked again where a file lies, and learns that it is used.
_LOOK_AGAIN = 30.0
_OK = 200
_PROXIES_SAY = frozenset(name.encode() for name in FORWARDED)
_ASKER_SAYS = frozenset([b"authorization", b"host", b"x-request-id"]) | _PROXIES_SAY
#: A request that has one of these is not a plain question, or has a body.
_NOT_PLAIN = frozenset([b"range", b"expect", b"content-length", b"transfer-encoding", b"upgrade"])
Headers: TypeAlias = "Mapping[bytes, bytes]"
"""A request's, by names in lower case, each name once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for by the head of a plain request, whoever asks."""

    kind: Kind
    project: NormalizedName | None
    """None: the list of all. A name that is spelled otherwise, or has a query, is none that is remembered."""
    asked: tuple[bytes | None, ...] | str
    """Of a page what its form depends on: Accept, Accept-Encoding, If-None-Match. Of a file its path."""
    path: str
    """Below that of the index."""
    asker: tuple[Header, ...]
    """The headers that say who asks."""
    host: str
    authorized: bool
    """There is a token, right or wrong."""
    forwarded: bool
    """A proxy says that somebody else is asking."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer, but for what is the connection's: the date, and the empty line after the head."""

    status: int
    head: bytes
    body: bytes | memoryview


@dataclass(frozen=True, slots=True)
class _FileAnswer:
    head: bytes
    path: str
    size: int
    until: float
    """By the monotonic clock."""


class Front:
    """What is served: an ASGI application that has the answers to plain questions ready."""

    def __init__(self, app: IndexApp, *, prefix: str = "") -> None:
        """`prefix` is the path of the public address, which a proxy leaves on a request's path or cuts off."""
        self._app = app
        self._prefix = prefix
        self._catalog = app.site.catalog
        self._rules = app.site.gate.rules

        self.known: dict[bytes, Question] = {}
        """What requests ask for that were read before, each by its bytes: clients of one kind send the same."""

    def know(self, request: bytes, question: Question) -> None:
        """Remember what a whole request asks for."""
        if len(request) > _LONGEST_KNOWN:
            return
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        self.known[request] = question

    def close(self) -> None:
        """Let go of what is open."""
        self._app.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the application; the scope's state has the `exchange`, if it comes by a connection."""
        scope["root_path"] = self._prefix
        exchange: Exchange | None = scope.get("state", {}).get("exchange")

        async def pass_on(message: Message) -> None:
            if exchange is None:
                await send(message)
            elif message["type"] == PATHSEND:
                await exchange.send_file(message["path"], message["size"])
            elif exchange.gone and message.get("more_body"):
                raise GoneError
            else:
                await send(message)

        with suppress(GoneError):
            await self._app(scope, receive, pass_on)

    def question(self, target: bytes, headers: Headers) -> Question | None:
        """Return what a GET of a target asks for; None: it is for the application."""
        if not _NOT_PLAIN.isdisjoint(headers):
            return None
        path = target.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        if self._prefix and path.startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        if path.startswith(_PAGES) and path.endswith("/"):
            project = cast("NormalizedName | None", path[len(_PAGES) : -1] or None)
            asked = (headers.get(b"accept"), headers.get(b"accept-encoding"), headers.get(b"if-none-match"))
            return _question("page", project, asked, path, headers)
        if path.startswith(_FILES) and b"if-none-match" not in headers:
            place = _place(path)
            return _question("file", place.project, path, path, headers) if place is not None else None
        return None

    def ready(self, question: Question, address: str) -> Ready | None:
        """Return the answer to a question from an address; None: it is for the application."""
        begun = perf_counter()
        try:
            answer = self._find(question, address)
        except (OSError, WheelhouseError):
            return None  # the application says what it is
        if answer is None:
            return None
        size, seconds = len(answer.body), perf_counter() - begun
        self._app.site.traffic.add(question.kind, answer.status, size=size, seconds=seconds)
        if is_told(self._app.access_log, question.kind, answer.status):
            asker = self._asker(question, address)
            answered = Answered(
                method="GET",
                path=question.path,
                status=answer.status,
                size=size,
                seconds=seconds,
                who=self._app.site.who(asker),
                address=asker.address,
                request=request_id(asker),
            )
            tell(answered)
        return answer

    def _find(self, question: Question, address: str) -> Ready | None:
        entry = self._catalog.remembered(question.project)
        if entry is None or not self._may_read(question, address):
            return None
        asked = question.asked
        return self._page(entry, asked) if isinstance(asked, tuple) else self._file(entry, asked)

    def _may_read(self, question: Question, address: str) -> bool:
        """Say whether this can be read; where not, the application says why."""
        if question.authorized:
            return self._app.site.gate.admits(self._asker(question, address), Action.READ, question.project)
        if self._rules.anonymous_read:
            return True
        if not self._rules.anonymous_local_read or question.forwarded or self._app.proxies.networks:
            return False
        return is_local(address, question.host)

    def _asker(self, question: Question, address: str) -> Asker:
        scope: Scope = {"client": (address, 0), "headers": question.asker}
        return asker_of(self._app.proxies.unveil(scope) if self._app.proxies.networks else scope)

    def _page(self, entry: Entry, asked: tuple[bytes | None, ...]) -> Ready | None:
        answer: Ready | None = entry.answers.get(asked)
        if answer is None:
            answer = self._page_answer(entry, *map(_text, asked))
            if answer is not None:
                _keep(entry, asked, answer)
        return answer

    def _page_answer(
        self, entry: Entry, accept: str | None, accept_encoding: str | None, known: str | None
    ) -> Ready | None:
        media_type, encoding = negotiate(accept), best_encoding(accept_encoding)
        if media_type is None:
            return None
        page = entry.pages.of(media_type)
        if page.takes_long(encoding):
            return None
        status, headers, body = page_answer(
            page.encoded(encoding), media_type, known=known, public=self._rules.anonymous_read
        )
        return Ready(status, _head(status, headers), body)

    def _file(self, entry: Entry, path: str) -> Ready | None:
        answer: _FileAnswer | None = entry.answers.get(path)
        if answer is None or answer.until < time.monotonic():
            place = _place(path)
            answer = self._file_answer(entry, place) if place is not None else None
            if answer is None:
                return None
            _keep(entry, path, answer)
        data = _read_now(answer.path, answer.size)
        if data is None:
            del entry.answers[path]
            return None
        return Ready(_OK, answer.head, data)

    def _file_answer(self, entry: Entry, place: _Place) -> _FileAnswer | None:
        file = entry.files.get(place.filename)
        if file is None or file.sha256 != place.sha256 or place.filename in entry.theirs:
            return None
        digest = file.core_metadata if place.metadata else file.sha256
        if digest is None or (file.size > _SMALL and not place.metadata):
            return None
        path = self._catalog.store.local_path(digest)
        if path is None:
            return None
        size = path.stat().st_size if place.metadata else file.size
        if size > _SMALL:
            return None
        head = _head(_OK, file_headers(digest, size, public=self._rules.anonymous_read))
        return _FileAnswer(head, os.fspath(path), size, time.monotonic() + _LOOK_AGAIN)


def _question(
    kind: Kind, project: NormalizedName | None, asked: tuple[bytes | None, ...] | str, path: str, headers: Headers
) -> Question:
    return Question(
        kind=kind,
        project=project,
        asked=asked,
        path=path,
        asker=tuple((name, value) for name, value in headers.items() if name in _ASKER_SAYS),
        host=headers.get(b"host", b"").decode("latin-1"),
        authorized=b"authorization" in headers,
        forwarded=not _PROXIES_SAY.isdisjoint(headers),
    )


def _head(status: int, headers: Iterable[Header]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b""])


def _text(said: bytes | None) -> str | None:
    return None if said is None else said.decode("latin-1")


def _keep(entry: Entry, asked: object, answer: object) -> None:
    if len(entry.answers) >= _MOST_ANSWERS:
        entry.answers.clear()
    entry.answers[asked] = answer


@dataclass(frozen=True, slots=True)
class _Place:
    project: NormalizedName
    filename: str
    sha256: str
    metadata: bool
    """The file's core metadata are meant."""


@lru_cache(maxsize=8192)
def _place(path: str) -> _Place | None:
    """Return what the path of a file says of it; None: it is for the application."""
    parts = path.split("/")
    if len(parts) != _FILE_PARTS:
        return None
    *_, shelf, sha256, last = parts
    filename = last.removesuffix(".metadata")
    try:
        project = FileName.parse(filename).project
    except IndexRefusesError:
        return None
    return _Place(project, filename, sha256, filename != last) if shelf == sha256[:2] else None


def _read_now(path: str, size: int) -> memoryview | None:
    """Return a file's bytes if the kernel has them in memory, so that nobody waits for a disk; None: it has not."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    buffer = bytearray(size + 1)  # one more than there should be: a file that has grown is another one
    try:
        return memoryview(buffer)[:size] if os.preadv(handle, [buffer], 0, os.RWF_NOWAIT) == size else None
    except OSError:  # not in memory, or a file system that cannot say
        return None
    finally:
        os.close(handle)
