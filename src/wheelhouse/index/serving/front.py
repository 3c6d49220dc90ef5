"""Requests as granian has them in, answers out: what is asked all day at once, all else by the ASGI application.

A page of the Simple API or a file, asked for by somebody who needs no token, is answered from what the catalog
remembers. Whatever is out of the ordinary (another spelling, a query, a range, credentials, an entry that is due to be
looked at again) is the application's, whose answers these are too: made of the same parts, and kept on the entry that
they are made of, so that they go when it does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, cast

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.access.auth import FORWARDED, is_local
from wheelhouse.index.model import FileName
from wheelhouse.index.pages.conditions import best_encoding
from wheelhouse.index.pages.negotiation import negotiate
from wheelhouse.index.serving.answers import file_headers, page_answer
from wheelhouse.index.serving.rsgi import address_of, answer_by_asgi, decoded
from wheelhouse.index.telling.logs import is_told

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from packaging.utils import NormalizedName

    from wheelhouse.index.pages.catalog import Entry
    from wheelhouse.index.serving.app import IndexApp
    from wheelhouse.index.serving.rsgi import Connection, Request, Texts
    from wheelhouse.index.telling.traffic import Kind

_PAGES, _FILES = "/simple/", "/files/"
_FILE_PARTS = 5
#: Bytes of a file that is read here, if the kernel has it in memory: handing it to a thread costs more.
_SMALL = 128 * 1024
#: Answers that an entry keeps: clients of one kind ask with the same headers.
_MOST_ANSWERS = 256
#: Seconds until the store is asked again where a file lies, and learns that it is used.
_LOOK_AGAIN = 30.0
_OK, _NOT_MODIFIED = 200, 304


@dataclass(frozen=True, slots=True)
class _PageAnswer:
    status: int
    headers: Texts
    body: bytes


@dataclass(frozen=True, slots=True)
class _FileAnswer:
    headers: Texts
    path: str
    size: int
    until: float
    """By the monotonic clock."""


class Front:
    """What granian serves. Holds nothing of its own."""

    def __init__(self, app: IndexApp, *, prefix: str = "") -> None:
        """`prefix` is the path of the public address, which a proxy leaves on a request's path or cuts off."""
        self._app = app
        self._prefix = prefix
        self._catalog = app.site.catalog
        self._traffic = app.site.traffic
        self._rules = app.site.gate.rules
        self._proxied = bool(app.proxies.networks)
        self._told = {kind: is_told(app.access_log, kind, _OK) for kind in cast("tuple[Kind, ...]", ("page", "file"))}

    def close(self) -> None:
        """Let go of what is open."""
        self._app.close()

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        """Do nothing: granian asks for it."""

    async def __rsgi__(self, request: Request, connection: Connection) -> None:
        """Answer a request."""
        if not self._answered(request, connection):
            await answer_by_asgi(self._app, request, connection, self._prefix)

    def _answered(self, request: Request, connection: Connection) -> bool:
        """Answer at once, if that can be; say whether it could."""
        begun = perf_counter()
        if request.method != "GET" or request.query_string:
            return False
        path = request.path
        if self._prefix and path.startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        kind: Kind
        if path.startswith(_PAGES):
            kind, status, size = "page", *self._page(path, request, connection)
        elif path.startswith(_FILES):
            kind, status, size = "file", *self._file(path, request, connection)
        else:
            return False
        if status:
            self._traffic.add(kind, status, size=size, seconds=perf_counter() - begun)
        return status > 0

    def _may_read(self, request: Request) -> bool:
        """Say whether the request needs no token, and has none that could be wrong."""
        get = request.headers.get
        if get("authorization") is not None:
            return False
        if self._rules.anonymous_read:
            return True
        if not self._rules.anonymous_local_read or self._proxied or any(get(name) is not None for name in FORWARDED):
            return False
        client, hosts = address_of(request.client), request.headers.get_all("host")
        return client is not None and len(hosts) == 1 and is_local(client[0], hosts[0])

    def _page(self, path: str, request: Request, connection: Connection) -> tuple[int, int]:
        """Send a page; return status and size, or zeros where it is not for here."""
        if self._told["page"] or not path.endswith("/"):
            return 0, 0
        # A name that is spelled otherwise is none that is remembered.
        entry = self._catalog.remembered(cast("NormalizedName | None", path[len(_PAGES) : -1] or None))
        if entry is None or not self._may_read(request):
            return 0, 0
        get = request.headers.get
        asked = (get("accept"), get("accept-encoding"), get("if-none-match"))
        answer = entry.answers.get(asked)
        if answer is None:
            answer = self._page_answer(entry, *asked)
            if answer is None:
                return 0, 0
            _keep(entry, asked, answer)
        if answer.status == _NOT_MODIFIED:
            connection.response_empty(answer.status, answer.headers)
        else:
            connection.response_bytes(answer.status, answer.headers, answer.body)
        return answer.status, len(answer.body)

    def _page_answer(
        self, entry: Entry, accept: str | None, accept_encoding: str | None, known: str | None
    ) -> _PageAnswer | None:
        media_type, encoding = negotiate(accept), best_encoding(accept_encoding)
        if media_type is None:
            return None
        page = entry.pages.of(media_type)
        if page.takes_long(encoding):
            return None
        status, headers, body = page_answer(
            page.encoded(encoding), media_type, known=known, public=self._rules.anonymous_read
        )
        return _PageAnswer(status, decoded(headers), body)

    def _file(self, path: str, request: Request, connection: Connection) -> tuple[int, int]:
        """Send a whole file; return status and size, or zeros where it is not for here."""
        get = request.headers.get
        if self._told["file"] or get("range") is not None or get("if-none-match") is not None:
            return 0, 0
        parts = path.split("/")
        place = _place(parts[-1]) if len(parts) == _FILE_PARTS else None
        entry = self._catalog.remembered(place[0]) if place is not None else None
        if place is None or entry is None or not self._may_read(request):
            return 0, 0
        answer = entry.answers.get(path)
        if answer is None or answer.until < time.monotonic():
            answer = self._file_answer(entry, parts[2], parts[3], filename=place[1], metadata=place[2])
            if answer is None:
                return 0, 0
            _keep(entry, path, answer)
        if not _send(answer, connection):
            del entry.answers[path]
            return 0, 0
        return _OK, answer.size

    def _file_answer(
        self, entry: Entry, shelf: str, sha256: str, *, filename: str, metadata: bool
    ) -> _FileAnswer | None:
        file = entry.files.get(filename)
        if file is None or file.sha256 != sha256 or shelf != sha256[:2] or filename in entry.theirs:
            return None
        digest = file.core_metadata if metadata else file.sha256
        path = self._catalog.store.local_path(digest) if digest is not None else None
        if path is None or digest is None:
            return None
        size = path.stat().st_size
        if not metadata and size != file.size:
            return None
        headers = decoded(file_headers(digest, size, public=self._rules.anonymous_read))
        return _FileAnswer(headers, os.fspath(path), size, time.monotonic() + _LOOK_AGAIN)


