"""An index that takes uploads as the legacy API does, and fails as told; `real_index.py` has a real one."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it says to an upload."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: float = 0.0
    """Seconds before it says it."""


@dataclass(slots=True, kw_only=True)
class FakeIndex:
    """Holds what came, and what to answer."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    """Uploads by filename, refused ones too."""
    users: set[str | None] = field(default_factory=set)
    """Name and password of each upload, joined by a colon."""
    answer: Answer = field(default_factory=Answer)
    answers: dict[str, Answer] = field(default_factory=dict)
    """For a filename its own."""

    def take(self, filename: str, data: bytes, user: str | None) -> Answer:
        self.asked[filename] += 1
        self.users.add(user)
        answer = self.answers.get(filename, self.answer)
        if answer.status == 200:
            if self.files.get(filename, data) != data:
                return Answer(status=409, body=b"the name is taken", headers={"Content-Type": "text/plain"})
            self.files[filename] = data
        time.sleep(answer.silent)
        return answer


@contextmanager
def fake_index() -> Iterator[FakeIndex]:
    """Serve on a free port."""
    index = FakeIndex()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
            parts = [part for part in form.walk() if part.get_filename()]
            payload = parts[0].get_payload(decode=True)
            assert isinstance(payload, bytes)
            scheme, _, secret = self.headers.get("Authorization", "").partition(" ")
            user = b64decode(secret).decode() if scheme == "Basic" else None
            answer = index.take(str(parts[0].get_filename()), payload, user)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_port}/legacy/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
