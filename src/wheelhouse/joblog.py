"""The log file and the stages of one job: where its processes write, and what the display is told."""

from __future__ import annotations

import contextlib
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
    """One job's log file. Output of child processes is appended to `path` by `Processes.run(log=…)`.

    Used by the one thread that carries out the job.
    """

    def __init__(self, path: Path, *, job: str, observer: Observer | None = None) -> None:
        self.path = path
        self.job = job
        self.timings: dict[str, float] = {}
        """Seconds by stage, in the order in which they began; a stage within a stage counts for itself alone."""
        self._observer = observer or Silent()
        self._stages: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Mark a stage (`source`, `requirements`, `image`, `build`, `repair`, `check`, `test`, `commit`); time it."""
        if name not in self._stages:
            self._observer.stage(self.job, name)
            self.line(f"=== {name}")
        self._lap()
        self._stages.append(name)
        self.timings.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._lap()
            self._stages.pop()

    def _lap(self) -> None:
        """Add the time since the last lap to the stage that is going on."""
        now = time.monotonic()
        if self._stages:
            name = self._stages[-1]
            self.timings[name] = round(self.timings[name] + now - self._since, 3)
        self._since = now

    def line(self, text: str) -> None:
        """Append a line of our own."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
