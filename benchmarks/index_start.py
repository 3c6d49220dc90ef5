"""Start `wheelhouse serve` over stores of 5,000 and 500,000 files: seconds to the first answers, and memory.

Run with `python benchmarks/index_start.py`. The first answer must be there in under 1 s, with under 200 MB. A store of
each shape is made with its manifests; all files of it are one and the same bytes, because a server that starts looks at
no file. Each row is the best of three starts: the list of all projects, or a project's page, as the first request.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from wheelhouse.index.model import File, Manifest, Sha256, parse_project
from wheelhouse.index.stores.folder import FolderStore

STARTS = 3
BYTES = b"the bytes of every file"
#: Projects, and files of each.
SHAPES = ((1_000, 5), (1_000, 500), (100_000, 5))
PATTERN = "zzproject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a server came up."""

    first: float
    """Seconds from the start of the process until the first answer was read."""
    cpu: float
    """Seconds of processors until then."""
    next: float
    """Seconds of the same request, once more."""
    size: int
    """Bytes of the answer."""
    memory: int
    """Bytes, after both."""


def make_store(folder: Path, projects: int, files: int) -> None:
    """Write the manifests of a store."""
    store = FolderStore.open(folder)
    digest = Sha256(hashlib.sha256(BYTES).hexdigest())
    store.put_bytes(BYTES, digest)
    listed = tuple(
        File(
            filename=f"{PATTERN}-1.{number}-py3-none-any.whl",
            version=f"1.{number}",
            sha256=digest,
            size=len(BYTES),
            upload_time=datetime(2026, 1, 1, tzinfo=UTC),
            requires_python=">=3.9",
            core_metadata=digest,
        )
        for number in range(files)
    )
    text = Manifest(name=parse_project(PATTERN), files=listed).to_json()
    for number in range(projects):
        (folder / "projects" / f"project{number:06}.json").write_bytes(
            text.replace(PATTERN.encode(), f"project{number:06}".encode())
        )


def start(registry: Path, path: str) -> Start:
    """Start a server, ask for a path twice, and stop it."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        root = process.stderr.readline().split(" at ")[1].strip().removesuffix("/simple/")
        size = ask(f"{root}{path}")
        first = time.perf_counter() - begun
        times = psutil.Process(process.pid).cpu_times()
        begun = time.perf_counter()
        ask(f"{root}{path}")
        taken = time.perf_counter() - begun
        memory = psutil.Process(process.pid).memory_info().rss
        process.terminate()
    return Start(first=first, cpu=times.user + times.system, next=taken, size=size, memory=memory)


def ask(url: str) -> int:
    """Return the size of an answer, once there is one."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return len(answer.read())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.002)


def main() -> None:
    """Print a table."""
    table = Table("projects", "files", "first request", "first answer", "CPU", "again", "bytes", "memory")
    for projects, files in SHAPES:
        registry = Path(tempfile.mkdtemp(prefix="bench-start-"))
        try:
            (registry / "recipes").mkdir()
            (registry / "wheelhouse.toml").write_text("[mirror]\nenabled = false\n")
            make_store(registry / ".wheelhouse" / "index", projects, files)
            for path in ("/simple/", f"/simple/project{projects - 1:06}/"):
                best = min((start(registry, path) for _ in range(STARTS)), key=lambda one: one.first)
                table.add_row(
                    f"{projects:,}",
                    f"{projects * files:,}",
                    path,
                    f"{best.first:.2f} s",
                    f"{best.cpu:.2f} s",
                    f"{best.next * 1000:.1f} ms",
                    f"{best.size:,}",
                    f"{best.memory / 2**20:.0f} MB",
                )
        finally:
            shutil.rmtree(registry)
    console = Console()
    console.print(table)
    busy = ", ".join(f"{load:.1f}" for load in psutil.getloadavg())
    console.print(f"load of this machine: {busy} on {psutil.cpu_count()} processors")


if __name__ == "__main__":
    main()