def _keep(entry: Entry, asked: object, answer: object) -> None:
    if len(entry.answers) >= _MOST_ANSWERS:
        entry.answers.clear()
    entry.answers[asked] = answer


@lru_cache(maxsize=65536)
def _place(filename: str) -> tuple[NormalizedName, str, bool] | None:
    """Return a file's project, its name, and whether its metadata are meant; None: it is for the application."""
    name = filename.removesuffix(".metadata")
    try:
        return FileName.parse(name).project, name, name != filename
    except IndexRefusesError:
        return None


def _send(answer: _FileAnswer, connection: Connection) -> bool:
    """Send a file; say whether it is still there."""
    if answer.size <= _SMALL:
        data = _read_now(answer.path, answer.size)
        if data is not None:
            connection.response_bytes(_OK, answer.headers, data)
            return True
    try:
        if os.stat(answer.path).st_size != answer.size:  # noqa: PTH116 - a text, and asked for each file that is sent
            return False
    except OSError:
        return False
    connection.response_file(_OK, answer.headers, answer.path)
    return True


def _read_now(path: str, size: int) -> bytes | None:
    """Return a file's bytes if the kernel has them in memory, so that nobody waits for a disk; None: it has not."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    buffer = bytearray(size)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return bytes(buffer) if os.preadv(handle, [buffer], 0, os.RWF_NOWAIT) == size else None
    except OSError:  # not in memory, or a file system that cannot say
        return None
    finally:
        os.close(handle)
