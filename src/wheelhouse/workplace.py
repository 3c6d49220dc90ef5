"""A job in, an empty folder out that nobody else is in, at the same path whenever the job is the same.

Paths get into binaries, so the root is the same for every workspace and, but for the user's number, on every machine.
What a killed run left is cleared away: by the next attempt at the job, and by `sweep` where there is none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.buildkey import build_key
from wheelhouse.errors import MachineError
from wheelhouse.locking import holding
from wheelhouse.process import end_orphans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.job import Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.locking import GoOn

ENVIRONMENT_ROOT = "WHEELHOUSE_WORK_ROOT"
_PATH_DIGITS = 16


def work_root() -> Path:
    """Return the folder that builds run in, owned by this user and closed to others.

    Raises MachineError where somebody else owns it.
    """
    chosen = os.environ.get(ENVIRONMENT_ROOT)
    root = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"wheelhouse-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = root.lstat()
    if status.st_uid != os.getuid() or root.is_symlink():
        raise MachineError(
            "belongs to somebody else",
            where=str(root),
            hint=f"remove it, or set {ENVIRONMENT_ROOT} to a folder of yours",
        )
    return root


@contextmanager
def workplace(job: Job, log: JobLog, go_on: GoOn) -> Iterator[Path]:
    """Give the job its folder, empty, until the context ends.

    Waits while another process is at the same job, as long as `go_on` lets it.
    """
    folder = work_root() / _short_name(job)
    with holding(_lock(folder), go_on):
        if folder.exists():
            log.line(f"removing what a killed run left: {clear(folder)} processes, {folder}")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> int:
    """Clear away folders of killed runs whose jobs may never come again, and return how many. Those in use stay."""
    left = [folder for folder in work_root().iterdir() if folder.is_dir() and len(folder.name) == _PATH_DIGITS]
    if not left:
        return 0
    import filelock  # noqa: PLC0415 - only after a crash, or beside another run

    swept = 0
    for folder in left:
        try:
            with filelock.FileLock(_lock(folder), timeout=0):
                if folder.exists():
                    clear(folder)
                    swept += 1
        except filelock.Timeout:
            continue
    return swept


def clear(folder: Path) -> int:
    """Remove a folder and end the processes that work in it; return how many there were."""
    ended = end_orphans(folder)
    shutil.rmtree(folder)
    return ended


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _short_name(job: Job) -> str:
    """Return a name for the job's folder: short, for tools that know limits of paths, and the same on every machine."""
    return build_key({"job": job.id, "source": job.source.digest})[:_PATH_DIGITS]
