"""Command in, exit status and output out: the only module that starts processes.

Every child leads a process group of its own, so that a timeout or Ctrl-C ends its whole family, and carries
`WHEELHOUSE_WORK` in its environment, so that what a killed run leaves behind can be found and ended by the next.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wheelhouse.errors import BuildTimeoutError, CanceledError, MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psutil

#: Names the work directory that a process belongs to.
WORK_VARIABLE = "WHEELHOUSE_WORK"
#: Seconds between the polite signal and the one that cannot be refused.
GRACE = 3.0
_POLL = 0.02
#: The modes of files end up in wheels, so the caller's own mask must not.
_UMASK = 0o022


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A process that has ended by itself."""

    command: tuple[str, ...]
    returncode: int
    output: str
    """stdout (with stderr where no log takes it); empty when the output went to a log."""
    seconds: float


class Failure(Exception):  # noqa: N818 - caught and turned into a named error by the stage that ran it
    """A process ended with a status other than 0."""

    # Not a frozen dataclass: contextlib and `raise … from` set attributes of an exception on its way.
    def __init__(self, *, completed: Completed) -> None:
        super().__init__(completed)
        self.completed = completed

    def __str__(self) -> str:
        """Return the command and its status."""
        return f"`{show(self.completed.command)}` ended with status {self.completed.returncode}"


