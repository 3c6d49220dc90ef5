"""A docker engine for the tests: a daemon of their own, with a socket and folders of its own, and no bridge.

It touches nothing of the machine's network, so its containers have the host's, or none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wheelhouse.builders.engine import ENVIRONMENT_ENGINE, Engine, find_engine
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SECONDS = 40.0


class NotRunningError(Exception):
    """The daemon does not run here; the text says why."""


def missing() -> str | None:
    """Say what this machine lacks to run a daemon; None: nothing."""
    if os.geteuid() != 0:
        return "dockerd is started by root here"
    absent = [program for program in ("dockerd", "containerd", "docker") if shutil.which(program) is None]
    return f"{' and '.join(absent)} is not installed" if absent else None


@contextmanager
def running(folder: Path) -> Iterator[Engine]:
    """Run a daemon with all its files in `folder`; yield the engine that it is. Raises NotRunningError."""
    socket, log = folder / "docker.sock", folder / "dockerd.log"
    command = [
        *("dockerd", f"--host=unix://{socket}", f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}"),
        *(f"--pidfile={folder / 'docker.pid'}", "--bridge=none", "--iptables=false", "--ip6tables=false"),
    ]
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield _answering(daemon, {**os.environ, "DOCKER_HOST": f"unix://{socket}", ENVIRONMENT_ENGINE: "docker"}, log)
    finally:
        daemon.terminate()  # it ends its containers and its containerd
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _answering(daemon: subprocess.Popen[bytes], environment: Mapping[str, str], log: Path) -> Engine:
    deadline = time.monotonic() + _SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        engine = find_engine(Processes(), environment)
        if isinstance(engine, Engine):
            return engine
        time.sleep(0.2)
    raise NotRunningError("; ".join(log.read_text("utf-8", "replace").splitlines()[-2:]))
