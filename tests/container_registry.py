"""A container registry of the tests: Debian's `docker-registry` on loopback, over TLS, with an authority."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "docker-registry"
_SECONDS = 20.0
_CONFIG = """\
version: 0.1
log: {{ level: info }}
storage:
  filesystem: {{ rootdirectory: {folder}/images }}
http:
  addr: 127.0.0.1:{port}
  tls: {{ certificate: {folder}/server.pem, key: {folder}/server.pem }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """One that runs."""

    name: str
    """How references begin: `localhost:5000`."""
    authority: Path
    """PEM file of who signed its certificate."""
    log: Path


def missing() -> str | None:
    """Say what this machine lacks to run one; None: nothing."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed"


@contextmanager
def serving(folder: Path) -> Iterator[Registry]:
    """Run a registry that keeps its images in `folder`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([PROGRAM, "serve", folder / "config.yml"], stdout=output, stderr=output)
    try:
        _wait(f"https://localhost:{port}/v2/", authority, process)
        yield Registry(name=f"localhost:{port}", authority=folder / "authority.pem", log=log)
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, authority: trustme.CA, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, context=context) as answer:  # noqa: S310 - ours
                json.load(answer)
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
