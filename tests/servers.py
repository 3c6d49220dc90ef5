"""HTTP servers with faults, made to order."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response."""

    body: bytes = b""
    status: int = 200
    cut: int | None = None
    """Promise the whole body, send so many bytes, and hang up."""
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    """Seconds between two bytes of the body; 0: it is sent at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    asked: list[str]
    """Paths in the order they were asked for."""
    headers: list[Mapping[str, str]]


@contextmanager
def serve(routes: Mapping[str, Sequence[Answer]], *, posts: bool = False) -> Iterator[Server]:
    """Answer each path with its answers in turn, the last for ever; any other path with 404.

    `posts`: a POST is answered as a GET is.
    """
    asked: list[str] = []
    headers: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(405)  # uv then asks for the whole file instead of parts

        def do_GET(self) -> None:
            answers = routes.get(self.path, [Answer(status=404)])
            answer = answers[min(asked.count(self.path), len(answers) - 1)]
            asked.append(self.path)
            headers.append(dict(self.headers))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            body = answer.body[: answer.cut]
            pieces = [body] if not answer.pause else [body[at : at + 1] for at in range(len(body))]
            with suppress(OSError):  # the client has hung up
                for piece in pieces:
                    self.wfile.write(piece)
                    time.sleep(answer.pause)

        def do_POST(self) -> None:
            if not posts:
                self.send_error(501)
                return
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Server(url=f"http://127.0.0.1:{server.server_port}", asked=asked, headers=headers)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
