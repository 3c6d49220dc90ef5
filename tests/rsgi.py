"""granian's side of RSGI, without granian: a request made of words, and all that was answered to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from wheelhouse.index.serving.rsgi import Headers, Texts


@dataclass
class FakeHeaders:
    given: Sequence[tuple[str, str]]

    def get(self, name: str) -> str | None:
        return next((value for other, value in self.given if other == name), None)

    def get_all(self, name: str) -> list[str]:
        return [value for other, value in self.given if other == name]

    def items(self) -> Iterable[tuple[str, str]]:
        return self.given


@dataclass
class FakeRequest:
    path: str = "/simple/"
    method: str = "GET"
    query_string: str = ""
    headers: Headers = field(default_factory=lambda: FakeHeaders([("host", "localhost:8080")]))
    client: str = "127.0.0.1:1"
    server: str = "127.0.0.1:8080"
    scheme: str = "http"
    http_version: str = "1.1"
    authority: str | None = None

    def having(self, **headers: str) -> FakeRequest:
        """Return it with further headers; `_` stands for `-`."""
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return FakeRequest(**{**vars(self), "headers": FakeHeaders([*self.headers.items(), *more])})


@dataclass
class FakeStream:
    pieces: list[bytes]

    async def send_bytes(self, data: bytes) -> None:
        self.pieces.append(data)


@dataclass
class FakeConnection:
    """Takes one answer."""

    body: Sequence[bytes] = ()
    status: int = 0
    headers: Texts = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    file: str | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.body:
            yield piece

    async def client_disconnect(self) -> None:
        await self.gone.wait()

    def response_empty(self, status: int, headers: Texts) -> None:
        self._begin(status, headers)

    def response_bytes(self, status: int, headers: Texts, body: bytes) -> None:
        self._begin(status, headers)
        self.pieces.append(body)

    def response_file(self, status: int, headers: Texts, file: str) -> None:
        self._begin(status, headers)
        self.file = file
        self.pieces.append(Path(file).read_bytes())

    def response_stream(self, status: int, headers: Texts) -> FakeStream:
        self._begin(status, headers)
        return FakeStream(self.pieces)

    def _begin(self, status: int, headers: Texts) -> None:
        assert not self.status, "answered twice"
        self.status, self.headers = status, headers

    @property
    def answer(self) -> tuple[int, dict[str, str], bytes]:
        return self.status, dict(self.headers), b"".join(self.pieces)
