"""A ticket and a command in; its result on this machine's disk, once, out: a journal that outlives who asked for it.

Salt loses what is returned while the master is away, and a restarted minion forgets what it ran. So a command runs
below a program of its own (this very file, started as one), which writes down the result before anybody is told. That
program holds a lock as long as it lives: a ticket whose lock is free and which has no result was killed.

As an execution module it is what `wheelhouse` calls; people call `wheelhouse.build` and its kin.
Standard library only: the program runs without Salt.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    Told = dict[str, Any]

#: How much of a log goes back to who asked (bytes); all of it stays here.
LOG_BYTES = 64 * 1024
#: What a command may print on stdout (bytes).
OUTPUT_BYTES = 4 * 1024 * 1024
#: Tickets are forgotten when they are older (seconds).
KEPT = 14 * 24 * 3600
#: Between the polite signal and the other one (seconds).
GRACE = 5.0
_SAID_BYTES = 4096
#: Programs that this process has started: who is their parent has to ask how they ended.
_RUNNERS: list[subprocess.Popen[bytes]] = []
_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


def start(
    root: str,
    ticket: str,
    command: list[str],
    environment: dict[str, str],
    timeout: float,
    job: str | None = None,
    log: str | None = None,
    prepared: str | None = None,
) -> Told:
    """Start a command for a ticket, unless that ticket was started before; return `look`'s answer.

    `root` is the journal's folder, `environment` replaces the caller's, `timeout` is in seconds, `log` a file that the
    command writes, whose end belongs to the result. `prepared` is a folder (made by `draft`) that moves into the
    ticket's as `registry`; `{registry}` in the command stands for it.
    """
    folder = _folder(root, ticket)
    _forget_old(root)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=_tickets(root)))
    with (new / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if prepared is not None:
            Path(prepared).rename(new / "registry")
        words = [word.replace("{registry}", str(folder / "registry")) for word in command]
        request = {"ticket": ticket, "job": job, "command": words, "timeout": timeout, "log": log}
        request["cwd"] = str(Path(root).absolute())
        _write(new / "request.json", request)
        try:
            new.rename(folder)  # whoever comes first has the ticket
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            return look(root, ticket)
        with (folder / "runner.txt").open("ab") as said:
            runner = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).absolute()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
    _RUNNERS[:] = [runner, *(other for other in _RUNNERS if other.poll() is None)]
    return {"ticket": ticket, "job": job, "state": "running"}


def draft(root: str, files: dict[str, bytes]) -> str:
    """Write files, by path, into a new folder of the journal, and return it: for `start`. Raises ValueError."""
    folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=_tickets(root)))
    for name, data in files.items():
        if not all(part and part not in {".", ".."} and "\0" not in part for part in name.split("/")):
            shutil.rmtree(folder)
            message = f"{name!r} is no path of a file in a registry"
            raise ValueError(message)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)


def look(root: str, ticket: str) -> Told:
    """Return what is known of a ticket: its `state` is unknown, running, done, canceled, timeout or lost."""
    folder = _folder(root, ticket)
    if not folder.is_dir():
        return {"ticket": ticket, "state": "unknown"}
    result = _read(folder / "result.json")
    if result is not None:
        return result
    told = {"ticket": ticket, "job": (_read(folder / "request.json") or {}).get("job")}
    if _locked(folder):
        said = _tail(folder / "said.txt", _SAID_BYTES).split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        seconds = round(time.time() - (folder / "request.json").stat().st_mtime, 1)
        return {**told, "state": "running", "seconds": seconds, "said": last}
    result = _read(folder / "result.json")  # it may have ended between the two looks
    if result is not None:
        return result
    _end_orphan(folder)
    return {**told, "state": "lost", "said": _tail(folder / "said.txt", _SAID_BYTES)}


def wait(root: str, ticket: str, timeout: float) -> Told:
    """Return what `look` returns once the ticket is no longer running, or after `timeout` seconds."""
    end = time.monotonic() + timeout
    pause = 0.02
    while True:
        told = look(root, ticket)
        if told["state"] != "running" or time.monotonic() >= end:
            return told
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def cancel(root: str, ticket: str) -> Told:
    """End a ticket's command and return what became of it. A ticket that was never seen will not be started."""
    folder = _folder(root, ticket)
    if not folder.is_dir():
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=_tickets(root)))
        _write(new / "result.json", {"ticket": ticket, "state": "canceled", "job": None})
        try:
            new.rename(folder)
        except OSError:  # it was started at this very moment
            shutil.rmtree(new, ignore_errors=True)
    end = time.monotonic() + GRACE
    while look(root, ticket)["state"] == "running" and time.monotonic() < end:
        runner = _read(folder / "runner.json")
        if runner is not None:
            _signal(runner, signal.SIGTERM, group=False)
            return wait(root, ticket, 3 * GRACE)
        time.sleep(0.02)
    return look(root, ticket)


