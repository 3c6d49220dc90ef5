"""A store in a folder: `blobs/ab/ab12…`, `projects/<name>.json`, `scratch/` for uploads on their way, `locks/`.

`stages/<stage>/<name>.json` are the manifests of stages, `claims/` has an empty file for each claim.

Written with plain calls of the operating system. obstore's LocalStore gives no way to ask for an fsync, so that a power
cut can take back what was acknowledged, and cannot replace a file on condition; both are what a store is for.

Order of every write: the bytes and their fsync, under a name that nobody looks for; then one atomic step, link or
rename; then the fsync of the folder; only then the answer. Locks are files, so several servers can share the folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from filelock import FileLock
from packaging.utils import NormalizedName, is_normalized_name

from wheelhouse.errors import NotOnIndexError, StoreDamagedError, StoreUnavailableError
from wheelhouse.index.model import Sha256, is_sha256
from wheelhouse.index.stores.store import CHUNK, Blob, claim_name, is_over, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from wheelhouse.index.model import Manifest

#: Nanoseconds after a change in which another one may have the same time: file systems count in ticks, some in seconds.
_YOUNG = 2_000_000_000
_MANIFEST = ".json"
#: PEP 503: a normalised name, before the ending of a manifest, in names with slashes between them.
_NAMED = re.compile(r"(?<![^/])([a-z0-9]+(?:-[a-z0-9]+)*)\.json(?![^/])")
_STAGES = "stages"


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Blobs and manifests in a folder of a local disk."""

    root: Path
    room: str = "projects"
    """Folder of the manifests."""

    @classmethod
    def open(cls, root: Path) -> FolderStore:
        """Open a store, make it where there is none, and remove what a crash left. Raises StoreUnavailableError."""
        store = cls(root)
        with store._disk():
            for folder in (store._blobs, store._projects, store._scratch, store._locks):
                folder.mkdir(parents=True, exist_ok=True)
            _sync(root)
        store._tidy_scratch()
        return store

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file on the store's own disk. Its lock tells `tidy` that somebody is at work on it."""
        with self._disk():
            file = self._new_scratch()
        try:
            yield file
        finally:
            with self._disk():
                file.close()
                with suppress(FileNotFoundError):  # it has got its place in the store
                    os.unlink(file.name)  # noqa: PTH108 - a file's name is a text

    def put_file(self, source: Path, sha256: Sha256) -> None:
        """Link a scratch file, or a copy of any other, to its final name."""
        if source.parent == self._scratch:
            with self._disk(), source.open("rb") as file:
                os.fsync(file.fileno())
            self._adopt(source, sha256)
            return
        with self.scratch() as copy, self._disk():
            with source.open("rb") as file:
                shutil.copyfileobj(file, copy, CHUNK)
            self._adopt_written(copy, sha256)

    def put_bytes(self, data: bytes, sha256: Sha256) -> None:
        """Write bytes to a scratch file, and link that to its final name."""
        with self.scratch() as copy, self._disk():
            copy.write(data)
            self._adopt_written(copy, sha256)

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return the blob's file; None: there is none."""
        path = self._blob(sha256)
        return path if path.is_file() else None

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Return size and time of a blob."""
        with suppress(FileNotFoundError), self._disk():
            return _facts(sha256, self._blob(sha256).stat())
        return None

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes of a blob in pieces."""
        try:
            with self._disk(), self._blob(sha256).open("rb") as file:
                file.seek(start)
                left = None if end is None else max(0, end - start)
                while data := file.read(CHUNK if left is None else min(CHUNK, left)):
                    left = None if left is None else left - len(data)
                    yield data
        except FileNotFoundError as error:
            raise NotOnIndexError(f"the store has no bytes of sha256 {sha256}") from error

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs."""
        with self._disk():
            shelves = [entry.path for entry in os.scandir(self._blobs) if entry.is_dir()]
        for shelf in shelves:
            with self._disk():
                found = [(entry.name, entry.stat()) for entry in os.scandir(shelf) if is_sha256(entry.name)]
            yield from (_facts(Sha256(name), stat) for name, stat in found)

    def remove_blob(self, sha256: Sha256, *, put_before: datetime) -> bool:
        """Remove a blob under the lock that `put_file` takes, so that none is lost that is just being put."""
        path = self._blob(sha256)
        with suppress(FileNotFoundError), self._disk(), self._locked(sha256[:2]):
            if _facts(sha256, path.stat()).modified < put_before:
                path.unlink()
                _sync(path.parent)
                return True
        return False

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Read a project's manifest."""
        path = self._manifest(project)
        with suppress(FileNotFoundError), self._disk():
            return parse_manifest(path.read_bytes(), project, str(path))
        return None

    def swap_manifest(self, manifest: Manifest) -> bool:
        """Compare generations and write, under the project's lock."""
        path = self._manifest(manifest.name)
        with self._disk(), self._room_held(), self._locked(_shelf(manifest.name)):
            if self._generation(path) != manifest.generation - 1:
                return False
            with self.scratch() as file:
                file.write(manifest.to_json())
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)  # noqa: PTH105 - a file's name is a text
            _sync(path.parent)
        return True

    def projects(self) -> dict[NormalizedName, str]:
        """List the manifests; inode, time and size are the mark."""
        with suppress(FileNotFoundError), self._disk():
            found = [(entry.name, entry) for entry in os.scandir(self._projects)]
            return {
                NormalizedName(name.removesuffix(_MANIFEST)): _mark(entry.stat())
                for name, entry in found
                if name.endswith(_MANIFEST) and is_normalized_name(name.removesuffix(_MANIFEST))
            }
        return {}  # a stage that nothing was put on yet

    def names(self) -> set[NormalizedName]:
        """List the manifests by their names alone: one pass over one text, which a slash cannot be in otherwise."""
        with suppress(FileNotFoundError), self._disk():
            return set(map(NormalizedName, _NAMED.findall("/".join(os.listdir(self._projects)))))  # noqa: PTH208 - texts
        return set()  # a stage that nothing was put on yet

    def mark(self, project: NormalizedName) -> str | None:
        """Return inode, time and size of a manifest."""
        with suppress(FileNotFoundError), self._disk():
            return _mark(self._manifest(project).stat())
        return None

    def claim(self, name: str, *, until: datetime) -> bool:
        """Make an empty file that nobody has made before."""
        path = self._claims / claim_name(name, until)
        with self._disk():
            self._claims.mkdir(exist_ok=True)
            try:
                path.touch(mode=0o600, exist_ok=False)
            except FileExistsError:
                return False
            _sync(self._claims)
        return True

    def pulse(self) -> str | None:
        """Return the time of the folder of manifests: each swap renames one into it.

        None while that is young: of two swaps within one tick of the clock the second would not show.
        """
        with suppress(OSError):
            changed = os.stat(self._projects).st_mtime_ns  # noqa: PTH116 - of a text, and asked often
            return str(changed) if time.time_ns() - changed > _YOUNG else None
        return None

    def staged(self, stage: NormalizedName) -> FolderStore:
        """Return the same folder, with another one for manifests."""
        return FolderStore(self.root, f"{_STAGES}/{stage}")

    def stages(self) -> list[NormalizedName]:
        """List the folders of stages that are not empty."""
        with suppress(FileNotFoundError), self._disk():
            names = sorted(entry.name for entry in os.scandir(self.root / _STAGES) if is_normalized_name(entry.name))
            return [NormalizedName(name) for name in names if self.staged(NormalizedName(name)).projects()]
        return []

    def remove_manifest(self, manifest: Manifest, *, written_before: datetime) -> bool:
        """Remove it under the project's lock."""
        path = self._manifest(manifest.name)
        with suppress(FileNotFoundError), self._disk(), self._locked(_shelf(manifest.name)):
            if path.stat().st_mtime >= written_before.timestamp() or self._generation(path) != manifest.generation:
                return False
            path.unlink()
            _sync(path.parent)
            return True
        return False

    def tidy(self, *, put_before: datetime) -> int:
        """Remove scratch files that nobody is at work on, claims that are over, and folders of stages long gone."""
        removed = self._tidy_scratch()
        with self._disk():
            for claim in self._claims.glob("*"):
                if is_over(claim.name, before=put_before):
                    claim.unlink(missing_ok=True)
            for stage in sorted((self.root / _STAGES).glob("*")):
                with self._locked(_STAGES):
                    if stage.stat().st_mtime < put_before.timestamp() and not any(stage.iterdir()):
                        stage.rmdir()
        return removed

    @property
    def _blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def _projects(self) -> Path:
        return self.root / self.room

    @property
    def _scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def _claims(self) -> Path:
        return self.root / "claims"

    @property
    def _locks(self) -> Path:
        return self.root / "locks"

    def _blob(self, sha256: Sha256) -> Path:
        return self._blobs / sha256[:2] / sha256

    def _manifest(self, project: NormalizedName) -> Path:
        return self._projects / f"{project}{_MANIFEST}"

    def _generation(self, path: Path) -> int:
        """Return the generation on disk, 0 for none, without the cost of a whole manifest."""
        try:
            return int(orjson.loads(path.read_bytes()).get("generation", 1))
        except FileNotFoundError:
            return 0
        except (ValueError, AttributeError, TypeError) as error:
            raise StoreDamagedError("not a manifest that can be read", where=str(path)) from error

    @contextmanager
    def _room_held(self) -> Iterator[None]:
        """Make the folder of a stage, and keep `tidy` from removing it; that of the projects is always there."""
        if self._projects.parent == self.root:
            yield
            return
        with self._locked(_STAGES):
            if not self._projects.is_dir():
                self._projects.mkdir(parents=True, exist_ok=True)
                _sync(self._projects.parent)
                _sync(self.root)
            yield

    def _locked(self, shelf: str) -> FileLock:
        return FileLock(self._locks / shelf)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Let FileNotFoundError through, unless the whole store is gone: then nothing can be said of one file."""
        try:
            yield
        except FileNotFoundError:
            if not self.root.is_dir():
                raise self._unavailable("there is no such folder any more") from None
            raise
        except OSError as error:
            raise self._unavailable(error.strerror or str(error)) from error

    def _unavailable(self, message: str) -> StoreUnavailableError:
        return StoreUnavailableError(message, where=self.address, hint="look at the disk: room, rights, mount")

    def _new_scratch(self) -> BinaryIO:
        while True:
            file = (self._scratch / secrets.token_hex(16)).open("x+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else a tidying neighbour was faster than our lock
                return file
            file.close()

    def _tidy_scratch(self) -> int:
        removed = 0
        with self._disk():
            for path in self._scratch.iterdir():
                with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
        return removed

    def _adopt_written(self, copy: BinaryIO, sha256: Sha256) -> None:
        copy.flush()
        os.fsync(copy.fileno())
        self._adopt(self._scratch / os.path.basename(copy.name), sha256)  # noqa: PTH119 - a file's name is a text

    def _adopt(self, scratch: Path, sha256: Sha256) -> None:
        path = self._blob(sha256)
        with self._disk(), self._locked(sha256[:2]):
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                _sync(self._blobs)
            if path.is_file() and path.stat().st_size == scratch.stat().st_size:
                os.utime(path)
            else:  # not there, or cut short by a failing disk
                path.unlink(missing_ok=True)
                path.hardlink_to(scratch)
            _sync(path.parent)  # also where the bytes were there: their first writer may not have come so far yet


def _facts(sha256: Sha256, stat: os.stat_result) -> Blob:
    return Blob(sha256=sha256, size=stat.st_size, modified=datetime.fromtimestamp(stat.st_mtime, tz=UTC))


def _mark(stat: os.stat_result) -> str:
    return f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _shelf(project: str) -> str:
    return f"{zlib.crc32(project.encode()) & 0xFF:02x}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
