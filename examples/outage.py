"""Kill an index's backends while it is used, and count what its clients notice: `python examples/outage.py`.

An S3 server (localbucket), a server that speaks MongoDB's protocol (secantusdb) and `wheelhouse serve` over both.
Uploaders (twine) and readers keep on; both backends are killed, and come back. In the end every upload that was
acknowledged is looked for, in the bucket and in the database.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pymongo import MongoClient
from rich.console import Console
from rich.live import Live
from rich.table import Table
from twine.package import PackageFile
from twine.settings import Settings

from wheelhouse.index.model import parse_project
from wheelhouse.index.stores.opening import open_store
from wheelhouse.spool import Spool

BUCKET = "s3://wheels/index"
TICK = 0.25


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything."""

    uploaders: int
    readers: int
    before: float
    """Seconds until the backends are killed."""
    down: float
    """Seconds until they come back."""
    after: float
    """Seconds that clients go on then."""
    patience: float = 60.0
    """Seconds that the replay may take."""


@dataclass(kw_only=True)
class Seen:
    """What the clients have seen. Each list is only added to."""

    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    """Project, filename, sha256."""
    reads: int = 0
    troubles: list[str] = field(default_factory=list)
    slowest_upload: float = 0.0
    slowest_read: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Index:
    """Where `wheelhouse serve` is, and what lets one upload."""

    url: str
    token: str


class Backend:
    """A server as a process of its own, to be killed and started again over the same folder."""

    def __init__(self, name: str, port: int, *words: str) -> None:
        self.name = name
        self._port = port
        self._command = [sys.executable, "-m", *words]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def up(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port(self._port, time.monotonic() + 20, self.name)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def await_port(port: int, deadline: float, name: str) -> None:
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{name} does not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_wheel(folder: Path, project: str, version: str) -> Path:
    """Write a small wheel with random bytes in it."""
    path = folder / f"{project}-{version}-py3-none-any.whl"
    info = f"{project}-{version}.dist-info"
    members = {
        f"{project}.py": f"BYTES = {os.urandom(2000).hex()!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: outage\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in members.items()}
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(members[name])}"
        for name, digest in digests.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**members, f"{info}/RECORD": "\n".join([*rows, f"{info}/RECORD,,", ""])}.items():
            archive.writestr(name, text)
    return path


def keep_uploading(index: Index, folder: Path, project: str, seen: Seen, stop: threading.Event) -> None:
    """Upload one version after the other with twine."""
    repository = Settings(
        repository_url=f"{index.url}/legacy/",
        username="__token__",
        password=index.token,
        non_interactive=True,
        disable_progress_bar=True,
    ).create_repository()
    for number in itertools.count():
        if stop.is_set():
            return
        wheel = make_wheel(folder, project, f"1.{number}")
        began = time.monotonic()
        try:
            repository.upload(PackageFile.from_filename(str(wheel), None)).raise_for_status()
        except requests.RequestException as error:
            seen.troubles.append(f"upload of {wheel.name}: {error}")
        else:
            sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
            seen.acknowledged.append((project, wheel.name, sha256))
        seen.slowest_upload = max(seen.slowest_upload, time.monotonic() - began)


def keep_reading(url: str, seen: Seen, stop: threading.Event) -> None:
    """Read the page of what was acknowledged last, and something that was acknowledged before."""
    session = requests.Session()
    for number in itertools.count():
        if stop.is_set():
            return
        if not seen.acknowledged:
            time.sleep(0.05)
            continue
        began = time.monotonic()
        project, last, _ = seen.acknowledged[-1]
        _, filename, sha256 = seen.acknowledged[number * 7919 % len(seen.acknowledged)]
        try:
            page = session.get(f"{url}/simple/{project}/", timeout=30)
            file = session.get(f"{url}/files/{sha256[:2]}/{sha256}/{filename}", timeout=30)
        except requests.RequestException as error:
            seen.troubles.append(f"read of {filename}: {error}")
            continue
        if page.status_code != requests.codes.ok or last not in page.text:
            seen.troubles.append(f"the page of {project} ({page.status_code}) does not list {last}")
        if file.status_code != requests.codes.ok or hashlib.sha256(file.content).hexdigest() != sha256:
            seen.troubles.append(f"{filename} ({file.status_code}) is not what was uploaded")
        seen.reads += 2
        seen.slowest_read = max(seen.slowest_read, (time.monotonic() - began) / 2)
        time.sleep(0.02)


