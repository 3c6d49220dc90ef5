"""An index for a mirror to ask: counts what it is asked, and can be slow, down, wrong, old-fashioned or limited."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFile:
    """A file that it has."""

    filename: str
    data: bytes
    metadata: bytes | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    """Further keys, or others, of the file's JSON."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "filename": self.filename,
            "url": f"../../packages/{self.filename}",
            "hashes": {"sha256": self.sha256},
            "size": len(self.data),
            "upload-time": "2024-01-02T03:04:05.678901Z",
            "yanked": False,
        }
        if self.metadata is not None:
            told["core-metadata"] = {"sha256": hashlib.sha256(self.metadata).hexdigest()}
        return told | dict(self.said)


@dataclass(slots=True, kw_only=True)
class FakeUpstream:
    """All of this may be changed while it serves."""

    url: str = ""
    projects: dict[str, list[FakeFile]] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)
    """What is answered for a project's page instead of one."""
    said: dict[str, Any] = field(default_factory=dict)
    """Further keys of every page's JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every answer."""
    asked: list[str] = field(default_factory=list)
    """Paths, in order."""
    got: list[Mapping[str, str]] = field(default_factory=list)
    """Headers, in the same order."""
    status: int | None = None
    """Answer everything with this."""
    down: bool = False
    """Hang up on everybody."""
    wrong: bool = False
    """Send files with their last byte changed."""
    html: bool = False
    """Know no JSON."""
    etags: bool = True
    may_send: threading.Event = field(default_factory=threading.Event)
    """The second half of a file waits for this."""
    half_sent: threading.Event = field(default_factory=threading.Event)

    def times(self, path: str) -> int:
        return self.asked.count(path)

    def page(self, project: str) -> tuple[bytes, str] | None:
        if project in self.pages:
            return self.pages[project], JSON
        files = self.projects.get(project)
        if files is None:
            return None
        if self.html:
            links = (f'<a href="../../packages/{f.filename}#sha256={f.sha256}">{f.filename}</a>' for f in files)
            return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode(), "text/html"
        told = {"meta": {"api-version": "1.1"}, "name": project, "files": [file.to_json() for file in files]}
        return json.dumps(told | self.said).encode(), JSON

    def file(self, name: str) -> bytes | None:
        for file in (file for files in self.projects.values() for file in files):
            if file.filename == name:
                return file.data[:-1] + b"!" if self.wrong else file.data
            if f"{file.filename}.metadata" == name:
                return file.metadata
        return None


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, upstream: FakeUpstream, *arguments: Any) -> None:
        self.upstream = upstream
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.upstream.asked.append(self.path)
        self.upstream.got.append({name.lower(): value for name, value in self.headers.items()})
        if self.upstream.down:
            self.close_connection = True
        elif self.upstream.status is not None:
            self._answer(self.upstream.status, b"no")
        elif self.path.startswith("/simple/"):
            self._page(self.upstream.page(self.path.split("/")[2]))
        else:
            self._file(self.upstream.file(self.path.rpartition("/")[2]))

    def _page(self, found: tuple[bytes, str] | None) -> None:
        if found is None:
            self._answer(404, b"")
            return
        etag = {"ETag": f'"{hashlib.sha256(found[0]).hexdigest()}"'} if self.upstream.etags else {}
        if etag and self.headers.get("If-None-Match") == etag["ETag"]:
            self._answer(304, b"")
        else:
            self._answer(200, found[0], {"Content-Type": found[1], **etag})

    def _file(self, data: bytes | None) -> None:
        if data is None:
            self._answer(404, b"")
            return
        half = len(data) // 2
        self._answer(200, data[:half], {"Content-Length": str(len(data))})
        self.upstream.half_sent.set()
        self.upstream.may_send.wait(10)
        self.wfile.write(data[half:])

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {}), **self.upstream.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def fake_upstream(**projects: list[FakeFile]) -> Iterator[FakeUpstream]:
    """Serve projects until the context ends."""
    upstream = FakeUpstream(projects={name.replace("_", "-"): files for name, files in projects.items()})
    upstream.may_send.set()
    server = _Server(("127.0.0.1", 0), partial(_Handler, upstream))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    upstream.url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        yield upstream
    finally:
        upstream.may_send.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments: Any) -> None:
        """Say nothing: a mirror hung up, as it may."""
