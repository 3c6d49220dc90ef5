"""Bytes over a real socket: what the connection adds to uvicorn's, and that uvicorn's is as it was."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from asgi import Client
from indexes import settings, token, upload
from small_wheels import SmallWheel
from wheelhouse.index.serving import connection as module
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.serving.connection import Connection
from wheelhouse.index.serving.front import Front
from wheelhouse.index.serving.server import Server, _quickest_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.serving.app import IndexApp

SPAM = SmallWheel(name="my_spam")
LARGE = SmallWheel(name="large", files={"large.bin": os.urandom(20_000_000)})
HOST = b"Host: localhost\r\n"
PAGE = b"GET /simple/my-spam/ HTTP/1.1\r\n" + HOST + b"\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    server: Server
    front: Front
    loop: asyncio.AbstractEventLoop
    files: dict[str, tuple[bytes, bytes]]
    """A request for each file, and its bytes."""

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=20)) as client:
            yield client

    def say(self, *pieces: bytes) -> bytes:
        """Send pieces, and return all that comes until the server closes."""
        with self.connected() as client:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.02)
            return all_of(client)

    def look(self, later: float) -> None:
        """Let the server look at its connections as if it were later."""

        async def look() -> None:
            for each in list(self.server.server_state.connections):
                assert isinstance(each, Connection)
                each.look(self.loop.time() + later)

        asyncio.run_coroutine_threadsafe(look(), self.loop).result(10)


def all_of(client: socket.socket) -> bytes:
    said = bytearray()
    while piece := client.recv(1 << 20):
        said += piece
    return bytes(said)


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 (\d+) ", said, re.MULTILINE)]


def whole(client: socket.socket) -> bytes:
    """Return one answer, which says how long it is."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += client.recv(1 << 16)
    head, _, body = said.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    assert found is not None
    while len(body) < int(found[1]):
        body += client.recv(1 << 16)
    return head + b"\r\n\r\n" + body


def file_of(app: IndexApp, project: NormalizedName) -> tuple[bytes, bytes]:
    entry = asyncio.run(app.site.catalog.find(project))
    assert entry is not None
    (file,) = entry.files.values()
    kept = app.site.catalog.store.local_path(file.sha256)
    assert kept is not None
    path = f"/files/{file.sha256[:2]}/{file.sha256}/{file.filename}"
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n", kept.read_bytes()


@pytest.fixture(scope="module", params=["quickest", "asyncio"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("index")
    app = make_app(replace(settings(folder), max_upload=100_000_000))
    ci = token(folder, "ci", "upload:*")
    for wheel in (SPAM, LARGE):
        assert upload(Client(app=app), folder, wheel, "/legacy/", ci).status == 200
    files = {str(name): file_of(app, name) for name in app.site.catalog.store.names()}
    started: list[Running] = []

    async def serve() -> None:
        front = Front(app)
        server = Server(front, http=Connection)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            serving = asyncio.create_task(server.serve(sockets=[taken]))
            await server.up.wait()
            started.append(Running(taken.getsockname()[1], server, front, asyncio.get_running_loop(), files))
            await serving

    def run() -> None:
        with asyncio.Runner(loop_factory=_quickest_loop() if request.param == "quickest" else None) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    while not started:
        time.sleep(0.01)
    yield started[0]
    started[0].server.should_exit = started[0].server.force_exit = True
    thread.join()
    app.close()


def test_pipeline__answers_come_in_order(running: Running) -> None:
    small, large = running.files["my-spam"], running.files["large"]
    metadata = small[0].replace(b".whl ", b".whl.metadata ")

    said = running.say(PAGE + HEALTH + large[0] + PAGE + small[0] + metadata + HEALTH + PAGE + LAST)

    at = 0
    for sign in (b"Links for my-spam", large[1], b"Links for my-spam", small[1], b"Metadata-Version", b"Links for"):
        found = said.find(sign, at)
        assert found >= at
        at = found + len(sign)
    assert len(statuses(said.replace(large[1], b"").replace(small[1], b""))) == 9


@pytest.mark.parametrize("cut", [1, 20, len(PAGE) - 1])
def test_head__in_pieces(running: Running, cut: int) -> None:
    assert statuses(running.say(PAGE[:cut], PAGE[cut:], LAST)) == [200, 200]


def test_request__like_one_before__has_the_answer_of_now(running: Running) -> None:
    with running.connected() as client:
        said = []
        for _ in range(3):
            client.sendall(PAGE)
            said.append(whole(client))
        assert PAGE in running.front.known
        running.front._catalog.forget(SPAM.name.replace("_", "-"))  # type: ignore[arg-type]  # it is one
        client.sendall(PAGE)
        said.append(whole(client))
    assert len({re.sub(rb"date: [^\r]*\r\n", b"", each).partition(b"\r\n\r\n")[2] for each in said}) == 1
    assert all(re.search(rb"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", each) for each in said)
    assert not any(b"server:" in each for each in said)


def test_request__like_one_before__in_the_middle_of_another_is_its_body(running: Running) -> None:
    for _ in range(2):
        assert statuses(running.say(PAGE, LAST)) == [200, 200]
    upload = b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(PAGE)

    assert statuses(running.say(upload, PAGE, LAST)) in ([404, 200], [405, 200])


def test_two_hosts__go_the_long_way(running: Running) -> None:
    request = PAGE.replace(HOST, HOST + b"Host: evil.example\r\n")

    running.say(request, LAST)

    assert request not in running.front.known


def test_http_1_0__is_answered_and_closed(running: Running) -> None:
    assert statuses(running.say(b"GET /simple/my-spam/ HTTP/1.0\r\n" + HOST + b"\r\n")) == [200]


def test_head__has_the_length_and_no_body(running: Running) -> None:
    request, data = running.files["large"]

    said = running.say(request.replace(b"GET ", b"HEAD "), LAST)

    assert b"content-length: %d\r\n" % len(data) in said
    assert len(said) < 5_000


def test_expectation__is_met_before_the_body_is_read(running: Running) -> None:
    head = b"POST /legacy/ HTTP/1.1\r\n" + HOST + b"Authorization: Basic eDp5\r\nContent-Length: 5\r\n"
    with running.connected() as client:
        client.sendall(head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert statuses(client.recv(1000)) == [100]
        client.sendall(b"bytes")
        assert statuses(all_of(client))[0] in range(400, 500)
    assert statuses(running.say(PAGE.replace(HOST, HOST + b"Expect: 100-continue\r\n"), LAST)) == [200, 200]


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", PAGE.replace(b"/simple", b"/\x00")]
)
def test_nonsense__is_told_so(running: Running, request_: bytes) -> None:
    assert statuses(running.say(request_)) == [400]


def test_head__too_long_at_once(running: Running) -> None:
    long = PAGE.replace(HOST, HOST + b"X-Long: " + b"x" * 100_000 + b"\r\n")

    assert statuses(running.say(long)) == [431]


def test_head__too_long_in_time(running: Running) -> None:
    with running.connected() as client:
        client.sendall(PAGE[:-2] + b"X-Long: ")
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * 100_000_000)


def test_body__long__is_no_head(running: Running) -> None:
    body = b"x" * 1_000_000
    upload = b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)

    assert statuses(running.say(upload + body + PAGE[:10], PAGE[10:], LAST))[1:] == [200, 200]


