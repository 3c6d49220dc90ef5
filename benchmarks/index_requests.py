"""Requests to index servers, side by side in one run: processor time and rate a request, and the ratios to the aims.

Run with `python benchmarks/index_requests.py [--quick]`; it needs wrk and nginx (apt-get install wrk nginx) and fetches
its peers (devpi, pypiserver, simple-repository-server, Django) into the user's cache. wrk asks on 32 connections (8 for
wheels of 50 MB), and goes over all projects and files in turn, so that no server lives from one hot page. The processor
time is the server's own, from the kernel. All servers have the same wheels, and are asked one after the other.
To reach: our page and JSON at most 1.5x the CPU of nginx's static file, 50x less than devpi and pypiserver, 25x less
than simple-repository-server; 12x the requests of Django, 23x by the exported pages; wheels at 3x nginx.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import index_peers as peers
import requests
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from index_peers import Server, Wheels

JSON = "application/vnd.pypi.simple.v1+json"
#: Of a server's first answers nothing is counted: its caches fill.
WARM_SECONDS = 1
_LUA = """
local paths = {{{paths}}}
local at = 0
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at], {{{headers}}})
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one round of requests showed."""

    cpu: float
    """Seconds of the server's processors a request."""
    rate: float
    """Requests a second."""
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every server."""

    name: str
    paths: Sequence[str]
    headers: str = ""
    needs_json: bool = False
    large: int = 0
    """Bytes of each answer, where it is so large that few are sent in a round: then bytes are counted, not answers."""


def ask(server: Server, question: Question, *, seconds: int, folder: Path) -> Sample:
    """Let wrk ask for some seconds; return what it cost."""
    script = folder / "wrk.lua"
    quoted = ",".join(f'"{path}"' for path in question.paths)
    script.write_text(_LUA.format(paths=quoted, headers=question.headers))
    place = urlsplit(server.pages)
    root = f"{place.scheme}://{place.netloc}"
    _wrk(root, script, WARM_SECONDS, large=question.large)
    before = server.cpu()
    count, errors = _wrk(root, script, seconds, large=question.large)
    return Sample(cpu=(server.cpu() - before) / max(count, 1), rate=count / seconds, errors=errors)


def _wrk(root: str, script: Path, seconds: int, *, large: int) -> tuple[float, int]:
    said = subprocess.run(
        ["wrk", "-t1", "-c8" if large else "-c32", f"-d{seconds}s", "--timeout", "30s", "-s", script, root],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    errors = sum(int(found) for found in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    if large:
        number, unit = re.search(r"([\d.]+)([KMG])B read", said).groups()  # type: ignore[union-attr]  # wrk always says it
        return float(number) * 1024 ** (1 + "KMG".index(unit)) / large, errors
    return int(re.search(r"(\d+) requests in", said)[1]), errors  # type: ignore[index]  # likewise


def questions(server: Server, wheels: Wheels, large: Wheels) -> list[Question]:
    """Return what is asked of a server: its own addresses, from its own pages."""
    base = urlsplit(server.pages).path
    pages = [f"{base}{name}/" for name in wheels.names]
    static = server.name.startswith("nginx")
    return [
        Question(name="page", paths=pages, headers='["Accept"]="text/html"'),
        Question(
            name="JSON",
            paths=[f"{page}index.json" for page in pages] if static else pages,
            headers=f'["Accept"]="{JSON}"',
            needs_json=True,
        ),
        Question(name="wheel", paths=files(server, wheels) if server.wheels else ()),
        Question(name="large wheel", paths=files(server, large) if server.large else (), large=large.size),
    ]


def files(server: Server, wheels: Wheels) -> list[str]:
    """Return the addresses of all files, as the pages of a server have them."""
    found = []
    with requests.Session() as session:
        for name in wheels.names:
            page = f"{server.pages}{name}/"
            text = session.get(page, headers={"Accept": "text/html"}, timeout=60).text
            links = re.findall(r'<a[^>]*href="([^"#]+)', text)
            found += [urlsplit(urljoin(page, link)).path for link in links if link.endswith(".whl")]
    return found


def compare(
    servers: Sequence[Server], wheels: Wheels, large: Wheels, *, rounds: int, seconds: int, folder: Path
) -> None:
    """Ask all servers in turn, and print medians and ratios."""
    asked = {server.name: questions(server, wheels, large) for server in servers}
    samples: dict[tuple[str, str], list[Sample]] = {}
    load = os.getloadavg()[0]
    for _ in range(rounds):
        for server in servers:
            for question in asked[server.name]:
                if question.paths and (server.json or not question.needs_json):
                    sample = ask(server, question, seconds=seconds, folder=folder)
                    samples.setdefault((server.name, question.name), []).append(sample)
    console = Console(width=140)
    for name in ("page", "JSON", "wheel", "large wheel"):
        ours = _medians(samples[servers[0].name, name])
        table = Table("server", "CPU us", "ours is", "requests/s", "errors", "caches", title=name)
        for server in servers:
            found = samples.get((server.name, name))
            if found:
                cpu, rate = _medians(found)
                ratio = f"{cpu / ours[0]:.2f}x cheaper" if cpu > ours[0] else f"{ours[0] / cpu:.2f}x dearer"
                ratio = "" if server is servers[0] else ratio
                errors = str(sum(sample.errors for sample in found))
                table.add_row(server.name, f"{cpu * 1e6:,.0f}", ratio, f"{rate:,.0f}", errors, server.says)
        console.print(table)
    memory = ", ".join(f"{server.name} {server.memory() / 2**20:.0f} MiB" for server in servers)
    console.print(f"memory at the end: {memory}", highlight=False)
    console.print(
        f"{wheels.projects:,} projects x {wheels.versions} wheels; medians of {rounds} rounds of {seconds} s, "
        f"{os.cpu_count()} processors (wrk takes its share), load before: {load:.1f}",
        highlight=False,
    )


def _medians(samples: Sequence[Sample]) -> tuple[float, float]:
    return statistics.median(sample.cpu for sample in samples), statistics.median(sample.rate for sample in samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer projects, one short round")
    parser.add_argument("--without-peers", action="store_true", help="nginx and wheelhouse only")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    rounds, seconds = (1, 2) if options.quick else (3, 5)
    with tempfile.TemporaryDirectory(prefix="index-") as name, ExitStack() as stack:
        folder = Path(name)
        wheels = peers.Wheels.make(folder / "wheels", projects=100 if options.quick else 1000, versions=5, size=30_000)
        large = peers.Wheels.make(folder / "large", projects=2, versions=1, size=50_000_000, prefix="large")
        peers.fill(wheels, folder)
        peers.fill(large, folder)
        public = peers.export(folder)
        contexts = [
            peers.wheelhouse(wheels, folder),
            peers.nginx(wheels, public, folder),
            peers.nginx(wheels, public, folder, handles=True),
        ]
        if not options.without_peers:
            contexts += [
                peers.django(wheels, public, folder),
                peers.simple_repository_server(wheels, folder),
                peers.devpi(wheels, folder),
                peers.pypiserver(wheels, folder),
            ]
        servers = [stack.enter_context(context) for context in contexts]
        compare(servers, wheels, large, rounds=rounds, seconds=seconds, folder=folder)


if __name__ == "__main__":
    main()
