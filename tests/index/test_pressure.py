"""Disks that are full, clients that go away or never end, and projects with very many files."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name
from starlette.applications import Starlette
from starlette.routing import Route

from arrivals import sha256
from asgi import Client
from buckets import bucket_environment, bucket_server
from index_server import index_server
from small_wheels import SmallWheel
from uploaders import JSON, ask, packed, upload_of
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.model import File, Manifest
from wheelhouse.index.routes.requests import Patience
from wheelhouse.index.routes.uploading import Uploading
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import BufferSettings, Settings
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from asgi import Got

SPAM = canonicalize_name("spam")
LARGE = 700_000
"""Bytes of a wheel that fits on the disk a few times."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of 4 MB in memory; skip the test where this machine does not allow it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a disk in memory cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def serving(store: Path, spool: Path, rest: Path) -> Iterator[Client]:
    app = make_app(
        Settings(
            store=str(store),
            tokens=rest / "tokens.json",
            audit=rest / "audit",
            access=AccessRules(anonymous_local_upload=True),
            max_upload=10**7,
            buffer=BufferSettings(spool=spool, spool_bytes=10**8, cache=rest / "cache", cache_bytes=10**7),
        )
    )
    try:
        yield Client(app=app)
    finally:
        app.close()


def wheel(number: int) -> SmallWheel:
    return SmallWheel(version=f"1.{number}", files={"spam.bin": os.urandom(LARGE)})


def upload(client: Client, number: int) -> Got:
    made = wheel(number)
    body, headers = upload_of(made, packed(made))
    return client.get("/legacy/", method="POST", body=body, headers=headers)


def listed(client: Client) -> list[str]:
    got = client.get("/simple/spam/", accept=JSON)
    return [file["filename"].split("-")[1] for file in json.loads(got.body)["files"]] if got.status == 200 else []


@pytest.mark.parametrize("spool_too", [True, False], ids=["and of the spool", "not of the spool"])
def test_disk__full_under_uploads__says_so_and_takes_them_once_there_is_room(
    tmp_path: Path, *, spool_too: bool
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(1_500_000))
        store, rest = disk / "store", tmp_path / "rest"
        with serving(store, (disk if spool_too else rest) / "spool", rest) as client:
            taken: list[str] = []
            while (got := upload(client, len(taken))).status == 200:
                taken.append(f"1.{len(taken)}")
            assert len(taken) > 1
            assert listed(client) == taken
            assert list((store / "scratch").iterdir()) == []
            assert (got.status, got.headers["retry-after"]) == (503, "60")
            assert b"nothing more can be accepted until " in got.body
            assert str(tmp_path).encode() not in got.body

            filler.unlink()
            assert upload(client, len(taken)).status == 200
            assert len(listed(client)) == len(taken) + 1
        opened = FolderStore.open(store)
        assert [damage for account in verify(opened) for damage in account.damages] == []


