"""The results of jobs on disk: one folder a build key, committed by one rename; `dist/` holds links to its wheel.

`results/<key>/` has the wheel, `record.json`, `log.txt` and `provenance.json`. `jobs/<id>/` has the latest record and
log of a job, whatever its outcome. `dist/.provenance/` has the provenance of the wheels in `dist/`: hidden, so that
`dist/*` is wheels alone, as twine and pip want it. A crash at any moment leaves a result whole or not there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.record import FILE_NAME, LOG_NAME, PROVENANCE_NAME, Record, read_record, write_atomically
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from wheelhouse.config import Workspace


#: In the folder of a wheel: where its provenance is offered.
PROVENANCE_FOLDER = ".provenance"


def provenance_beside(wheel: Path) -> Path:
    """Return where the provenance of a wheel in `dist/` is."""
    return wheel.parent / PROVENANCE_FOLDER / f"{wheel.name}.json"


class Results:
    """What a workspace holds. Safe for several threads and processes at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._carried: dict[Path, tuple[int, str | None]] = {}
        """By wheel in `dist/`: when it was changed, and the key inside."""

    def finished(self, key: str) -> bool:
        """Say whether a whole result with this key is there. Looks at names and sizes only."""
        record = self.record(key)
        if record is None or record.wheel is None:
            return False
        with suppress(OSError):
            return (self._workspace.results / key / record.wheel.filename).stat().st_size == record.wheel.size
        return False

    def carried(self, key: str) -> Path | None:
        """Return the wheel in `dist/` that carries this key inside: what came without its record, from a CI run say."""
        return next((path for path in sorted(self._workspace.dist.glob("*.whl")) if self._key_in(path) == key), None)

    def _key_in(self, wheel: Path) -> str | None:
        from wheelhouse.seal import read_key  # noqa: PLC0415 - only where a record was lost

        changed = wheel.stat().st_mtime_ns
        known = self._carried.get(wheel)
        if known is None or known[0] != changed:
            known = self._carried[wheel] = (changed, read_key(wheel))
        return known[1]

    def record(self, key: str) -> Record | None:
        """Return the record of a finished key."""
        return read_record(self._workspace.results / key / FILE_NAME)

    def wheel(self, record: Record) -> Path:
        """Return the path of a built record's wheel."""
        assert record.key is not None  # noqa: S101 - a built record has both
        assert record.wheel is not None  # noqa: S101 - likewise
        return self._workspace.results / record.key / record.wheel.filename

    def recorded(self) -> frozenset[str]:
        """Return the ids of the jobs that were ever begun."""
        with suppress(FileNotFoundError):
            return frozenset(os.listdir(self._workspace.jobs))  # noqa: PTH208 - names only, and many
        return frozenset()

    def latest(self, job: str) -> Record | None:
        """Return the last record of a job (by id)."""
        return read_record(self._workspace.jobs / job / FILE_NAME)

    def log_path(self, job: str) -> Path:
        """Return where a job's log is."""
        return self._workspace.jobs / job / LOG_NAME

    def begin(self, job: str) -> Path:
        """Start a job's log afresh and return its path."""
        path = self.log_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        return path

    def staging(self) -> Path:
        """Return a new, empty folder on the file system of the results."""
        self._workspace.work.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._workspace.work))

    def commit(self, record: Record, wheel: Path, *, provenance: bytes | None = None) -> None:
        """Keep a checked wheel, its record and its provenance, and link them into `dist/`. `wheel` is moved."""
        assert record.key is not None  # noqa: S101 - only built jobs are committed
        folder = self.staging()
        try:
            target = folder / wheel.name
            shutil.move(wheel, target)
            _sync(target)
            with suppress(FileNotFoundError):
                shutil.copyfile(self.log_path(record.job), folder / LOG_NAME)
            if provenance is not None:
                write_atomically(folder / PROVENANCE_NAME, provenance)
            write_atomically(folder / FILE_NAME, record.to_json())
            folder.chmod(0o755)
            self._workspace.results.mkdir(parents=True, exist_ok=True)
            final = self._workspace.results / record.key
            if final.exists():  # broken, or it would have been reused; or built again because the user asked
                shutil.rmtree(final)
            folder.rename(final)
            _sync(self._workspace.results)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        previous = self.latest(record.job)
        self.note(record)
        self.offer(record, replaces=previous)

    def note(self, record: Record) -> None:
        """Keep the record as the latest of its job."""
        write_atomically(self._workspace.jobs / record.job / FILE_NAME, record.to_json())

    def intact(self, record: Record) -> bool:
        """Say whether the bytes of the result are still those of its record."""
        assert record.wheel is not None  # noqa: S101 - asked of built records only
        with suppress(OSError):
            return sha256_of(self.wheel(record)) == record.wheel.sha256
        return False

    def discard(self, key: str) -> None:
        """Remove a result that is not what its record says."""
        shutil.rmtree(self._workspace.results / key, ignore_errors=True)

    def offer(self, record: Record, *, replaces: Record | None = None) -> Path:
        """Make `dist/` hold this result's wheel, and no longer the wheel of the record that it replaces."""
        source = self.wheel(record)
        target = self._workspace.dist / source.name
        if replaces is not None and replaces.wheel is not None and replaces.wheel.filename != source.name:
            self._withdraw(replaces)
        _put(source, target)
        provenance = source.with_name(PROVENANCE_NAME)
        if provenance.is_file():
            _put(provenance, provenance_beside(target))
        else:
            provenance_beside(target).unlink(missing_ok=True)  # of other bytes under this name
        return target

    def _withdraw(self, record: Record) -> None:
        """Take the wheel of an older record out of `dist/`, where it is still that wheel."""
        assert record.wheel is not None  # noqa: S101 - the caller looked
        old = self._workspace.dist / record.wheel.filename
        with suppress(OSError):
            if sha256_of(old) == record.wheel.sha256:
                old.unlink()
                provenance_beside(old).unlink()


def _put(source: Path, target: Path) -> None:
    """Make `target` the file that `source` is, by a link where there can be one."""
    with suppress(OSError):
        if target.samefile(source) or sha256_of(target) == sha256_of(source):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, temporary)
    temporary.replace(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
