"""From a recipe to `pip install`: built here, published to an index served here, installed by real pip."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
import requests
import uv

import tiny
from index_server import index_server
from real_index import free_port, pypi_server
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]


def build(registry: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build", "--all", "--publish"]
    return subprocess.run(
        [*command, "--python", tiny.HERE, *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_build_publish__served_wheels_are_installed_by_uv(tmp_path: Path) -> None:
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{server.url}/legacy/"\n'
        bad = tiny.Tiny(name="bad", before="#error no")
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant", answer=7), bad, settings=settings)
        done = build(registry)
        assert done.returncode == 3, done.stderr  # one of the two fails; the other is published all the same
        assert "1 published" in done.stderr
        again = build(registry)
        assert "1 reused" in again.stderr
        assert "1 published" in again.stderr  # the same bytes once more are welcome
        install = [uv.find_uv_bin(), "pip", "install", "--target", str(tmp_path / "site"), "--python", sys.executable]
        subprocess.run([*install, "--default-index", f"{server.url}/simple/", "--no-cache", "ant"], check=True)
    code = "import ant; print(ant.answer())"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path / "site"
    )
    assert shown.stdout == "7\n"


def test_build_publish__no_index_named__is_refused_before_anything_is_built(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    done = build(registry)
    assert done.returncode == UsageError.exit_code
    assert not (registry / ".wheelhouse" / "jobs").exists()


def test_build_publish__with_json__records_say_what_became_of_each_wheel(tmp_path: Path) -> None:
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{server.url}/legacy/"\n'
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"), settings=settings)
        done = build(registry, "--json")
        (record,) = json.loads(done.stdout)
        assert record["details"]["published"]["outcome"] == "published"
        assert record["details"]["published"]["sha256"] == record["wheel"]["sha256"]
        assert requests.get(f"{server.url}/_/records/", timeout=10).json() == {"records": {}}  # that is for farms

        done = build(registry, "--json", WHEELHOUSE_TICKET="run-1.1")
        (record,) = json.loads(done.stdout)
        assert record["details"]["ticket"] == "run-1.1"
        assert requests.get(f"{server.url}/_/records/{record['job']}", timeout=10).json() == record


def test_build_publish__the_index_keeps_no_records__the_wheel_is_published_all_the_same(tmp_path: Path) -> None:
    with pypi_server(tmp_path / "served", port=free_port()) as url:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{url}"\n'
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"), settings=settings)
        user = {"TWINE_USERNAME": "any", "TWINE_PASSWORD": "any"}
        done = build(registry, "--json", WHEELHOUSE_TICKET="run-1.1", **user)
        (record,) = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert record["details"]["published"]["outcome"] == "published"
        assert record["details"]["not recorded"]
        command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "spool", "list", "--json"]
        spooled = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert spooled["items"] == []  # nobody would ever take the record


def test_build_publish__the_index_is_down__wheel_and_record_come_by_the_spool(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{server.url}/legacy/"\n'
    port = server.url.rpartition(":")[2]
    tiny.write_registry(registry, tiny.Tiny(name="ant"), settings=settings)
    (record,) = json.loads(build(registry, "--json", WHEELHOUSE_TICKET="run-1.1").stdout)
    assert record["details"]["published"]["outcome"] == "spooled"
    assert "cannot be reached" in record["details"]["not recorded"]
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "spool", "retry", "--json"]
    with index_server(tmp_path / "index", "--allow-anonymous-upload", "--port", port) as server:
        sent = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert [one["outcome"] for one in sent] == ["published", "published"]
        assert {one["wheel"] for one in sent} == {record["wheel"]["filename"], record["job"]}
        told = requests.get(f"{server.url}/_/records/{record['job']}", timeout=10).json()
    assert told["wheel"] == record["wheel"]


@contextmanager
def cut_after(received: int, port: int) -> Iterator[tuple[int, threading.Event]]:
    """Stand before a server and hang up on whoever has sent so many bytes, until told to let everything through."""
    whole = threading.Event()

    class Between(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                answers = threading.Thread(target=self.give_back, args=(server,), daemon=True)
                answers.start()
                left = received
                while data := self.request.recv(1024):
                    server.sendall(data if whole.is_set() else data[:left])
                    left -= len(data)
                    if left <= 0 and not whole.is_set():
                        return
                server.shutdown(socket.SHUT_WR)
                answers.join()

        def give_back(self, server: socket.socket) -> None:
            with suppress(OSError):
                while data := server.recv(1 << 16):
                    self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Between) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield listening.server_address[1], whole
        listening.shutdown()


def test_build_publish__an_upload_is_cut__nothing_half_is_there_and_the_spool_brings_it_whole(tmp_path: Path) -> None:
    """As a minion's job ends: what is pushed over `cp.push` and cut would stay there, cut."""
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        port = int(server.url.rpartition(":")[2])
        with cut_after(3000, port) as (between, whole):
            settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "http://127.0.0.1:{between}/legacy/"\n'
            registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"), settings=settings)
            (record,) = json.loads(build(registry, "--json").stdout)
            assert record["details"]["published"]["outcome"] == "spooled"
            assert requests.get(f"{server.url}/simple/ant/", timeout=10).status_code == 404
            whole.set()
            command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "spool", "retry", "--json"]
            (sent,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert sent["outcome"] == "published"
        (file,) = requests.get(f"{server.url}/pypi/ant/json", timeout=10).json()["urls"]
        data = requests.get(urljoin(f"{server.url}/pypi/ant/json", file["url"]), timeout=10).content
        assert hashlib.sha256(data).hexdigest() == record["wheel"]["sha256"]
