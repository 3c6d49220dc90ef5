"""Many small wheels in, one request with all of them out, to an index that takes them so: one of wheelhouse's own.

It says so itself (GET <address>/parcel). A request is an upload's form with a file after the other, each with its
sha256 before it; the answer says of each what a request with it alone would have been told.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from wheelhouse.download import authorization, connections
from wheelhouse.publish.reply import Reply, Verdict, judge, no_answer, read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wheelhouse.publish.destination import Destination
    from wheelhouse.publish.login import Login
    from wheelhouse.publish.prepare import Publishable

_Field: TypeAlias = tuple[str, str | tuple[str, bytes, str]]
#: Requests on their way: while the index looks into one, it receives the next.
_AT_ONCE = 2
#: However many an index takes: what a broken connection costs to send again.
_MOST_FILES, _MOST_BYTES = 100, 4 << 20
_KIND = "application/octet-stream"
#: A proxy before the index lets no more through, or the index is another one now.
_ONE_BY_ONE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
_CHANGED = Reply(verdict=Verdict.REFUSED, reason="its bytes are no longer those that were checked")
_SILENT = Reply(verdict=Verdict.FAILED, reason="the index did not say what became of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcels:
    """Sends wheels to one index, a request's worth at once. Used from several threads."""

    url: str
    pool: urllib3.PoolManager
    login: Login
    most_files: int = _MOST_FILES
    most_bytes: int = _MOST_BYTES
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    @classmethod
    @contextmanager
    def offered(
        cls, destination: Destination, login: Login, *, timeout: float, certificates: str | None = None
    ) -> Iterator[Parcels | None]:
        """Ask an index whether it takes parcels; None: it does not, or gives no answer now.

        `timeout`: seconds of silence after which the index counts as down; `certificates`: whom to trust, a path.
        """
        if not destination.url.rstrip("/").endswith("/legacy"):
            yield None
            return
        url = f"{destination.url.rstrip('/')}/parcel"
        with connections(url, connect=timeout, read=timeout, certificates=certificates, redirects=False) as pool:
            yield _as_offered(cls(url=url, pool=pool, login=login))

    def upload_many(self, wheels: Sequence[Publishable]) -> Sequence[Reply] | None:
        """Send wheels, each if its bytes are those expected; None: they have to go one by one after all."""
        with self._turn:
            fields: list[_Field] = []
            changed: set[str] = set()
            for wheel in wheels:
                data = wheel.path.read_bytes()
                if hashlib.sha256(data).hexdigest() == wheel.sha256:
                    fields += _fields(wheel, data)
                else:
                    changed.add(wheel.name.filename)
            try:
                response = self.ask("POST", fields)
            except HTTPError as error:
                return [no_answer(error, trusted=not isinstance(error, SSLError))] * len(wheels)
        if response.status in _ONE_BY_ONE:
            return None
        if response.status != HTTPStatus.OK:
            reply = read_answer(response.status, response.reason or "", response.headers, response.data)
            return [reply] * len(wheels)
        replies = _replies(response.data)
        return [_CHANGED if name in changed else replies.get(name, _SILENT) for name in map(_name, wheels)]

    def ask(self, method: str, fields: Sequence[_Field] | None = None) -> urllib3.BaseHTTPResponse:
        """Ask once. Raises HTTPError."""
        return self.pool.request(
            method, self.url, fields=fields, headers=self._credentials(), retries=False, redirect=False
        )

    def _credentials(self) -> dict[str, str]:
        pair = self.login.now()
        return dict(urllib3.make_headers(basic_auth=":".join(pair))) if pair else authorization(self.url)


def _as_offered(parcels: Parcels) -> Parcels | None:
    """Return them in the sizes that the index takes; None: it takes none."""
    try:
        response = parcels.ask("GET")
        said = response.json() if response.status == HTTPStatus.OK else {}
        files, size = int(said["most-files"]), int(said["most-bytes"])
    except (HTTPError, ValueError, KeyError, TypeError):
        return None
    # The fields and their borders need room too.
    return replace(parcels, most_files=min(files, _MOST_FILES), most_bytes=min(size // 2, _MOST_BYTES))


def _name(wheel: Publishable) -> str:
    return wheel.name.filename


def _fields(wheel: Publishable, data: bytes) -> Iterator[_Field]:
    yield "sha256_digest", wheel.sha256
    if wheel.attestations:
        yield "attestations", json.dumps(wheel.attestations)
    yield "content", (_name(wheel), data, _KIND)


def _replies(answer: bytes) -> dict[str, Reply]:
    """Return what the answer says of each file; of none where it is not in the form that it should have."""
    try:
        files = json.loads(answer)["files"]
        return {
            file["filename"]: judge(
                int(file["status"]), str(file["message"]), retry_after=str(file.get("retry-after", ""))
            )
            for file in files
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