@contextmanager
def uploading(url: str, body: bytes, headers: dict[str, str], path: str = "/legacy/") -> Iterator[socket.socket]:
    """Begin an upload by hand."""
    place = urlsplit(url)
    lines = [f"{name}: {value}" for name, value in {"Host": place.netloc, **headers}.items()]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""])
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=10) as connection:
        connection.sendall(head.encode() + body[: len(body) // 2])
        yield connection


def eventually_empty(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while list(folder.iterdir()):
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.02)


@pytest.mark.slow
def test_clients__gone_in_the_middle__leave_nothing(tmp_path: Path) -> None:
    made = wheel(1)
    data = packed(made)
    body, headers = upload_of(made, data)
    with index_server(tmp_path, "--allow-anonymous-upload") as server:
        scratch = tmp_path / ".wheelhouse" / "index" / "scratch"
        for _ in range(20):
            with uploading(server.url, body, headers) as connection:
                linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # hang up without a word
        eventually_empty(scratch)
        assert ask(server.url, "/simple/spam/")[0] == 404
        assert ask(server.url, "/legacy/", method="POST", body=body, headers=headers)[0] == 200
        status, page = ask(server.url, "/simple/spam/", headers={"Accept": JSON})
        assert (status, json.loads(page)["files"][0]["hashes"]["sha256"]) == (200, sha256(data))


@pytest.mark.slow
def test_stage_upload__server_of_a_bucket_killed_in_the_middle__leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    made = wheel(1)
    body, headers = upload_of(made, packed(made))
    options = ("--allow-anonymous-upload", "--store", "s3://wheels/index")
    incoming = tmp_path / "registry" / ".wheelhouse" / "index-spool" / "incoming"
    with bucket_server(tmp_path / "buckets") as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        with (
            index_server(tmp_path / "registry", *options) as server,
            uploading(server.url, body, headers, "/_/stages/next/legacy/"),
        ):
            deadline = time.monotonic() + 10
            while not list(incoming.iterdir()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.process.kill()
            server.process.wait()
        with index_server(tmp_path / "registry", *options):
            assert list(incoming.iterdir()) == list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_clients__that_stand_still__keep_nobody_waiting(tmp_path: Path) -> None:
    made = wheel(1)
    body, headers = upload_of(made, packed(made))
    with index_server(tmp_path, "--allow-anonymous-upload") as server:
        with ExitStack() as still:
            for _ in range(100):
                still.enter_context(uploading(server.url, body, headers))
            began = time.monotonic()
            assert ask(server.url, "/simple/")[0] == 200
            assert ask(server.url, "/legacy/", method="POST", body=body, headers=headers)[0] == 200
            assert time.monotonic() - began < 5
        eventually_empty(tmp_path / ".wheelhouse" / "index" / "scratch")


@pytest.mark.parametrize(
    ("silence", "step", "told"),
    [
        (0.05, 1000, "nothing more of the request came for 0.05 seconds"),
        (0.2, 20, "the request came too slowly: fewer than 10,000 bytes a second"),
    ],
)
def test_upload__that_stands_still_or_nearly__is_given_up(tmp_path: Path, silence: float, step: int, told: str) -> None:
    made = wheel(1)
    body, headers = upload_of(made, packed(made))
    sent: list[Any] = []

    async def ask_and_stand_still(pieces: list[bytes], pause: float) -> None:
        async def receive() -> Any:
            if not pieces:
                return await asyncio.Event().wait()
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": pieces.pop(0), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", headers["Content-Type"].encode())],
            "client": ("127.0.0.1", 1),
        }
        async with asyncio.timeout(5):
            await app(scope, receive, send)

    with serving(tmp_path / "store", tmp_path / "spool", tmp_path) as client:
        site = replace(client.app.site, patience=Patience(silence=silence, rate=10_000))
        route = Route("/", Uploading(site=site, uploads=site.uploads).upload, methods=["POST"])
        app = Starlette(routes=[route])
        asyncio.run(ask_and_stand_still([body[start : start + step] for start in range(0, 1000, step)], pause=0.01))
        assert (sent[0]["status"], sent[1]["body"].decode()) == (408, f"{told}\n")
        assert list((tmp_path / "store" / "scratch").iterdir()) == []


def test_project__of_ten_thousand_files__is_served_and_takes_more(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    files = tuple(
        File(
            filename=f"spam-1.{number}-py3-none-any.whl",
            version=f"1.{number}",
            sha256=sha256(str(number).encode()),
            size=1,
            upload_time=moment,
        )
        for number in range(10_000)
    )
    store.swap_manifest(Manifest(name=SPAM, files=files))
    with serving(tmp_path / "store", tmp_path / "spool", tmp_path) as client:
        for path, most in (("/simple/spam/", 4.0), ("/simple/spam/", 1.0), ("/pypi/spam/json", 4.0)):
            began = time.monotonic()
            got = client.get(path, accept=JSON)
            assert (got.status, time.monotonic() - began < most) == (200, True)
        body, headers = upload_of(made := SmallWheel(version="2.0"), packed(made))
        began = time.monotonic()
        assert client.get("/legacy/", method="POST", body=body, headers=headers).status == 200
        assert time.monotonic() - began < 4
        assert len(json.loads(client.get("/simple/spam/", accept=JSON).body)["files"]) == 10_001
        assert b"2.0" in client.get("/project/spam/").body
