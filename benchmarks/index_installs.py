"""Install twenty packages of the configured index directly, through a cold mirror and through a warm one.

Run with `python benchmarks/index_installs.py [uv] [pip]`. Through a warm mirror it must take no longer than directly,
through a cold one at most 1.15 times as long. The clients are uv and pip, with no cache and no configuration but the
index: uv installs, pip downloads. A cold mirror has nothing of an index on its disk and in memory, and came up three
seconds before; a warm one has served the same client once. Rounds are taken in turn, and medians are compared; how near
the index is decides what a mirror can win, so the table says how long one page of it takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from index_peers import Server, free_port, registry_in, running
from measure import Contender, measure
from rich.console import Console
from rich.table import Table
from uv import find_uv_bin

from wheelhouse.config import Config, index_url

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
CLIENTS = ["uv", "pip"]
#: Seconds in which a server gets ready for what it may be asked.
SETTLED = 3.0
#: All have wheels; half of the bytes are in compiled ones.
PACKAGES = (
    "attrs==25.3.0",
    "blinker==1.9.0",
    "certifi==2025.8.3",
    "charset-normalizer==3.4.3",
    "click==8.2.1",
    "flask==3.1.2",
    "idna==3.10",
    "itsdangerous==2.2.0",
    "jinja2==3.1.6",
    "markdown-it-py==4.0.0",
    "markupsafe==3.0.2",
    "mdurl==0.1.2",
    "numpy==2.3.2",
    "packaging==25.0",
    "pygments==2.19.2",
    "pyyaml==6.0.2",
    "requests==2.32.5",
    "rich==14.1.0",
    "urllib3==2.5.0",
    "werkzeug==3.1.3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One install."""

    wall: float
    """Seconds."""
    client: float
    """CPU seconds."""
    server: float
    """CPU seconds of the mirror meanwhile."""
    memory: int
    """Bytes that the mirror holds afterwards."""


def client(name: str, index: str) -> Contender:
    """Return a client of an index, free of what is configured on this machine."""
    wanted = ["--index-url", index, "--only-binary", ":all:", *PACKAGES]
    environment = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    if name == "uv":
        command = [find_uv_bin(), "pip", "install", "--no-cache", "--no-config", "--python", sys.executable]
        return Contender(name=name, command=lambda folder: [*command, "--target", str(folder / "to"), *wanted])
    command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    return Contender(
        name=name, command=lambda folder: [*command, "--dest", str(folder / "to"), *wanted], environment=environment
    )


@contextmanager
def mirror() -> Iterator[Server]:
    """Serve an index that has nothing yet."""
    with tempfile.TemporaryDirectory(prefix="bench-mirror-") as place:
        folder, port = Path(place), free_port()
        command = [sys.executable, "-m", "wheelhouse", "--registry", registry_in(folder), "--quiet", "serve"]
        root = f"http://127.0.0.1:{port}"
        with running([*command, "--port", str(port)], answers=f"{root}/simple/", log=folder / "log") as process:
            time.sleep(SETTLED)
            yield Server(name="wheelhouse", pages=f"{root}/simple/", process=process)


def directly(name: str, index: str) -> Installed:
    """Install without a mirror."""
    run = measure(client(name, index))
    return Installed(wall=run.wall, client=run.cpu, server=0, memory=0)


def through(server: Server, name: str) -> Installed:
    """Install through a mirror."""
    before = server.cpu()
    run = measure(client(name, server.pages))
    return Installed(wall=run.wall, client=run.cpu, server=server.cpu() - before, memory=server.memory())


def rounds(name: str, index: str) -> dict[str, list[Installed]]:
    """Install in each way, in turn."""
    found: dict[str, list[Installed]] = {"directly": [], "cold mirror": [], "warm mirror": []}
    directly(name, index)  # whatever is between us and the index, and this machine's own caches, are warm for all
    for _ in range(ROUNDS):
        found["directly"].append(directly(name, index))
        with mirror() as server:
            found["cold mirror"].append(through(server, name))
            found["warm mirror"].append(through(server, name))
    return found


def page_time(index: str) -> float:
    """Return the seconds that one page of an index takes, connecting included."""
    begun = time.perf_counter()
    with urllib.request.urlopen(f"{index}idna/", timeout=60) as answer:
        answer.read()
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print a table."""
    console = Console()
    index = index_url(Config(), os.environ).rstrip("/") + "/"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", nargs="*", choices=CLIENTS, default=CLIENTS)
    wanted = parser.parse_args().client
    table = Table("client", "way", "wall s", "least", "most", "ratio", "client CPU s", "mirror CPU s", "mirror MB")
    load, page = os.getloadavg()[0], statistics.median(page_time(index) for _ in range(5))
    for name in wanted:
        base = 0.0
        for way, found in rounds(name, index).items():
            wall = statistics.median(one.wall for one in found)
            base = base or wall
            table.add_row(
                name,
                way,
                f"{wall:.2f}",
                f"{min(one.wall for one in found):.2f}",
                f"{max(one.wall for one in found):.2f}",
                f"{wall / base:.2f}x",
                f"{statistics.median(one.client for one in found):.2f}",
                f"{statistics.median(one.server for one in found):.2f}",
                f"{statistics.median(one.memory for one in found) / 2**20:.0f}",
            )
    console.print(table)
    version = subprocess.run([find_uv_bin(), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    console.print(
        f"{len(PACKAGES)} packages, medians of {ROUNDS}, a page of the index in {page * 1000:.0f} "
        f"ms, {version}, {psutil.cpu_count()} processors, load before: {load:.1f}",
        highlight=False,
    )


if __name__ == "__main__":
    main()
