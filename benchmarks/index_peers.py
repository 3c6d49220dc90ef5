"""Index servers to compare: each started over the same wheels on a free port, with its processes known for accounting.

Peers live in an environment of their own, made once in the user's cache: they need other libraries than we do.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import requests
from uv import find_uv_bin

from wheelhouse.config import user_cache
from wheelhouse.index.changes.repository import NewFile, Repository
from wheelhouse.index.changes.wheelfile import Bounds, read_wheel
from wheelhouse.index.model import FileName
from wheelhouse.index.stores.opening import open_store
from wheelhouse.wheel import sha256_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PEERS = ("devpi-server", "django", "gunicorn", "passlib", "pypiserver", "setuptools<81", "simple-repository-server")
TAG = "cp311-cp311-manylinux_2_17_x86_64"
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """Projects, with as many versions of one size each."""

    folder: Path
    projects: int
    versions: int
    size: int
    """Of each, about."""
    prefix: str = "project"

    @classmethod
    def make(cls, folder: Path, *, projects: int, versions: int, size: int, prefix: str = "project") -> Wheels:
        """Write the wheels; what they hold cannot be compressed."""
        for number in range(projects):
            for version in range(versions):
                files = {f"p{number}.py": os.urandom(max(size - 700, 10))}
                SmallWheel(name=f"{prefix}_{number:04}", version=f"1.{version}", tag=TAG, files=files).write(folder)
        return cls(folder=folder, projects=projects, versions=versions, size=size, prefix=prefix)

    @property
    def names(self) -> list[str]:
        """Names of the projects, normalised."""
        return [f"{self.prefix}-{number:04}" for number in range(self.projects)]

    def wheel(self, project: str, version: int) -> Path:
        """Return one file."""
        wheel = SmallWheel(name=project.replace("-", "_"), version=f"1.{version}", tag=TAG)
        return self.folder / wheel.filename


@dataclass(slots=True, kw_only=True)
class Server:
    """A server that answers."""

    name: str
    pages: str
    """Its Simple API root, with a slash at its end."""
    process: psutil.Process
    json: bool = True
    """Whether it has the JSON form."""
    wheels: bool = True
    """Whether it has the files, or pages alone."""
    large: bool = False
    """Whether it has the large wheels too."""
    says: str = ""
    """What it caches, for the table."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def cpu(self) -> float:
        """Return the seconds that its processes have used."""
        found = [self.process, *self.process.children(recursive=True)]
        total = 0.0
        for process in found:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def memory(self) -> int:
        """Return the bytes that its processes hold."""
        return sum(process.memory_info().rss for process in [self.process, *self.process.children(recursive=True)])


def peers_python() -> Path:
    """Return the Python of the peers' environment, made now if it is not there."""
    folder = user_cache(os.environ) / "benchmark-peers"
    python = folder / "bin/python"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", python, *PEERS], check=True)
        (folder / "done").touch()
    return python


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path], *, answers: str, log: Path, cwd: Path | None = None
) -> Iterator[psutil.Process]:
    """Run a server until the context ends; it is ready when `answers` does."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
        process = psutil.Process(child.pid)
        try:
            _await(answers, child, log)
            yield process
        finally:
            for one in [*process.children(recursive=True), process]:
                one.kill()
            child.wait()


def _await(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"{child.args} ended:\n{log.read_text(errors='replace')[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                response.read()
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"{url} does not answer")


@contextmanager
def wheelhouse(wheels: Wheels, folder: Path) -> Iterator[Server]:
    """Serve by wheelhouse, over the store that `fill` has filled."""
    port = free_port()
    command = [sys.executable, "-m", "wheelhouse", "--registry", registry_in(folder), "--quiet", "serve"]
    command += ["--no-mirror", "--port", str(port)]
    pages = f"http://127.0.0.1:{port}/simple/"
    with running(command, answers=f"{pages}{wheels.names[0]}/", log=folder / "wheelhouse.log") as process:
        yield Server(name="wheelhouse", pages=pages, process=process, large=True, says="pages, in memory")


def registry_in(folder: Path) -> Path:
    """Return the registry whose index is served, made now if it is not there."""
    registry = folder / "registry"
    (registry / "recipes").mkdir(parents=True, exist_ok=True)
    (registry / "wheelhouse.toml").write_text('[serve]\nstore = "store"\n')
    return registry


def fill(wheels: Wheels, folder: Path) -> None:
    """Put all wheels into the store of wheelhouse, as uploads would."""
    repository = Repository(store=open_store(str(registry_in(folder) / "store")))
    for project in wheels.names:
        arrivals = []
        for version in range(wheels.versions):
            path = wheels.wheel(project, version)
            name = FileName.parse(path.name)
            with path.open("rb") as file:
                metadata = read_wheel(file, name, bounds=Bounds()).metadata
            new = NewFile(name=name, sha256=sha256_of(path), size=path.stat().st_size, metadata=metadata)
            arrivals.append((new, path))
        repository.add_files(arrivals)


def export(folder: Path) -> Path:
    """Export the pages of the store as static files, by the command that users have."""
    public = folder / "public"
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry_in(folder)), "--quiet"]
    subprocess.run([*command, "index", "export", str(public)], check=True)
    return public


_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; user {user};
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; {cache}
  types {{ text/html html; }} default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port}; root {public}; index index.html; }}
}}
"""


