"""Upload 500 wheels of 21 kB, side by side in one run; and bring in 500 that a server took while its bucket was down.

Run with `python benchmarks/index_uploads.py`. To reach: `wheelhouse publish` to `wheelhouse serve` at least 5x faster
than twine to pypiserver; the replay of 500 uploads in under 5 s, counted from the bucket's return (localbucket, in a
process of its own, on a folder).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import index_peers as peers
from measure import Contender, compare
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from buckets import bucket_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def uploads(wheels: Path, *, rounds: int) -> None:
    """Compare clients and servers: each upload goes to a server that has nothing yet."""
    with ExitStack() as stack:

        def fresh(folder: Path) -> tuple[str, str]:
            root, registry, _ = stack.enter_context(serving(folder))
            return root, token(registry)

        def pypiserver(folder: Path) -> list[str]:
            server = peers.Wheels(folder=folder / "packages", projects=0, versions=0, size=0)
            server.folder.mkdir()
            running = stack.enter_context(peers.pypiserver(server, folder))
            address = running.pages.removesuffix("simple/")
            return [*twine(address, "a", "a"), *files(wheels)]

        def ours_by_twine(folder: Path) -> list[str]:
            root, secret = fresh(folder)
            return [*twine(f"{root}/legacy/", "__token__", secret), *files(wheels)]

        def ours_by_uv(folder: Path) -> list[str]:
            root, secret = fresh(folder)
            return ["uv", "publish", "--quiet", "--publish-url", f"{root}/legacy/", "-t", secret, *files(wheels)]

        def ours(folder: Path) -> list[str]:
            root, secret = fresh(folder)
            command = [sys.executable, "-m", "wheelhouse", "--registry", str(folder / "registry"), "publish"]
            return [
                "env",
                "TWINE_USERNAME=__token__",
                f"TWINE_PASSWORD={secret}",
                *command,
                "--index-url",
                f"{root}/legacy/",
                *files(wheels),
            ]

        compare(
            f"{COUNT} wheels of {SIZE:,} bytes: seconds of the client",
            [
                Contender(name="twine to pypiserver", command=pypiserver),
                Contender(name="twine to wheelhouse", command=ours_by_twine),
                Contender(name="uv publish to wheelhouse", command=ours_by_uv),
                Contender(name="wheelhouse publish to wheelhouse", command=ours),
            ],
            rounds=rounds,
        )


def twine(address: str, user: str, password: str) -> list[str]:
    """Return twine's command line, without its progress bars."""
    command = [sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    return [*command, "-u", user, "-p", password, "--repository-url", address]


def files(wheels: Path) -> list[str]:
    """Return the wheels' paths."""
    return [os.fspath(path) for path in sorted(wheels.glob("*.whl"))]


def replay(wheels: Path) -> None:
    """Upload while the bucket is down; tell how long it takes until it has everything."""
    with tempfile.TemporaryDirectory(prefix="replay-") as name, ExitStack() as stack:
        folder, port = Path(name), peers.free_port()
        (folder / "data" / "wheels").mkdir(parents=True)
        os.environ.update(bucket_environment(port))
        bucket = stack.enter_context(ExitStack())
        bucket.enter_context(_bucket(folder, port))
        root, registry, process = stack.enter_context(serving(folder, "--store", "s3://wheels/index"))
        secret = token(registry)
        bucket.close()
        command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "publish"]
        environment = {**os.environ, "TWINE_USERNAME": "__token__", "TWINE_PASSWORD": secret}
        begun = time.monotonic()
        subprocess.run([*command, "--index-url", f"{root}/legacy/", *files(wheels)], check=True, env=environment)
        accepted = time.monotonic() - begun
        assert _waiting(root, secret) == COUNT, _waiting(root, secret)
        cpu = peers.Server(name="", pages="", process=process).cpu()
        stack.enter_context(_bucket(folder, port))
        begun = time.monotonic()
        while _waiting(root, secret) and time.monotonic() - begun < _PATIENCE:
            time.sleep(0.02)
        took = time.monotonic() - begun
        cpu = peers.Server(name="", pages="", process=process).cpu() - cpu
        Console().print(
            f"{COUNT} uploads, all of their own projects, taken in {accepted:.1f} s while the bucket was down; "
            f"in the bucket {took:.2f} s after its return ({cpu:.2f} s of the server's CPU)",
            highlight=False,
        )


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
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="uploads-") as name:
        wheels = peers.Wheels.make(Path(name), projects=COUNT, versions=1, size=SIZE)
        uploads(wheels.folder, rounds=rounds)
        replay(wheels.folder)
    print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
