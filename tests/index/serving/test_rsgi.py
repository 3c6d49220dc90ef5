from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rsgi import FakeConnection, FakeHeaders, FakeRequest
from wheelhouse.index.serving.answers import PATHSEND
from wheelhouse.index.serving.rsgi import address_of, answer_by_asgi, asgi_scope

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.serving.answers import Message, Receive, Scope, Send

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}


def answered(messages: list[dict[str, Any]], connection: FakeConnection) -> FakeConnection:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    asyncio.run(answer_by_asgi(application, FakeRequest(), connection, ""))
    return connection


def received(request: FakeRequest, connection: FakeConnection, count: int) -> list[Message]:
    found: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        found.extend([await receive() for _ in range(count)])

    asyncio.run(answer_by_asgi(application, request, connection, ""))
    return found


def body(text: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


def test_answer__whole() -> None:
    got = answered([START, {"type": "http.response.body", "body": b"all"}], FakeConnection())

    assert got.answer == (200, {"x-a": "1"}, b"all")


def test_answer__empty() -> None:
    assert answered([START, body(b"", more=False)], FakeConnection()).answer == (200, {"x-a": "1"}, b"")


def test_answer__in_pieces() -> None:
    messages = [START, body(b"one", more=True), body(b"", more=True), body(b"two", more=False)]

    assert answered(messages, FakeConnection()).pieces == [b"one", b"two"]


def test_answer__file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")

    got = answered([START, {"type": PATHSEND, "path": str(tmp_path / "a")}], FakeConnection())

    assert (got.file, got.pieces) == (str(tmp_path / "a"), [b"bytes"])


def test_body__in_pieces_then_its_end() -> None:
    request = FakeRequest(method="POST").having(content_length="5")

    assert received(request, FakeConnection(body=[b"ab", b"cde"]), 3) == [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cde", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]


def test_body__cut_off__is_a_disconnection() -> None:
    request = FakeRequest(method="POST").having(content_length="50")

    assert received(request, FakeConnection(body=[b"ab"]), 2)[1] == {"type": "http.disconnect"}


def test_body__after_its_end__waits_for_the_client_to_go() -> None:
    connection = FakeConnection()
    connection.gone.set()

    assert received(FakeRequest(), connection, 2)[1] == {"type": "http.disconnect"}


def test_asgi_scope__of_http_2__has_the_host() -> None:
    request = FakeRequest(headers=FakeHeaders([("accept", "*/*")]), authority="wheels.example", http_version="2")

    assert asgi_scope(request, "/sub")["headers"] == [(b"accept", b"*/*"), (b"host", b"wheels.example")]
    assert asgi_scope(request, "/sub")["root_path"] == "/sub"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("::1:80", ("::1", 80)),
        ("unix", None),
        ("", None),
    ],
)
def test_address_of(text: str, address: tuple[str, int] | None) -> None:
    assert address_of(text) == address
