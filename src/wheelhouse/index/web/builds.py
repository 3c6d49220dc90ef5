"""The job records of a workspace in, what was built when and why it failed out.

Records are read again only when they have changed. Of a log, which can be large, only the end is read.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from packaging.utils import NormalizedName, canonicalize_name

from wheelhouse.errors import NotOnIndexError
from wheelhouse.record import FILE_NAME, LOG_NAME, Record, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wheelhouse.finding import Finding
    from wheelhouse.record import Cause, Grafted

State: TypeAlias = Literal["built", "failed", "unfinished"]
"""unfinished: it is running, or was stopped."""
STATES: tuple[State, ...] = ("built", "failed", "unfinished")
PER_PAGE = 100
LOG_BYTES = 64 << 10
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A job in the list."""

    job: str
    project: NormalizedName
    version: str
    target: str
    state: State
    started: datetime
    """UTC. Of one that is unfinished: when its log began to be written last."""
    seconds: float | None
    message: str
    """Why it failed."""
    warnings: int
    """Findings that are more than notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """One page of the list, filtered."""

    shown: tuple[Build, ...]
    total: int
    page: int
    pages: int
    state: State | None
    project: str
    """What was asked for; empty: all."""
    counts: tuple[tuple[State, int], ...]
    """How many there are of each state, whichever is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail:
    """The end of a log."""

    text: str
    whole: bool
    """Nothing was left out."""
    size: int
    """Bytes of the whole log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildView:
    """The page of a job."""

    build: Build
    builder: str
    key: str
    wheel: str
    """Filename; empty: none."""
    wheel_size: int
    cause: Cause | None
    timings: tuple[tuple[str, float], ...]
    """Stage and seconds, in order."""
    inputs: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    grafted: tuple[Grafted, ...]
    log: LogTail | None

    @property
    def longest(self) -> float:
        """Seconds of the stage that took longest; never 0."""
        return max((took for _, took in self.timings), default=0) or 1


def list_builds(builds: Iterable[Build], *, state: State | None = None, project: str = "", page: int = 1) -> Builds:
    """Filter and page builds, the newest first. A page beyond the last is the last."""
    wanted = canonicalize_name(project.strip())
    fitting = [build for build in builds if wanted in build.project]
    counts = Counter(build.state for build in fitting)
    found = sorted(
        (build for build in fitting if state is None or build.state == state),
        key=lambda build: (build.started, build.job),
        reverse=True,
    )
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, page), pages)
    return Builds(
        shown=tuple(found[(page - 1) * PER_PAGE : page * PER_PAGE]),
        total=len(found),
        page=page,
        pages=pages,
        state=state,
        project=project.strip(),
        counts=tuple((name, counts[name]) for name in STATES),
    )


def show_build(build: Build, record: Record | None, log: LogTail | None) -> BuildView:
    """Put the page of a job together; an unfinished one has no account of its own yet."""
    done = record if build.state != "unfinished" else None
    wheel = done.wheel if done else None
    return BuildView(
        build=build,
        builder=done.builder or "" if done else "",
        key=done.key or "" if done else "",
        wheel=wheel.filename if wheel else "",
        wheel_size=wheel.size if wheel else 0,
        cause=done.cause if done else None,
        timings=tuple(done.timings.items()) if done else (),
        inputs=tuple(done.inputs.items()) if done else (),
        findings=done.findings if done else (),
        grafted=done.grafted if done else (),
        log=log,
    )


@dataclass(slots=True)
class Jobs:
    """The folder of jobs of a workspace. Safe for threads."""

    folder: Path
    most: int = 20_000
    """Jobs that are looked at: those whose record or log is newest."""
    _known: dict[str, tuple[object, Build]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def all(self) -> list[Build]:
        """Return all jobs. Takes a while."""
        with self._lock:
            self._known = {mark.job: self._remember(mark) for mark in self._marks()}
            return [build for _, build in self._known.values()]

    def find(self, job: str, *, shown: Callable[[NormalizedName], bool]) -> BuildView:
        """Return the page of a job, unless its project is not shown. Raises NotOnIndexError."""
        mark = next((mark for mark in self._marks() if mark.job == job), None)
        if mark is not None:
            record = read_record(self.folder / job / FILE_NAME)
            build = _build(mark, record)
            if shown(build.project):
                return show_build(build, record, read_tail(self.folder / job / LOG_NAME))
        raise NotOnIndexError(f"there is no job {job[:80]!r} here")

    def _marks(self) -> list[_Mark]:
        try:
            names = [entry.name for entry in os.scandir(self.folder) if entry.is_dir() and entry.name[0] != "."]
        except FileNotFoundError:  # nothing was built yet
            return []
        marks = [
            _Mark(name, _moment(self.folder / name / FILE_NAME), _moment(self.folder / name / LOG_NAME))
            for name in names
        ]
        marks.sort(key=lambda mark: max(mark.record, mark.log), reverse=True)
        return [mark for mark in marks if mark.record or mark.log][: self.most]

    def _remember(self, mark: _Mark) -> tuple[object, Build]:
        known = self._known.get(mark.job)
        if known is not None and known[0] == mark:
            return known
        return (mark, _build(mark, read_record(self.folder / mark.job / FILE_NAME)))


@dataclass(frozen=True, slots=True)
class _Mark:
    """When the files of a job were written last, nanoseconds; 0: there is none."""

    job: str
    record: int
    log: int


def _moment(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


def _build(mark: _Mark, record: Record | None) -> Build:
    if record is None or mark.log > mark.record:  # a log begins anew with each run, and a record ends it
        project, version, target = _parts(mark.job)
        return Build(
            job=mark.job,
            project=canonicalize_name(project),
            version=version,
            target=target,
            state="unfinished",
            started=datetime.fromtimestamp(max(mark.log, mark.record) / 1e9, tz=UTC),
            seconds=None,
            message="",
            warnings=0,
        )
    return Build(
        job=mark.job,
        project=canonicalize_name(record.project),
        version=record.version,
        target=record.target,
        state=record.status,
        started=record.started,
        seconds=record.seconds,
        message=record.cause.message if record.cause else "",
        warnings=sum(finding.severity != "note" for finding in record.findings),
    )


def _parts(job: str) -> tuple[str, str, str]:
    """Take a job's id apart: project, version and target, which has a dash of its own."""
    parts = job.rsplit("-", 3)
    return (parts[0], parts[1], "-".join(parts[2:])) if len(parts) == 4 else (job, "", "")  # noqa: PLR2004 - see above


def read_tail(path: Path, most: int = LOG_BYTES) -> LogTail | None:
    """Read the end of a log, from the beginning of a line, as plain text; None: there is no log."""
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - most)
        file.seek(start)
        data = file.read(most)
        if start:
            data = data.partition(b"\n")[2] or data
        return LogTail(text=plain(data.decode("utf-8", "replace")), whole=start == 0, size=size)
    return None


def plain(text: str) -> str:
    """Take out what only a terminal understands; of a line that was written over, keep what was seen last."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return _CONTROLS.sub("", "\n".join(lines))
