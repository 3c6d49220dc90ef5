"""Upload 500 wheels of 21 kB, side by side in one run; and bring in 500 that a server took while its bucket was down.

Run with `python benchmarks/index_uploads.py`. To reach: `wheelhouse publish` to `wheelhouse serve` at least 5x faster
than twine to pypiserver; the replay of 500 uploads in under 5 s, counted from the bucket's return (localbucket, in a
process of its own, on a folder). `TMPDIR` chooses the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import index_peers as peers
from rich.console import Console
from rich.table import Table
from uv import find_uv_bin

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from buckets import bucket_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil

COUNT = 500
SIZE = 21_000
_PATIENCE = 120.0


def token(registry: Path) -> str:
    """Return a token that may upload everything."""
    made = ["token", "create", f"bench{time.monotonic_ns()}", "--scope", "upload:*", "--scope", "metrics:*"]
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "--quiet", *made]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, Path, psutil.Process]]:
    """Serve an empty index; yield its root, its registry and its process."""
    registry, port = peers.registry_in(folder), peers.free_port()
    command = [sys.executable, "-m", "wheelhouse", "--registry", registry, "--quiet", "serve", "--no-mirror"]
    root = f"http://127.0.0.1:{port}"
    with peers.running(
        [*command, "--port", str(port), *options], answers=f"{root}/health", log=folder / "serve.log"
    ) as process:
        yield root, registry, process


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A client and a server: what starts the server, and the command to run then."""

    name: str
    begin: Callable[[Path, ExitStack], tuple[list[str], psutil.Process]]