class Processes:
    """Starts processes and can end all that are running. One object for a run, handed to who needs it."""

    def __init__(self) -> None:
        self._canceled = threading.Event()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    @property
    def canceled(self) -> bool:
        """Whether `cancel` was called."""
        return self._canceled.is_set()

    def go_on(self) -> None:
        """Raise CanceledError once `cancel` was called: for those who wait for something else than a process."""
        if self.canceled:
            raise CanceledError("stopped")

    def cancel(self) -> None:
        """End every running process group, and refuse to start another."""
        self._canceled.set()
        with self._lock:
            running = list(self._running)
        for child in running:
            end_group(child.pid, signal.SIGTERM)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a command to its end and return what it said.

        With `log` (a path), the command line and all output are appended to that file and `output` is empty;
        without it, stdout and stderr come back together in `output`. `env` replaces the environment. `timeout` is in
        seconds.

        Raises Failure (status not 0, unless `check` is false), BuildTimeoutError, CanceledError, and MachineError
        where the program does not exist.
        """
        words = tuple(os.fspath(word) for word in command)
        with contextlib.ExitStack() as stack:
            # A file, never a pipe: what a command leaves in the background may keep a pipe open for ever.
            opened = tempfile.TemporaryFile() if log is None else log.open("ab", buffering=0)  # noqa: SIM115 - next line
            sink: IO[bytes] = stack.enter_context(opened)
            if log is not None:
                sink.write(f"$ {show(words)}\n".encode())
            child = self._start(words, cwd=cwd, env=env, sink=sink)
            started = time.monotonic()
            try:
                self._wait(child, timeout=timeout, command=words)
            finally:
                # Grandchildren that outlive their parent (a daemon, a background compile) end with it.
                end_group(child.pid, signal.SIGKILL)
                with self._lock:
                    self._running.discard(child)
            completed = Completed(
                command=words,
                returncode=child.returncode,
                output="" if log is not None else _read_all(sink),
                seconds=time.monotonic() - started,
            )
        if self.canceled:
            raise CanceledError("stopped")
        if check and completed.returncode != 0:
            raise Failure(completed=completed)
        return completed

    @contextlib.contextmanager
    def converse(
        self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
    ) -> Iterator[Conversation]:
        """Start a command that is spoken to in lines; its stderr is appended to `log`. It ends with the context.

        Not with `cancel`, so that what it looks after can be put in order first. Raises MachineError where the program
        does not exist, CanceledError.
        """
        words = tuple(os.fspath(word) for word in command)
        with log.open("ab", buffering=0) as sink:
            child = self._start(words, cwd=None, env=env, sink=subprocess.PIPE, stdin=subprocess.PIPE, errors=sink)
        with self._lock:
            self._running.discard(child)
        conversation = Conversation(child, words[0])
        try:
            yield conversation
        finally:
            conversation.close()

    def _start(
        self,
        words: tuple[str, ...],
        *,
        cwd: Path | None,
        env: Mapping[str, str] | None,
        sink: IO[bytes] | int,
        stdin: int = subprocess.DEVNULL,
        errors: IO[bytes] | int = subprocess.STDOUT,
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.canceled:
                raise CanceledError("stopped")
            try:
                child = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env=env,
                    stdin=stdin,
                    stdout=sink,
                    stderr=errors,
                    start_new_session=True,
                    umask=_UMASK,
                )
            except FileNotFoundError as error:
                missing = error.filename or words[0]
                raise MachineError(
                    f"cannot start `{show(words)}`: {missing} does not exist",
                    hint=f"install {words[0]}, or put it on PATH",
                ) from error
            except PermissionError as error:
                raise MachineError(f"cannot start `{show(words)}`: permission denied") from error
            self._running.add(child)
            return child

    def _wait(self, child: subprocess.Popen[bytes], *, timeout: float | None, command: tuple[str, ...]) -> None:
        try:
            ended = _ended_within(child, timeout)
        except BaseException:
            self._stop(child)
            raise
        if not ended:
            self._stop(child)
            raise BuildTimeoutError(
                f"`{show(command)}` did not end within {timeout:.0f} s and was stopped",
                hint="raise resources.timeout in the recipe, or build on a faster machine",
            )

    @staticmethod
    def _stop(child: subprocess.Popen[bytes]) -> None:
        end_group(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL)
        end_group(child.pid, signal.SIGKILL)
        child.wait()


class Conversation:
    """A child that takes lines and gives lines."""

    def __init__(self, child: subprocess.Popen[bytes], name: str) -> None:
        self._child, self._name = child, name
        self._heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._listener.start()

    def say(self, line: bytes) -> None:
        """Send a line, without its end. Raises MachineError where the child has ended."""
        assert self._child.stdin is not None  # noqa: S101 - started with a pipe
        try:
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise MachineError(f"`{self._name}` has ended") from error

    def hear(self, timeout: float) -> bytes | None:
        """Return the next line without its end; None: there was none within `timeout` seconds.

        Raises MachineError where the child has ended.
        """
        try:
            line = self._heard.get(timeout=timeout) if timeout > 0 else self._heard.get_nowait()
        except queue.Empty:
            return None
        if line is None:
            self._heard.put(None)  # for who asks again
            raise MachineError(f"`{self._name}` has ended")
        return line

    def close(self) -> None:
        """End the child: politely, by the end of its input, then not."""
        assert self._child.stdin is not None  # noqa: S101 - started with a pipe
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        if not _ended_within(self._child, GRACE):
            end_group(self._child.pid, signal.SIGTERM)
            _ended_within(self._child, GRACE)
        end_group(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 - started with a pipe
        with self._child.stdout:
            for line in self._child.stdout:
                self._heard.put(line.rstrip(b"\n"))
        self._heard.put(None)


def _ended_within(child: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """Wait for a child, without polling where the platform can, and say whether it ended in time."""
    if timeout is not None and hasattr(os, "pidfd_open"):
        handle = os.pidfd_open(child.pid)
        try:
            # Readable once the process has ended; Popen.wait(timeout=…) would look every 50 ms.
            select.select([handle], [], [], timeout)
        finally:
            os.close(handle)
        if child.poll() is not None:
            return True
        timeout = 0.0
    try:
        child.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read_all(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def show(command: Sequence[str | Path]) -> str:
    """Return the command as a shell would take it."""
    return shlex.join(os.fspath(word) for word in command)


def end_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of `leader`, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_orphans(work: Path) -> int:
    """Kill every process whose `WHEELHOUSE_WORK` is `work` or in it, as a killed run leaves them; return how many.

    They have ended when this returns: until then they could write into folders that are about to be removed.
    """
    import psutil  # noqa: PLC0415 - only after a crash

    ended = 0
    while found := [process for process in psutil.process_iter() if _belongs(process, work)]:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        ended += len(found)
        _, left = psutil.wait_procs(found, timeout=GRACE)
        if left:  # in the kernel's hands
            break
    return ended


def _belongs(process: psutil.Process, work: Path) -> bool:
    import psutil  # noqa: PLC0415 - only after a crash

    try:
        named = process.environ().get(WORK_VARIABLE)
    except psutil.Error:
        return False
    return process.pid != os.getpid() and named is not None and Path(named).is_relative_to(work)
