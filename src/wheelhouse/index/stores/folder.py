"""A store in a folder: `blobs/ab/ab12…`, `projects/<name>.json`, `scratch/` for uploads on their way, `locks/`.

`stages/<stage>/<name>.json` are the manifests of stages, `claims/` has an empty file for each claim.

Written with plain calls of the operating system. obstore's LocalStore gives no way to ask for an fsync, so that a power
cut can take back what was acknowledged, and cannot replace a file on condition; both are what a store is for.

Order of every write: the bytes and their fsync, under a name that nobody looks for; then one atomic step, link or
rename; then the fsync of the folder; only then the answer. Locks are files, so several servers can share the folder.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from packaging.utils import NormalizedName, is_normalized_name

from wheelhouse.errors import NotOnIndexError, StoreDamagedError, StoreUnavailableError
from wheelhouse.index.model import Sha256, is_sha256
from wheelhouse.index.stores.locks import Locks
from wheelhouse.index.stores.naming import adopt, blob_path
from wheelhouse.index.stores.scratch import NewFile, new_files, sync_files, tidy
from wheelhouse.index.stores.store import CHUNK, Blob, claim_name, is_over, parse_manifest, read_range
from wheelhouse.spool.disk import Locked, sync_folder, whole_file_system
from wheelhouse.spool.group_commit import GroupCommit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from wheelhouse.index.model import Manifest
    from wheelhouse.index.stores.naming import Giver

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
    commits: GroupCommit = field(default_factory=GroupCommit, compare=False, repr=False)

    @classmethod
    def open(cls, root: Path) -> FolderStore:
        """Open a store, make it where there is none, and remove what a crash left. Raises StoreUnavailableError."""
        store = cls(root)
        with store._disk():
            for folder in (store._projects, store._scratch, store._locks, store._claims):
                folder.mkdir(parents=True, exist_ok=True)
            if not store._blobs.is_dir():
                for number in range(256):
                    (store._blobs / f"{number:02x}").mkdir(parents=True, exist_ok=True)
                sync_folder(store._blobs)
            sync_folder(root)
        with store._disk():
            tidy(store._scratch)
        return store

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file on the store's own disk. Its lock tells `tidy` that somebody is at work on it."""
        with self._new_file() as new:
            file = new.open()
            try:
                yield file
            finally:
                with self._disk():
                    file.close()

    def put_file(self, source: Path, sha256: Sha256) -> None:
        """Link a scratch file, or a copy of any other, to its final name."""
        with self._disk(), source.open("rb") as file:
            if source.parent == self._scratch:
                os.fsync(file.fileno())
                self._sync(*self._adopt({sha256: (partial(os.link, source), os.fstat(file.fileno()).st_size)}))
                return
            with self.scratch() as copy:
                shutil.copyfileobj(file, copy, CHUNK)
                copy.flush()
                os.fsync(copy.fileno())
                self._sync(*self._adopt({sha256: (partial(os.link, copy.name), copy.tell())}))

    def put_bytes(self, data: bytes, sha256: Sha256) -> None:
        """Write them without any manifest."""
        self.write([(data, sha256)], [])

    def write(self, blobs: Sequence[tuple[bytes, Sha256]], manifests: Sequence[Manifest]) -> list[bool]:
        """Write all bytes to scratch files, then give them their names; then the same with the manifests.

        Generations are compared under the projects' locks; what takes time is done before.
        """
        pieces, texts = [data for data, _ in blobs], [manifest.to_json() for manifest in manifests]
        with (
            self._disk(),
            self._room_held() if manifests else nullcontext(),
            whole_file_system(self.root, len(pieces) + len(texts)) as sync,
            new_files(self._scratch, pieces) as news,
        ):
            if not sync():
                sync_files(news)
            shelves = self._adopt(
                {sha256: (new.rename, len(data)) for new, (data, sha256) in zip(news, blobs, strict=True)}
            )
            with new_files(self._scratch, texts) as others:
                if not sync():
                    sync_files(others)
                    self._sync(*shelves)
                return self._swap(manifests, others)

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return the blob's file; None: there is none."""
        path = Path(self._blob(sha256))
        return path if path.is_file() else None

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Return size and time of a blob."""
        with suppress(FileNotFoundError), self._disk():
            return _facts(sha256, os.stat(self._blob(sha256)))
        return None

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes of a blob in pieces."""
        try:
            with self._disk():
                yield from read_range(Path(self._blob(sha256)), start, end)
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
        path = Path(self._blob(sha256))
        with suppress(FileNotFoundError), self._disk(), self._names.of(sha256):
            if _facts(sha256, path.stat()).modified < put_before:
                path.unlink()
                sync_folder(path.parent)
                return True
        return False

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Read a project's manifest."""
        path = self._manifest(project)
        with suppress(FileNotFoundError), self._disk(), open(path, "rb") as file:
            return parse_manifest(file.read(), project, path)
        return None

    def swap_manifest(self, manifest: Manifest) -> bool:
        """Write it without any bytes."""
        (swapped,) = self.write([], [manifest])
        return swapped

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
            return set(map(NormalizedName, _NAMED.findall("/".join(os.listdir(self._projects)))))
        return set()  # a stage that nothing was put on yet

    def mark(self, project: NormalizedName) -> str | None:
        """Return inode, time and size of a manifest."""
        with suppress(FileNotFoundError), self._disk():
            return _mark(os.stat(self._manifest(project)))
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
            sync_folder(self._claims)
        return True

    def pulse(self) -> str | None:
        """Return the time of the folder of manifests: each swap renames one into it.

        None while that is young: of two swaps within one tick of the clock the second would not show.
        """
        with suppress(OSError):
            changed = os.stat(self._projects).st_mtime_ns
            return str(changed) if time.time_ns() - changed > _YOUNG else None
        return None

    def staged(self, stage: NormalizedName) -> FolderStore:
        """Return the same folder, with another one for manifests."""
        return FolderStore(self.root, f"{_STAGES}/{stage}", self.commits)

    def stages(self) -> list[NormalizedName]:
        """List the folders of stages that are not empty."""
        with suppress(FileNotFoundError), self._disk():
            names = sorted(entry.name for entry in os.scandir(self.root / _STAGES) if is_normalized_name(entry.name))
            return [NormalizedName(name) for name in names if self.staged(NormalizedName(name)).projects()]
        return []

    def remove_manifest(self, manifest: Manifest, *, written_before: datetime) -> bool:
        """Remove it under the project's lock."""
        path = Path(self._manifest(manifest.name))
        with suppress(FileNotFoundError), self._disk(), self._names.of(manifest.name):
            if path.stat().st_mtime >= written_before.timestamp() or self._generation(str(path)) != manifest.generation:
                return False
            path.unlink()
            sync_folder(path.parent)
            return True
        return False

    def tidy(self, *, put_before: datetime) -> int:
        """Remove scratch files that nobody is at work on, claims that are over, and folders of stages long gone."""
        with self._disk():
            removed = tidy(self._scratch)
            for claim in self._claims.glob("*"):
                if is_over(claim.name, before=put_before):
                    claim.unlink(missing_ok=True)
            for stage in sorted((self.root / _STAGES).glob("*")):
                with self._stages_held():
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

    @property
    def _names(self) -> Locks:
        """Of blobs and projects."""
        return Locks(f"{self.root}/locks")

    def _blob(self, sha256: Sha256) -> str:
        return blob_path(f"{self.root}/blobs", sha256)

    def _adopt(self, givers: Mapping[Sha256, tuple[Giver, int]]) -> set[str]:
        return adopt(f"{self.root}/blobs", self._names, givers)

    def _manifest(self, project: NormalizedName) -> str:
        return f"{self.root}/{self.room}/{project}{_MANIFEST}"

    def _generation(self, path: str) -> int:
        """Return the generation on disk, 0 for none, without the cost of a whole manifest."""
        try:
            with open(path, "rb") as file:
                return int(orjson.loads(file.read()).get("generation", 1))
        except FileNotFoundError:
            return 0
        except (ValueError, AttributeError, TypeError) as error:
            raise StoreDamagedError("not a manifest that can be read", where=path) from error

    @contextmanager
    def _room_held(self) -> Iterator[None]:
        """Make the folder of a stage, and keep `tidy` from removing it; that of the projects is always there."""
        if self._projects.parent == self.root:
            yield
            return
        with self._stages_held():
            if not self._projects.is_dir():
                self._projects.mkdir(parents=True, exist_ok=True)
                sync_folder(self._projects.parent)
                sync_folder(self.root)
            yield

    def _stages_held(self) -> Locked:
        return Locked(f"{self.root}/locks/{_STAGES}")

    def _sync(self, *folders: str) -> None:
        for folder in folders:
            self.commits.commit(folder, partial(sync_folder, folder))

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

    @contextmanager
    def _new_file(self) -> Iterator[NewFile]:
        """Make a scratch file; its scratch name is gone at the end."""
        with self._disk():
            new = NewFile.make(self._scratch)
        try:
            yield new
        finally:
            with self._disk():
                new.close()

    def _swap(self, manifests: Sequence[Manifest], news: Sequence[NewFile]) -> list[bool]:
        """Put manifests that are on the disk in the place of those before them, where they follow on them."""
        swapped = dict.fromkeys((manifest.name for manifest in manifests), False)
        ready = {manifest.name: (manifest.generation, new) for manifest, new in zip(manifests, news, strict=True)}
        for name in self._names.each(ready):
            generation, new = ready[name]
            path = self._manifest(name)
            if self._generation(path) == generation - 1:
                new.rename(path)
                swapped[name] = True
        if any(swapped.values()):
            self._sync(str(self._projects))
        return list(swapped.values())


def _facts(sha256: Sha256, stat: os.stat_result) -> Blob:
    return Blob(sha256=sha256, size=stat.st_size, modified=datetime.fromtimestamp(stat.st_mtime, tz=UTC))


def _mark(stat: os.stat_result) -> str:
    return f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"
