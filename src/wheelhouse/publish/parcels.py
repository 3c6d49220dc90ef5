"""Many small wheels in, one request with all of them out, to an index that takes them so: one of wheelhouse's own.

It says so itself (GET <address>/parcel). A request is an upload's form with a file after the other, each with its
sha256 before it; the answer says of each what a request with it alone would have been told.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeAlias

import requests
from urllib3 import encode_multipart_formdata

from wheelhouse.publish.reply import Reply, Verdict, judge, read_reply
from wheelhouse.publish.session import furnish, no_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from wheelhouse.publish.destination import Destination
    from wheelhouse.publish.login import Login
    from wheelhouse.publish.prepare import Publishable

_Field: TypeAlias = tuple[str, str | tuple[str, bytes, str]]
#: Requests on their way: while the index looks into one, it receives the next.
_AT_ONCE = 2
#: However many an index takes: what a broken connection costs to send again.
_MOST_FILES, _MOST_BYTES = 64, 4 << 20
_KIND = "application/octet-stream"
#: A proxy before the index lets no more through, or the index is another one now.
_ONE_BY_ONE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
_CHANGED = Reply(verdict=Verdict.REFUSED, reason="its bytes are no longer those that were checked")
_SILENT = Reply(verdict=Verdict.FAILED, reason="the index did not say what became of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcels:
    """Sends wheels to one index, a request's worth at once. Used in a `with`, and from several threads."""

    url: str
    session: requests.Session
    most_files: int
    most_bytes: int
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    @classmethod
    def offered(
        cls, destination: Destination, login: Login, *, timeout: float, certificates: str | None = None
    ) -> Parcels | None:
        """Ask an index whether it takes parcels; None: it does not, or gives no answer now.

        `timeout`: seconds of silence after which the index counts as down; `certificates`: whom to trust, a path.
        """
        if not destination.url.rstrip("/").endswith("/legacy"):
            return None
        url, session = f"{destination.url.rstrip('/')}/parcel", requests.Session()
        session.verify = certificates or True
        furnish(session, url, login, timeout=timeout)
        try:
            response = session.get(url, allow_redirects=False)
            said = response.json() if response.status_code == HTTPStatus.OK else {}
            files, size = int(said["most-files"]), int(said["most-bytes"])
        except (requests.RequestException, ValueError, KeyError, TypeError):
            session.close()
            return None
        # The fields and their borders need room too.
        size = min(size // 2, _MOST_BYTES)
        return cls(url=url, session=session, most_files=min(files, _MOST_FILES), most_bytes=size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

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
            body, kind = encode_multipart_formdata(fields)
            try:
                response = self.session.post(self.url, data=body, allow_redirects=False, headers={"Content-Type": kind})
            except requests.RequestException as error:
                return [no_answer(error)] * len(wheels)
        if response.status_code in _ONE_BY_ONE:
            return None
        if response.status_code != HTTPStatus.OK:
            return [read_reply(response)] * len(wheels)
        replies = _replies(response)
        return [_CHANGED if name in changed else replies.get(name, _SILENT) for name in map(_name, wheels)]


def _name(wheel: Publishable) -> str:
    return wheel.name.filename


def _fields(wheel: Publishable, data: bytes) -> Iterator[_Field]:
    yield "sha256_digest", wheel.sha256
    if wheel.attestations:
        yield "attestations", json.dumps(wheel.attestations)
    yield "content", (_name(wheel), data, _KIND)


def _replies(response: requests.Response) -> dict[str, Reply]:
    """Return what the answer says of each file; what it does not say in the form that it should have is left out."""
    try:
        files = response.json()["files"]
        return {
            file["filename"]: judge(
                int(file["status"]), str(file["message"]), retry_after=str(file.get("retry-after", ""))
            )
            for file in files
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