def ways(wheels: Path) -> list[Way]:
    """Return the ways that are compared; each upload goes to a server that has nothing yet."""

    def pypiserver(folder: Path, stack: ExitStack) -> tuple[list[str], psutil.Process]:
        server = peers.Wheels(folder=folder / "packages", projects=0, versions=0, size=0)
        server.folder.mkdir()
        running = stack.enter_context(peers.pypiserver(server, folder))
        return [*twine(running.pages.removesuffix("simple/"), "a", "a"), *files(wheels)], running.process

    def ours_by(client: Callable[[str, str, Path], list[str]]) -> Callable[..., tuple[list[str], psutil.Process]]:
        def begin(folder: Path, stack: ExitStack) -> tuple[list[str], psutil.Process]:
            root, registry, process = stack.enter_context(serving(folder))
            return [*client(f"{root}/legacy/", token(registry), registry), *files(wheels)], process

        return begin

    return [
        Way(name="twine to pypiserver", begin=pypiserver),
        Way(name="twine to wheelhouse", begin=ours_by(lambda url, secret, _: twine(url, "__token__", secret))),
        Way(name="uv publish to wheelhouse", begin=ours_by(uv)),
        Way(name="wheelhouse publish to wheelhouse", begin=ours_by(wheelhouse)),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds of one run."""

    wall: float
    client: float
    """CPU, as the next one."""
    server: float


def run(way: Way, room: Path) -> Took:
    """Upload all wheels once."""
    folder = Path(tempfile.mkdtemp(dir=room))
    with ExitStack() as stack:
        command, process = way.begin(folder, stack)
        server = peers.Server(name=way.name, pages="", process=process)
        before, begun = server.cpu(), time.monotonic()
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{way.name} failed")
        return Took(wall=wall, client=usage.ru_utime + usage.ru_stime, server=server.cpu() - before)


def uploads(wheels: Path, room: Path, *, rounds: int) -> None:
    """Compare in turn, and print medians."""
    load = os.getloadavg()[0]
    compared = ways(wheels)
    took: dict[str, list[Took]] = {way.name: [] for way in compared}
    for _ in range(rounds):
        for way in compared:
            took[way.name].append(run(way, room))
    table = Table(
        *("", "wall s", "spread", "to the first", "client CPU s", "server CPU s", "both, ms an upload"),
        title=f"{len(list(wheels.glob('*.whl')))} wheels of {SIZE:,} bytes",
    )
    medians = {
        name: Took(**{part: statistics.median(getattr(one, part) for one in found) for part in Took.__slots__})
        for name, found in took.items()
    }
    first = medians[compared[0].name].wall
    for name, median in medians.items():
        walls = [one.wall for one in took[name]]
        table.add_row(
            name,
            f"{median.wall:.2f}",
            f"{min(walls):.2f} to {max(walls):.2f}",
            f"{first / median.wall:.2f}x less",
            f"{median.client:.2f}",
            f"{median.server:.2f}",
            f"{(median.client + median.server) / COUNT * 1000:.1f}",
        )
    Console(width=120).print(table)
    print(f"medians of {rounds} runs in turn, {os.cpu_count()} processors, load before: {load:.1f}")


def uv(address: str, secret: str, registry: Path) -> list[str]:  # noqa: ARG001 - as `wheelhouse`
    """Return uv's command line."""
    return [find_uv_bin(), "publish", "--quiet", "--publish-url", address, "-t", secret]


def wheelhouse(address: str, secret: str, registry: Path) -> list[str]:
    """Return our own."""
    command = ["env", "TWINE_USERNAME=__token__", f"TWINE_PASSWORD={secret}", sys.executable, "-m", "wheelhouse"]
    return [*command, "--registry", str(registry), "--quiet", "publish", "--index-url", address]


def twine(address: str, user: str, password: str) -> list[str]:
    """Return twine's command line, without its progress bars."""
    command = [sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    return [*command, "-u", user, "-p", password, "--repository-url", address]


def files(wheels: Path) -> list[str]:
    """Return the wheels' paths."""
    return [os.fspath(path) for path in sorted(wheels.glob("*.whl"))]


def replay(wheels: Path, room: Path, *, rounds: int) -> None:
    """Upload while the bucket is down; tell how long it takes until it has everything."""
    took = [_replay(wheels, Path(tempfile.mkdtemp(dir=room))) for _ in range(rounds)]
    accepted, brought, cpu = (statistics.median(one) for one in zip(*took, strict=True))
    Console(width=120).print(
        f"{COUNT} uploads, all of their own projects, taken in {accepted:.1f} s while the bucket was down; "
        f"in the bucket {brought:.2f} s after its return ({cpu:.2f} s of the server's CPU): medians of {rounds}",
        highlight=False,
    )


def _replay(wheels: Path, folder: Path) -> tuple[float, float, float]:
    """Return the seconds that the uploads and the replay took, and the server's CPU seconds for the replay."""
    with ExitStack() as stack:
        port = peers.free_port()
        (folder / "data" / "wheels").mkdir(parents=True)
        os.environ.update(bucket_environment(port))
        bucket = stack.enter_context(ExitStack())
        bucket.enter_context(_bucket(folder, port))
        root, registry, process = stack.enter_context(serving(folder, "--store", "s3://wheels/index"))
        secret = token(registry)
        bucket.close()
        begun = time.monotonic()
        command = [*wheelhouse(f"{root}/legacy/", secret, registry), *files(wheels)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        accepted = time.monotonic() - begun
        assert _waiting(root, secret) == COUNT, _waiting(root, secret)
        server = peers.Server(name="", pages="", process=process)
        cpu = server.cpu()
        stack.enter_context(_bucket(folder, port))
        begun = time.monotonic()
        while _waiting(root, secret) and time.monotonic() - begun < _PATIENCE:
            time.sleep(0.02)
        return accepted, time.monotonic() - begun, server.cpu() - cpu


@contextmanager
def _bucket(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "localbucket", "--port", str(port), folder / "data"]
    with peers.running(command, answers=f"http://127.0.0.1:{port}/", log=folder / "bucket.log"):
        yield


def _waiting(root: str, secret: str) -> int:
    request = urllib.request.Request(f"{root}/metrics", headers={"Authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        lines = response.read().decode().splitlines()
    return int(
        sum(float(line.split()[-1]) for line in lines if line.startswith('wheelhouse_spool_items{state="waiting"}'))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--versions", type=int, default=1, help="of each project")
    arguments = parser.parse_args()
    rounds, versions = arguments.rounds, arguments.versions
    # Nothing is removed before the end: ext4 looks at each file that was just removed before it makes a new one, which
    # made the fourth round three times slower than the first.
    with tempfile.TemporaryDirectory(prefix="uploads-") as name:
        place = Path(name) / "wheels"
        place.mkdir()
        wheels = peers.Wheels.make(place, projects=COUNT // versions, versions=versions, size=SIZE)
        uploads(wheels.folder, Path(name), rounds=rounds)
        replay(wheels.folder, Path(name), rounds=rounds)
    print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