class Show:
    """The screen."""

    def __init__(self, backends: list[Backend], seen: Seen, spool: Spool) -> None:
        self._backends = backends
        self._seen = seen
        self._spool = spool
        self._began = time.monotonic()

    def __rich__(self) -> Table:
        table = Table(title=f"after {time.monotonic() - self._began:.0f} s", title_justify="left", min_width=60)
        table.add_column("what")
        table.add_column("now", justify="right", min_width=14)
        for backend in self._backends:
            table.add_row(backend.name, "[green]up" if backend.up else "[bold red]killed")
        stats = self._spool.stats()
        table.add_row("uploads acknowledged", str(len(self._seen.acknowledged)))
        table.add_row("pages and files read", str(self._seen.reads))
        table.add_row("waiting in the spool", f"[yellow]{stats.waiting}" if stats.waiting else "0")
        table.add_row("troubles that clients saw", f"[red]{len(self._seen.troubles)}" if self._seen.troubles else "0")
        return table


def wait(live: Live, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(TICK)
        live.refresh()


def drain(live: Live, spool: Spool, target: str, patience: float) -> None:
    """Wait until nothing waits for a target."""
    deadline = time.monotonic() + patience
    while spool.count(target):
        if time.monotonic() > deadline:
            raise SystemExit(f"after {patience:.0f} s, {spool.count(target)} items still wait for {target}")
        wait(live, TICK)


def run(plan: Plan, console: Console) -> bool:
    """Show it; say whether all went well."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wheelhouse-outage-")))
        for name in ("buckets/wheels", "recipes", "made"):
            (folder / name).mkdir(parents=True)
        (folder / "wheelhouse.toml").touch()
        s3, mongo = free_port(), free_port()
        os.environ.update(
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{s3}",
            WHEELHOUSE_AUDIT_MONGODB=f"mongodb://127.0.0.1:{mongo}/audited",
        )
        mongo_words = ("--storage-path", str(folder / "mongo"), "--sync-on-commit")
        backends = [
            Backend("S3 (localbucket)", s3, "localbucket", "--port", str(s3), str(folder / "buckets")),
            Backend("MongoDB protocol (secantusdb)", mongo, "secantus", "--port", str(mongo), *mongo_words),
        ]
        for backend in backends:
            stack.callback(backend.kill)
            backend.start()
        index = serve(folder, stack)
        spool, seen, stop = (
            stack.enter_context(Spool(folder / ".wheelhouse" / "index-spool")),
            Seen(),
            threading.Event(),
        )
        clients = [
            threading.Thread(target=keep_uploading, args=(index, folder / "made", f"project{number}", seen, stop))
            for number in range(plan.uploaders)
        ] + [threading.Thread(target=keep_reading, args=(index.url, seen, stop)) for _ in range(plan.readers)]
        with Live(Show(backends, seen, spool), console=console, auto_refresh=False) as live:
            for client in clients:
                client.start()
            try:
                wait(live, plan.before)
                for backend in backends:
                    backend.kill()
                wait(live, plan.down)
                pending = {item.id for item in spool.items()}
                for backend in backends:
                    backend.start()
                back = time.monotonic()
                while pending & {item.id for item in spool.items()} and time.monotonic() - back < plan.patience:
                    wait(live, TICK)
                replayed = time.monotonic() - back
                wait(live, plan.after)
            finally:
                stop.set()
                for client in clients:
                    client.join()
            for target in ("store", "audit"):
                drain(live, spool, target, plan.patience)
            console.print(
                f"{len(pending)} uploads and records waited when the backends came back; {replayed:.1f} s later, with"
                " uploads going on, all of them were delivered"
            )
        return judge(seen, mongo, console)


def serve(folder: Path, stack: ExitStack) -> Index:
    """Start the index."""
    command = [
        *(sys.executable, "-m", "wheelhouse", "--registry", str(folder), "serve", "--port", "0", "--store", BUCKET),
        "--no-mirror",
    ]
    words = ["--registry", str(folder), "token", "create", "uploaders", "--scope", "upload:*"]
    token = subprocess.run([sys.executable, "-m", "wheelhouse", *words], check=True, capture_output=True, text=True)
    log = stack.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(command, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"at (http://\S+)/simple/", (folder / "log").read_text("utf-8"))
        if found:
            place = urlsplit(found[1])
            await_port(int(place.port or 0), deadline, "the index")
            return Index(url=found[1], token=token.stdout.strip())
        time.sleep(0.05)
    raise SystemExit(f"the index does not start:\n{(folder / 'log').read_text('utf-8')}")


def judge(seen: Seen, mongo: int, console: Console) -> bool:
    """Hold the bucket and the database against what was acknowledged."""
    store = open_store(BUCKET)
    lost = doubled = disorder = 0
    for project in sorted({project for project, _, _ in seen.acknowledged}):
        manifest = store.read_manifest(parse_project(project))
        files = sorted(manifest.files, key=lambda file: file.upload_time) if manifest else []
        promised = [(name, sha256) for of, name, sha256 in seen.acknowledged if of == project]
        there = [(file.filename, str(file.sha256)) for file in files]
        bytes_there = {str(file.sha256) for file in files if store.find_blob(file.sha256) is not None}
        lost += sum(one not in there or one[1] not in bytes_there for one in promised)
        doubled += len(there) - len(set(there))
        disorder += [one for one in there if one in promised] != promised
    client: MongoClient[dict[str, Any]] = MongoClient(f"mongodb://127.0.0.1:{mongo}")
    with client:
        records = Counter(f"{record['sha256']}:{record['filename']}" for record in client["audited"]["uploads"].find())
    unrecorded = sum(f"{sha256}:{name}" not in records for _, name, sha256 in seen.acknowledged)
    twice = sum(count - 1 for count in records.values())
    table = Table(title="what became of it", title_justify="left", min_width=60)
    table.add_column("")
    table.add_column("count", justify="right")
    rows = {
        "uploads acknowledged": len(seen.acknowledged),
        "lost in the store": lost,
        "doubled in the store": doubled,
        "projects out of order": disorder,
        "without a record in the database": unrecorded,
        "recorded twice": twice,
        "troubles that clients saw": len(seen.troubles),
        "slowest upload, ms": round(seen.slowest_upload * 1000),
        "slowest read, ms": round(seen.slowest_read * 1000),
    }
    for name, count in rows.items():
        table.add_row(name, str(count))
    console.print(table)
    for trouble in seen.troubles[:10]:
        console.print(f"[red]{trouble}")
    return not (lost or doubled or disorder or unrecorded or twice or seen.troubles) and bool(seen.acknowledged)


def main() -> int:
    """Read the arguments, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploaders", type=int, default=4)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--before", type=float, default=4, metavar="SECONDS", help="until the backends are killed")
    parser.add_argument("--down", type=float, default=10, metavar="SECONDS", help="until they come back")
    parser.add_argument("--after", type=float, default=5, metavar="SECONDS", help="that the clients go on then")
    plan, console = Plan(**vars(parser.parse_args())), Console(file=sys.stdout)
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):  # twine says what it uploads
        return 0 if run(plan, console) else 1


if __name__ == "__main__":
    sys.exit(main())
