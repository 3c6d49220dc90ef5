"""`wheelhouse serve` as a process of its own, for the clients that people use."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_START = 20.0
_ADDRESS = re.compile(r"at (https?://\S+)/simple/")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexServer:
    url: str
    registry: Path
    process: subprocess.Popen[str]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


def wheelhouse(registry: Path, *words: str) -> str:
    """Run a command to its end and return its stdout."""
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def serve_command(registry: Path, *options: str) -> list[str]:
    """Return what serves the index of a registry, which is made where it is missing."""
    (registry / "recipes").mkdir(parents=True, exist_ok=True)
    (registry / "wheelhouse.toml").touch()
    return [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "serve", "--port", "0", *options]


@contextmanager
def index_server(registry: Path, *options: str, mirror: bool = False) -> Iterator[IndexServer]:
    """Serve an index from the state of a registry, on any free port, until the context ends."""
    command = serve_command(registry, *options) if mirror else serve_command(registry, *options, "--no-mirror")
    with serving(command, cwd=None) as (url, process):
        yield IndexServer(url=url, registry=registry, process=process)


@contextmanager
def serving(command: Sequence[str], *, cwd: Path | None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a command that serves an index; give its address, and end it when the context ends."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=cwd) as process:
        try:
            yield _address(process), process
        finally:
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and select.select([process.stderr], [], [], _START)[0]:
        line = process.stderr.readline()
        if found := _ADDRESS.search(line):
            _await(found[1], deadline)
            return found[1]
        assert line, "the server ended before it said where it is"
    raise AssertionError("the server did not say where it is")


def _await(url: str, deadline: float) -> None:
    """Return once the server takes connections: its line comes a moment before."""
    place = urlsplit(url)
    while time.monotonic() < deadline:
        try:
            socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the server takes no connections")
