"""A Debian repository of one package, which moves on from version to version: for what is installed in images."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "libanswer-dev"


class Distribution:
    """A repository for apt, of one package with one header."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.repository.mkdir(parents=True)

    def publish(self, version: str, answer: int) -> None:
        root = self.folder / "package"
        (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (root / "usr/include").mkdir(parents=True, exist_ok=True)
        control = f"Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.com>\n"
        (root / "DEBIAN/control").write_text(f"{control}Description: An answer\n")
        (root / "usr/include/answer.h").write_text(f"#define ANSWER {answer}\n")
        deb = self.repository / f"{PACKAGE}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, deb], check=True, capture_output=True)
        data = deb.read_bytes()
        (self.repository / "Packages").write_text(
            f"{control}Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
            "Description: An answer\n\n"
        )

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it on loopback and yield its line for sources.list."""
        handler = functools.partial(_Quiet, directory=str(self.repository))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"deb [trusted=yes] http://127.0.0.1:{server.server_port} ./"
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass
