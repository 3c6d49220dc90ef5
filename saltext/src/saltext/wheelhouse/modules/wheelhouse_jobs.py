"""A ticket and a command in; its result on this machine's disk, once, out: a journal that outlives who asked for it.

Salt loses what is returned while the master is away, and a restarted minion forgets what it ran. So a command runs
below a program of its own (this very file, started as one), which writes down the result before anybody is told. That
program holds a lock as long as it lives: a ticket whose lock is free and which has no result was killed.

As an execution module, `wheelhouse_jobs` is what `wheelhouse` calls; people call `wheelhouse.build` and its kin.
Standard library only: the program runs without Salt.
"""

from __future__ import annotations

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

__virtualname__ = "wheelhouse_jobs"

#: How much of a log goes back to who asked (bytes); all of it stays here.
LOG_BYTES = 64 * 1024
#: What a command may print on stdout (bytes).
OUTPUT_BYTES = 4 * 1024 * 1024
#: Tickets are forgotten when they are older (seconds).
KEPT = 14 * 24 * 3600
#: Between the polite signal and the other one (seconds).
GRACE = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


def __virtual__():
    return __virtualname__ if os.name == "posix" else (False, "wheelhouse builds on POSIX systems")


def start(root, ticket, command, environment, timeout, job=None, prepared=None):
    """Start a command for a ticket, unless that ticket was started before; return `look`'s answer.

    `root` is the journal's folder, `environment` replaces the caller's, `timeout` is in seconds. `prepared` is a
    folder (made by `draft`) that moves into the ticket's as `registry`; `{registry}` in the command stands for it.
    """
    folder = _folder(root, ticket)
    _forget_old(root)
    draft_ = tempfile.mkdtemp(prefix=".draft-", dir=_tickets(root))
    lock = os.open(os.path.join(draft_, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if prepared is not None:
            os.rename(prepared, os.path.join(draft_, "registry"))
        words = [word.replace("{registry}", os.path.join(folder, "registry")) for word in command]
        request = {"ticket": ticket, "job": job, "command": words, "timeout": timeout, "cwd": os.path.abspath(root)}
        _write(os.path.join(draft_, "request.json"), request)
        try:
            os.rename(draft_, folder)  # whoever comes first has the ticket
        except OSError:
            shutil.rmtree(draft_, ignore_errors=True)
            return look(root, ticket)
        with open(os.path.join(folder, "runner.txt"), "ab") as said:
            subprocess.Popen(
                [sys.executable, "-I", "-S", os.path.abspath(__file__).replace(".pyc", ".py"), folder],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
            )
    finally:
        os.close(lock)
    return {"ticket": ticket, "job": job, "state": "running"}


def draft(root, files):
    """Write files (bytes by path, relative) into a new folder of the journal, and return it: for `start`."""
    folder = tempfile.mkdtemp(prefix=".prepared-", dir=_tickets(root))
    for name, data in files.items():
        parts = name.split("/")
        if not all(_NAME.fullmatch(part) for part in parts):
            shutil.rmtree(folder)
            raise ValueError(f"{name!r} is no path of a file in a registry")
        path = os.path.join(folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return folder


def look(root, ticket):
    """Return what is known of a ticket: its `state` is unknown, running, done, canceled, timeout or lost."""
    folder = _folder(root, ticket)
    if not os.path.isdir(folder):
        return {"ticket": ticket, "state": "unknown"}
    result = _read(os.path.join(folder, "result.json"))
    if result is not None:
        return result
    request = _read(os.path.join(folder, "request.json")) or {}
    told = {"ticket": ticket, "job": request.get("job")}
    if _locked(folder):
        said = _tail(os.path.join(folder, "log.txt"), 4096).strip().splitlines()
        seconds = time.time() - os.stat(folder).st_ctime
        return {**told, "state": "running", "seconds": round(seconds, 1), "said": said[-1] if said else ""}
    result = _read(os.path.join(folder, "result.json"))  # it may have ended between the two looks
    if result is not None:
        return result
    _end_orphan(folder)
    return {**told, "state": "lost", "log": _tail(os.path.join(folder, "log.txt"), LOG_BYTES)}


def wait(root, ticket, timeout):
    """Return what `look` returns once the ticket is no longer running, or after `timeout` seconds."""
    end = time.monotonic() + timeout
    pause = 0.02
    while True:
        told = look(root, ticket)
        if told["state"] != "running" or time.monotonic() >= end:
            return told
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def cancel(root, ticket):
    """End a ticket's command and return what became of it. A ticket that was never seen will not be started."""
    folder = _folder(root, ticket)
    if not os.path.isdir(folder):
        draft_ = tempfile.mkdtemp(prefix=".draft-", dir=_tickets(root))
        _write(os.path.join(draft_, "result.json"), {"ticket": ticket, "state": "canceled", "job": None})
        try:
            os.rename(draft_, folder)
        except OSError:  # it was started at this very moment
            shutil.rmtree(draft_, ignore_errors=True)
    end = time.monotonic() + GRACE
    while look(root, ticket)["state"] == "running" and time.monotonic() < end:
        runner = _read(os.path.join(folder, "runner.json"))
        if runner is not None:
            _signal(runner, signal.SIGTERM, group=False)
            return wait(root, ticket, 2 * GRACE)
        time.sleep(0.02)
    return look(root, ticket)


def known(root):
    """Return all tickets, the newest first."""
    tickets = [entry for entry in os.scandir(_tickets(root)) if entry.is_dir() and entry.name[0] != "."]
    return [entry.name for entry in sorted(tickets, key=lambda entry: entry.stat().st_ctime, reverse=True)]


def _tickets(root):
    folder = os.path.join(root, "tickets")
    os.makedirs(folder, mode=0o750, exist_ok=True)
    return folder


def _folder(root, ticket):
    if not isinstance(ticket, str) or not _NAME.fullmatch(ticket):
        raise ValueError(f"{ticket!r} is no ticket: letters, digits, `.`, `_` and `-`")
    return os.path.join(root, "tickets", ticket)


def _forget_old(root):
    oldest = time.time() - KEPT
    for entry in list(os.scandir(_tickets(root))):
        if entry.stat().st_mtime < oldest and not _locked(entry.path):
            shutil.rmtree(entry.path, ignore_errors=True)


def _locked(folder):
    try:
        handle = os.open(os.path.join(folder, "lock"), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _end_orphan(folder):
    """End what a killed runner left behind."""
    child = _read(os.path.join(folder, "child.json"))
    if child is not None:
        _signal(child, signal.SIGKILL, group=True)


def _identity(pid):
    """Return what tells a process from a later one of the same number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return {"pid": pid, "begun": file.read().rpartition(")")[2].split()[19]}
    except OSError:
        return {"pid": pid, "begun": None}


def _signal(process, number, *, group):
    if _identity(process["pid"]) != process:
        return
    try:
        if group:
            os.killpg(process["pid"], number)
        else:
            os.kill(process["pid"], number)
    except ProcessLookupError:
        pass


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _write(path, value):
    """Write JSON so that a reader, or a crash at any moment, sees all of it or nothing."""
    folder = os.path.dirname(path)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tail(path, most):
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


class _CanceledError(Exception):
    """Somebody wants the command to end."""


def _cancel(number, frame):
    raise _CanceledError


def _run(folder):
    """Run a ticket's command and write down what came of it: the program's whole life."""
    signal.signal(signal.SIGTERM, _cancel)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request = _read(os.path.join(folder, "request.json"))
    started = time.time()
    _write(os.path.join(folder, "runner.json"), _identity(os.getpid()))
    state, status = "done", None
    out, log = os.path.join(folder, "out.json"), os.path.join(folder, "log.txt")
    with open(out, "wb") as stdout, open(log, "ab") as stderr:
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
            stderr.write(f"cannot start {request['command'][0]}: {error.strerror}\n".encode())
            status = 127
        else:
            _write(os.path.join(folder, "child.json"), _identity(child.pid))
            try:
                status = child.wait(timeout=request["timeout"])
            except subprocess.TimeoutExpired:
                state = "timeout"
            except _CanceledError:
                state = "canceled"
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            status = _end(child) if status is None else status
    result = {
        "ticket": request["ticket"],
        "job": request["job"],
        "state": state,
        "status": status,
        "started": started,
        "seconds": round(time.time() - started, 3),
        "output": _read(out) if os.path.getsize(out) <= OUTPUT_BYTES else None,
        "log": _tail(log, LOG_BYTES),
    }
    _write(os.path.join(folder, "result.json"), result)


def _end(child):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            pass
        try:
            return child.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            continue
    return child.wait()


if __name__ == "__main__":
    _run(sys.argv[1])