def known(root: str) -> list[str]:
    """Return all tickets, the newest first."""
    folders = [path for path in _tickets(root).iterdir() if path.name[0] != "."]
    return [path.name for path in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)]


def _tickets(root: str) -> Path:
    folder = Path(root) / "tickets"
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    return folder


def _folder(root: str, ticket: str) -> Path:
    if not isinstance(ticket, str) or not _TICKET.fullmatch(ticket):
        message = f"{ticket!r} is no ticket: letters, digits, `.`, `_` and `-`"
        raise ValueError(message)
    return Path(root) / "tickets" / ticket


def _forget_old(root: str) -> None:
    oldest = time.time() - KEPT
    for path in _tickets(root).iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest and not _locked(path):
                shutil.rmtree(path, ignore_errors=True)


def _locked(folder: Path) -> bool:
    with contextlib.suppress(OSError), (folder / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _end_orphan(folder: Path) -> None:
    """End what a killed runner left behind."""
    child = _read(folder / "child.json")
    if child is not None:
        _signal(child, signal.SIGKILL, group=True)


def _identity(pid: int) -> dict[str, Any]:
    """Return what tells a process from a later one of the same number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        return {"pid": pid, "begun": text.rpartition(")")[2].split()[19]}
    except OSError:
        return {"pid": pid, "begun": None}


def _signal(process: dict[str, Any], number: signal.Signals, *, group: bool) -> None:
    if _identity(process["pid"]) == process:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process["pid"], number)


def _read(path: Path) -> dict[str, Any] | None:
    value = _read_any(path)
    return value if isinstance(value, dict) else None


def _read_any(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, value: object) -> None:
    """Write JSON so that a reader, or a crash at any moment, sees all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tail(path: Path, most: int) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read(most).decode("utf-8", "replace")
    return ""


def _tail_since(moment: float, path: str | None) -> str:
    """Return the end of a log that was written to since then: it may be another run's."""
    with contextlib.suppress(OSError):
        if path is not None and Path(path).stat().st_mtime >= moment - 1:
            return _tail(Path(path), LOG_BYTES)
    return ""


class _CanceledError(Exception):
    """Somebody wants the command to end."""


def _cancel(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
    raise _CanceledError


def _go_on(number: int, frame: FrameType | None) -> None:
    """Do nothing. Not SIG_IGN, which the command would inherit."""


@contextlib.contextmanager
def _cancelable() -> Iterator[None]:
    signal.signal(signal.SIGTERM, _cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _go_on)


def _run(folder: Path) -> None:
    """Run a ticket's command and write down what came of it: the program's whole life."""
    signal.signal(signal.SIGTERM, _go_on)
    signal.signal(signal.SIGHUP, _go_on)
    request = _read(folder / "request.json") or {}
    started = time.time()
    out, said = folder / "out.json", folder / "said.txt"
    with out.open("wb") as stdout, said.open("ab") as stderr:
        try:
            child = subprocess.Popen(
                request["command"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=request["cwd"],
                start_new_session=True,
            )
        except OSError as error:
            stderr.write(f"error: cannot start {request['command'][0]}: {error.strerror}\n".encode())
            state, status = "done", 127
        else:
            _write(folder / "child.json", _identity(child.pid))
            state, status = _watch(child, folder, request["timeout"])
    result = {
        "ticket": request["ticket"],
        "job": request["job"],
        "state": state,
        "status": status,
        "started": started,
        "seconds": round(time.time() - started, 3),
        "output": _read_any(out) if out.stat().st_size <= OUTPUT_BYTES else None,
        "said": _tail(said, _SAID_BYTES),
        "log": _tail_since(started, request["log"]),
    }
    _write(folder / "result.json", result)


def _watch(child: subprocess.Popen[bytes], folder: Path, timeout: float) -> tuple[str, int]:
    """Wait for a command to end, or end it; return the state that the ticket gets, and the command's status."""
    try:
        with _cancelable():
            _write(folder / "runner.json", _identity(os.getpid()))  # from now on there is somebody to signal
            return "done", child.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        return "timeout", _end(child)
    except _CanceledError:
        return "canceled", _end(child)


def _end(child: subprocess.Popen[bytes]) -> int:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=GRACE)
    return child.wait()


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