@contextmanager
def nginx(wheels: Wheels, public: Path, folder: Path, *, handles: bool = False) -> Iterator[Server]:
    """Serve exported pages by nginx as it comes, or with `handles` of files kept open."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed: apt-get install nginx")
    port = free_port()
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
    folder = folder / ("nginx-handles" if handles else "nginx")
    folder.mkdir()
    config = folder / "nginx.conf"
    cache = "open_file_cache max=20000 inactive=60s;" if handles else ""
    config.write_text(_NGINX.format(folder=folder, port=port, public=public, user=user, cache=cache))
    pages = f"http://127.0.0.1:{port}/simple/"
    command = [program, "-c", config, "-p", folder]
    with running(command, answers=f"{pages}{wheels.names[0]}/", log=folder / "nginx.log") as process:
        says = "static files, their handles" if handles else "static files"
        name = "nginx, open_file_cache" if handles else "nginx, exported pages"
        yield Server(name=name, pages=pages, process=process, large=True, says=says)


@contextmanager
def pypiserver(wheels: Wheels, folder: Path) -> Iterator[Server]:
    """Serve the folder of wheels by pypiserver, with its cache."""
    port = free_port()
    command = [peers_python().parent / "pypi-server", "run", "-p", str(port), "-i", "127.0.0.1", "--disable-fallback"]
    command += ["--backend", "auto", "-P", ".", "-a", ".", wheels.folder]
    pages = f"http://127.0.0.1:{port}/simple/"
    answers = f"{pages}{wheels.names[0]}/" if wheels.names else pages
    with running(command, answers=answers, log=folder / "pypiserver.log") as process:
        says = "list of files cached where watchdog is installed"
        yield Server(name="pypiserver", pages=pages, process=process, json=False, says=says)


@contextmanager
def simple_repository_server(wheels: Wheels, folder: Path) -> Iterator[Server]:
    """Serve by simple-repository-server, from one folder a project."""
    root = folder / "by-project"
    for project in wheels.names:
        (root / project).mkdir(parents=True)
        for version in range(wheels.versions):
            path = wheels.wheel(project, version)
            (root / project / path.name).hardlink_to(path)
    port = free_port()
    command = [peers_python().parent / "simple-repository-server", "--host", "127.0.0.1", "--port", str(port), root]
    pages = f"http://127.0.0.1:{port}/simple/"
    with running(command, answers=f"{pages}{wheels.names[0]}/", log=folder / "srs.log") as process:
        yield Server(name="simple-repository-server", pages=pages, process=process, says="hashes of files")


@contextmanager
def devpi(wheels: Wheels, folder: Path) -> Iterator[Server]:
    """Serve by devpi, after uploading everything to it."""
    programs, state, port = peers_python().parent, folder / "devpi", free_port()
    subprocess.run([programs / "devpi-init", "--serverdir", state, "--no-root-pypi"], check=True, capture_output=True)
    root = f"http://127.0.0.1:{port}"
    command = [programs / "devpi-server", "--serverdir", state, "--host", "127.0.0.1", "--port", str(port)]
    with running(command, answers=f"{root}/+api", log=folder / "devpi.log") as process:
        _upload_to_devpi(wheels, root)
        yield Server(name="devpi", pages=f"{root}/root/dev/+simple/", process=process, says="links of a project")


def _upload_to_devpi(wheels: Wheels, root: str) -> None:
    with requests.Session() as session:
        login = session.post(f"{root}/+login", json={"user": "root", "password": ""}, timeout=60).json()["result"]
        token = base64.b64encode(f"root:{login['password']}".encode()).decode()
        session.headers["X-Devpi-Auth"] = token  # a password would be hashed anew for each upload
        session.put(f"{root}/root/dev", json={"bases": [], "type": "stage"}, timeout=60).raise_for_status()
        for project in wheels.names:
            for version in range(wheels.versions):
                path = wheels.wheel(project, version)
                data = {":action": "file_upload", "name": project, "version": f"1.{version}", "filetype": "bdist_wheel"}
                with path.open("rb") as file:
                    done = session.post(
                        f"{root}/root/dev/", data=data, files={"content": (path.name, file)}, timeout=60
                    )
                done.raise_for_status()


_DJANGO = """
import pathlib
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-", DEBUG=False)
root = pathlib.Path({public!r})
pages = {{page.parent.name: page.read_bytes() for page in root.glob("simple/*/index.html")}}
def page(request, project):
    return HttpResponse(pages[project], content_type="text/html")
urlpatterns = [path("simple/<str:project>/", page)]
application = get_wsgi_application()
"""


@contextmanager
def django(wheels: Wheels, public: Path, folder: Path) -> Iterator[Server]:
    """Serve the same pages from memory by a minimal view of Django on gunicorn's threads."""
    (folder / "minimal.py").write_text(_DJANGO.format(public=str(public)))
    port = free_port()
    command = [peers_python().parent / "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8"]
    command += ["--log-level", "error", "minimal:application"]
    pages = f"http://127.0.0.1:{port}/simple/"
    with running(command, answers=f"{pages}{wheels.names[0]}/", log=folder / "django.log", cwd=folder) as process:
        says = "the pages themselves, in memory"
        yield Server(name="Django, minimal view", pages=pages, process=process, json=False, wheels=False, says=says)