def test_file__large__comes_whole(running: Running) -> None:
    request, data = running.files["large"]

    said = running.say(request, LAST)

    assert said.partition(b"\r\n\r\n")[2].startswith(data)
    assert statuses(said.replace(data, b"")) == [200, 200]


def test_file__reader_leaves__nobody_else_notices(running: Running) -> None:
    request, _ = running.files["large"]
    with running.connected() as client:
        client.sendall(request)
        client.recv(1000)
    with running.connected() as client:
        client.sendall(PAGE)
        assert b"200 OK" in whole(client)
    until(lambda: not running.server.server_state.tasks and not running.server.server_state.connections)


def test_part_of_a_file__reader_leaves__is_read_no_further(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    request, data = running.files["large"]
    part = request.replace(HOST, HOST + b"Range: bytes=1-%d\r\n" % len(data))
    store, read = running.front._catalog.store, []
    whole_range = store.open_range

    def counted(*arguments: Any) -> Iterator[bytes]:
        for piece in whole_range(*arguments):
            read.append(len(piece))
            yield piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "open_range", lambda _, *arguments: counted(*arguments))
        with running.connected() as client:
            client.sendall(part)
            client.recv(1000)
        until(lambda: not running.server.server_state.tasks)
    assert 0 < sum(read) < len(data) - 1_000_000
    assert not caplog.records


def test_file__nobody_reads__is_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    request, data = running.files["large"]
    with running.connected() as client:
        client.sendall(request)
        until(lambda: bool(running.server.server_state.tasks))
        until(lambda: not running.server.server_state.tasks)
        assert len(all_of(client)) < len(data)


def test_file__shorter_than_it_should_be__breaks_off(running: Running) -> None:
    request, data = running.files["large"]
    sha256 = request.split(b"/")[3].decode()
    path = running.front._catalog.store.local_path(sha256)  # type: ignore[arg-type]  # it is one
    assert path is not None
    path.chmod(0o600)
    os.truncate(path, 10_000_000)
    try:
        with running.connected() as client:
            client.sendall(request)
            assert len(all_of(client)) < len(data)
    finally:
        path.write_bytes(data)


def test_pages__asked_for_and_not_read__are_not_all_kept(running: Running) -> None:
    with running.connected() as client:
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.sendall(PAGE * 1_000_000)
        (connection,) = running.server.server_state.connections
        assert connection.transport.get_write_buffer_size() < 5_000_000


def test_silence__before_a_request__is_ended(running: Running) -> None:
    with running.connected() as client:
        until(lambda: len(running.server.server_state.connections) == 1)
        running.look(10)
        client.sendall(PAGE)
        whole(client)
        running.look(10)
        client.sendall(HEALTH)
        whole(client)
        running.look(module.PATIENCE + 1)
        assert client.recv(100) == b""


def test_connection__in_use__is_kept(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.server.config, "timeout_keep_alive", 1)
    with running.connected() as client:
        for request in (PAGE, HEALTH, *[PAGE] * 6):
            client.sendall(request)
            assert statuses(whole(client)) == [200]
            time.sleep(0.25)


def test_head__slow__is_told_so(running: Running) -> None:
    with running.connected() as client:
        client.sendall(PAGE[:20])
        until(lambda: len(running.server.server_state.connections) == 1)
        time.sleep(0.1)
        running.look(module._HEAD_PATIENCE + 1)
        assert statuses(all_of(client)) == [408]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
