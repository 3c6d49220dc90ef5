"""A real salt-master and real salt-minions on loopback, each a process that a test can kill, stop and cut off."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_MASTER = "127.0.0.1"
#: Seconds that Salt may take to start on a busy machine.
_PATIENCE = 120.0


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


@dataclass(slots=True)
class Daemon:
    """A salt-master or salt-minion and its children."""

    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def family(self) -> list[psutil.Process]:
        """Return its processes, but for those that lead a session of their own: jobs that outlive it."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first, *(child for child in first.children(recursive=True) if os.getsid(child.pid) == first.pid)]
        return []

    def signal(self, number: signal.Signals) -> None:
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is None:
            return
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None


@dataclass(slots=True)
class Wire:
    """A TCP connection's middle, which can be cut: everything stops, and nobody is told."""

    target: int
    port: int = 0
    cut: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server((_MASTER, 0))
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._carry, args=(listener,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _carry(self, listener: socket.socket) -> None:
        with listener, selectors.DefaultSelector() as ready:
            ready.register(listener, selectors.EVENT_READ, None)
            while not self._stop.is_set():
                if self.cut.wait(0):
                    time.sleep(0.05)  # what is sent now waits in the kernel, as on a dead line
                    continue
                for key, _ in ready.select(0.05):
                    self._pass(ready, key)
            for key in list(ready.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()

    def _pass(self, ready: selectors.DefaultSelector, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        if key.data is None:
            one, _ = key.fileobj.accept()
            try:
                other = socket.create_connection((_MASTER, self.target), timeout=5)
            except OSError:  # the master is down
                one.close()
                return
            ready.register(one, selectors.EVENT_READ, other)
            ready.register(other, selectors.EVENT_READ, one)
            return
        with suppress(OSError):
            if data := key.fileobj.recv(1 << 16):
                key.data.sendall(data)
                return
        for end in (key.fileobj, key.data):
            with suppress(KeyError, ValueError):
                ready.unregister(end)
            end.close()


@dataclass(slots=True, kw_only=True)
class SaltFleet:
    """What runs."""

    salt: Path
    """The environment that Salt is in."""
    folder: Path
    master: Daemon
    minions: dict[str, Daemon]
    wires: Mapping[str, tuple[Wire, Wire]]
    """Between some of the minions and the master."""

    @property
    def config(self) -> Path:
        """The master's configuration."""
        return self.folder / "master"

    @property
    def python(self) -> Path:
        return self.salt / "bin" / "python"

    def run(self, program: str, *words: str, timeout: float = 90.0) -> subprocess.CompletedProcess[str]:
        """Call `salt`, `salt-run` or another of Salt's commands as the master's administrator would."""
        return subprocess.run(
            [str(self.salt / "bin" / program), "-c", str(self.folder), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def call(self, minion: str, *words: str) -> Any:
        """Call a function on a minion as an administrator would, and return what it returned."""
        done = self.run("salt", "--static", "--out=json", "-t60", minion, *words)
        return json.loads(done.stdout[done.stdout.index("{") :])[minion]

    def ready(self, *names: str) -> bool:
        done = self.run("salt", "--static", "--out=json", "-t15", "*", "test.ping")
        return all(f'"{name}": true' in done.stdout for name in names or self.minions)

    def await_ready(self, *names: str) -> None:
        patience = _PATIENCE * max(1.0, len(self.minions) / 4)
        until(lambda: self.ready(*names), patience, f"{names or tuple(self.minions)} answer")

    def root(self, minion: str) -> Path:
        """Return where a minion keeps tickets and results."""
        return self.folder / minion / "builds"


@contextmanager
def salt_fleet(
    salt: Path,
    folder: Path,
    minions: Mapping[str, Mapping[str, Any]],
    *,
    wired: tuple[str, ...] = (),
    master: Mapping[str, Any] | None = None,
) -> Iterator[SaltFleet]:
    """Start a master and minions with this configuration, and end them. `wired` have a wire that can be cut.

    `folder` should have a short path: those of Unix sockets are limited to about 100 characters.
    """
    if os.geteuid() != 0:
        pytest.skip("a salt-master with its own root_dir is tried as root only")
    ports = [_free_port(), _free_port()]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "master", {**_master(folder, *ports), **(master or {})})
    with ExitStack() as stack:
        wires = {name: (stack.enter_context(Wire(ports[0])), stack.enter_context(Wire(ports[1]))) for name in wired}
        daemons = {}
        for name, own in minions.items():
            pair = [wire.port for wire in wires[name]] if name in wires else ports
            own_folder = folder / name
            own_folder.mkdir(exist_ok=True)
            _write(own_folder / "minion", {**_minion(own_folder, name, *pair), **own})
            daemons[name] = _daemon(salt, "salt-minion", own_folder)
        fleet = SaltFleet(
            salt=salt, folder=folder, master=_daemon(salt, "salt-master", folder), minions=daemons, wires=wires
        )
        try:
            fleet.master.start()
            until(lambda: _listening(ports[1]), _PATIENCE, "the master listens")
            for daemon in daemons.values():
                daemon.start()
            fleet.await_ready()
            yield fleet
        finally:
            for daemon in (*daemons.values(), fleet.master):
                daemon.kill()


def _daemon(salt: Path, program: str, folder: Path) -> Daemon:
    command = [str(salt / "bin" / program), "-c", str(folder), "--log-level=warning", "--disable-keepalive"]
    return Daemon(command if program == "salt-minion" else command[:-1], folder / f"{program}.txt")


def _write(path: Path, settings: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(settings, indent=1))  # JSON is YAML


def _master(folder: Path, publish_port: int, ret_port: int) -> dict[str, Any]:
    return {
        "root_dir": str(folder / "root"),
        "interface": _MASTER,
        "publish_port": publish_port,
        "ret_port": ret_port,
        "user": "root",
        "auto_accept": True,
        "worker_threads": 2,
        "timeout": 30,
        "gather_job_timeout": 30,
        "file_recv": False,  # no file of ours goes through the master
        "log_level_logfile": "warning",
        "enable_ssh_minions": False,
        "cli_summary": False,
    }


def _minion(folder: Path, name: str, publish_port: int, ret_port: int) -> dict[str, Any]:
    return {
        "id": name,
        "root_dir": str(folder / "root"),
        "master": _MASTER,
        "publish_port": publish_port,
        "master_port": ret_port,
        "user": "root",
        "log_level_logfile": "warning",
        # Lines that are dead and masters that come back are noticed within seconds, not minutes.
        "acceptance_wait_time": 1,
        "random_reauth_delay": 1,
        "recon_default": 500,
        "recon_max": 2000,
        "auth_timeout": 10,
        "tcp_keepalive_idle": 5,
        "tcp_keepalive_intvl": 2,
        "tcp_keepalive_cnt": 2,
        "multiprocessing": False,
        "grains_cache": False,
        "wheelhouse": {"root": str(folder / "builds")},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_MASTER, 0))
        return int(probe.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_MASTER, port)) == 0
