"""The log file and the stages of one job: where its processes write, and what the display is told."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Observer(Protocol):
    """Is told what a job is doing. Called from the job's thread."""

    def stage(self, job: str, stage: str) -> None:
        """Job `job` (an id) has begun `stage`."""
        ...


class Silent:
    """An observer that wants to know nothing."""

    def stage(self, job: str, stage: str) -> None:
        """Do nothing."""


class JobLog:
    """One job's log file. Output of child processes is appended to `path` by `Processes.run(log=…)`."""

    def __init__(self, path: Path, *, job: str, observer: Observer | None = None) -> None:
        self.path = path
        self.job = job
        self.timings: dict[str, float] = {}
        self._observer = observer or Silent()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Mark a stage (`source`, `requirements`, `build`, `repair`, `check`, `test`), and time it."""
        self._observer.stage(self.job, name)
        self.line(f"=== {name}")
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.timings[name] = round(self.timings.get(name, 0.0) + time.monotonic() - started, 3)

    def line(self, text: str) -> None:
        """Append a line of our own."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
