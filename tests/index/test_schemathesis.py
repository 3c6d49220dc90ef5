"""A real server over HTTP, asked by schemathesis for all that its own OpenAPI document says, and what it does not.

No answer is a server error, all are documented, in the media types that are, and none has a secret, a path or a
traceback in it. `WHEELHOUSE_FUZZ_SECONDS=600` goes on for so many seconds.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index_server import IndexServer, index_server, wheelhouse
from shop_window import BUILT, dress
from uploaders import ask
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = os.environ.get("WHEELHOUSE_FUZZ_SECONDS")
QUICK = ("--max-time", "20", "--generation-deterministic")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "unsupported_method",
    "tells_no_secret",
)
HOOKS = Path(__file__).parents[1] / "schemathesis_hooks.py"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndexServer]:
    dress(tmp_path)
    (tmp_path / "wheelhouse.toml").write_text(
        '[serve]\naccess-log = "nothing"\n'
    )  # nobody reads it, and a pipe is finite
    with index_server(tmp_path) as running:
        yield running


def known(server: IndexServer, token: str) -> str:
    """Return what is there of all that a path can name."""
    store = FolderStore.open(server.registry / ".wheelhouse" / "index")
    manifest = next(found for name in store.projects() if name == "my-spam" and (found := store.read_manifest(name)))
    file = manifest.files[-1]
    return json.dumps(
        {
            "project": "my-spam",
            "filename": file.filename,
            "sha256": file.sha256,
            "shelf": file.sha256[:2],
            "version": file.version,
            "stage": "next",
            "job": BUILT,
            "name": "style.css",
            "secrets": [token, str(server.registry)],
        }
    )


@pytest.mark.slow
def test_every_operation__asked_anything__is_answered_as_documented(server: IndexServer, tmp_path: Path) -> None:
    scopes = [f"--scope={action}:*" for action in ("read", "upload", "yank", "delete", "admin", "metrics")]
    token = wheelhouse(server.registry, "token", "create", "fuzz", *scopes)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/_/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing"),
        *(("--max-time", SECONDS, "--generation-database", "none") if SECONDS else QUICK),
        *("--no-shrink", "--request-timeout", "10"),
        *("--warnings", "off", "--continue-on-failure", "--suppress-health-check", "all"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": str(HOOKS.parent),
        "WHEELHOUSE_KNOWN": known(server, token),
        "NO_COLOR": "1",
    }
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-20_000:]
    assert ask(server.url, "/ready")[0] == 200
    assert not [each for each in verify(FolderStore.open(server.registry / ".wheelhouse" / "index")) if each.damages]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /simple/ HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/simple/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /simple/\xff\xfe/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 600_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        b"POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /legacy/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 5000,
        b"\r\n" * 5000,
    ],
    ids=lambda sent: repr(sent[:60]),
)
def test_request__that_is_none__harms_nobody(broken: IndexServer, sent: bytes) -> None:
    port = int(broken.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(10)
        got = b""
        with suppress(OSError):  # hung up on, in the middle
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while piece := connection.recv(65_536):
                got += piece
    assert not got or got.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), got[:200]
    status = int(got.split(b" ", 2)[1]) if got else 0
    assert status < 500 or status == 505
    for secret in ("Traceback", "site-packages", str(broken.registry)):
        assert secret.encode() not in got
    assert ask(broken.url, "/simple/")[0] == 200


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    with index_server(tmp_path_factory.mktemp("broken"), "--allow-anonymous-upload") as running:
        yield running
