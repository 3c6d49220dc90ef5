"""What can be done to an index: files added, yanked and deleted, each change one swap of one manifest.

Every operation can be repeated: done twice it is done once. Two writers of one project never undo each other's work,
because each begins again from what the other wrote.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from wheelhouse.errors import FileExistsDifferentError, IndexRefusesError, NotOnIndexError, StoreUnavailableError
from wheelhouse.index.model import File, FileName, Manifest, Policy, Sha256, Status, in_order, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.index.stores.store import Store

_TRIES = 60
_CHANCE = random.SystemRandom()
_LONGEST_PAUSE = 0.5
"""Seconds."""
_CLOSED: Mapping[Status, str] = {"archived": "is archived", "quarantined": "is in quarantine"}
"""PEP 792: projects in these states take no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file on its way into the index: what its upload said and its bytes confirmed."""

    name: FileName
    sha256: Sha256
    size: int
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Further ones by hashlib's name."""
    requires_python: str | None = None
    metadata: bytes | None = None
    """The METADATA file as it is inside a wheel (PEP 658)."""
    provenance: bytes | None = None
    """The provenance object (PEP 740)."""
    uploaded: datetime | None = None
    """When it was accepted, if that was earlier than now."""

    @property
    def beside(self) -> tuple[tuple[bytes, Sha256], ...]:
        """What is kept of it besides its bytes."""
        return tuple((data, _sha256(data)) for data in (self.metadata, self.provenance) if data is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The file is new, and published now."""

    file: File


@dataclass(frozen=True, slots=True, kw_only=True)
class SameBytes:
    """The file was published before with the same bytes; nothing has changed."""

    file: File


Outcome: TypeAlias = Added | SameBytes
_Change: TypeAlias = Callable[[Manifest | None], Manifest | None]


def _sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


def _digest(data: bytes | None) -> Sha256 | None:
    return None if data is None else _sha256(data)


def _now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The operations of an index over its store."""

    store: Store
    base: Store | None = None
    """Of a stage: the index that its files are meant for. What that has is taken here too."""
    now: Callable[[], datetime] = _now
    pause: Callable[[float], None] = time.sleep
    known: Callable[[Manifest], None] = lambda manifest: None  # noqa: ARG005 - nobody wants to know
    """Told of each manifest that answers a change: once it is in the store, also where it was there already."""

    def projects(self) -> list[NormalizedName]:
        """Return the names of all projects, in order."""
        return sorted(self.store.names())

    def project(self, name: NormalizedName) -> Manifest:
        """Return a project's manifest. Raises NotOnIndexError."""
        manifest = self.store.read_manifest(name)
        if manifest is None:
            raise NotOnIndexError(f"no project {name}", hint="a project is there once a file of it is uploaded")
        return manifest

    def add_file(self, new: NewFile, source: Path, *, policy: Policy = "private") -> Outcome:
        """Publish one file; `policy` is that of a project which begins with it.

        Raises FileExistsDifferentError where the name is taken by other bytes, else IndexRefusesError,
        StoreUnavailableError.
        """
        return self.add_files([(new, source)], policy=policy)[0]

    def add_files(
        self,
        arrivals: Sequence[tuple[NewFile, Path]],
        *,
        policy: Policy = "private",
        at_once: int = 1,
        read: tuple[Manifest | None, ...] = (),
    ) -> list[Outcome]:
        """Publish files of one project: all of them appear at once, or none. The bytes of `at_once` are put at once.

        Bytes and metadata are in the store before the manifest that names them. `read` is what the caller knows of the
        project: it is asked for only where that turns out to be old.
        """
        if not arrivals:
            return []
        projects = {new.name.project for new, _ in arrivals}
        if len(projects) > 1:
            raise IndexRefusesError(f"files of several projects cannot appear at once: {', '.join(sorted(projects))}")
        if len({new.name.place for new, _ in arrivals}) < len(arrivals):
            raise IndexRefusesError("a file appears twice in one release")
        project = projects.pop()
        news = [new for new, _ in arrivals]
        before = read[0] if read else self.store.read_manifest(project)
        self.judge(before, news)  # before any byte is kept
        if self.base is not None:
            self.judge(self.base.read_manifest(project), news)
        if len(arrivals) == 1 or at_once == 1:
            published = [self._keep(new, source) for new, source in arrivals]
        else:
            with ThreadPoolExecutor(max_workers=at_once) as pool:
                published = list(pool.map(self._keep, news, [source for _, source in arrivals]))
        return self.list_files(project, news, published, policy=policy, read=(before,))

    def add_kept(self, project: NormalizedName, files: Sequence[File], *, policy: Policy = "private") -> list[Outcome]:
        """Publish files whose bytes the store has, and will have until this returns: all at once, dated now."""
        if not files:
            return []
        moment = self.now()
        dated = [file.model_copy(update={"upload_time": moment}) for file in files]
        return self.list_files(project, [as_new(file) for file in files], dated, policy=policy)

    def list_files(
        self,
        project: NormalizedName,
        news: Sequence[NewFile],
        published: Sequence[File],
        *,
        policy: Policy = "private",
        read: tuple[Manifest | None, ...] = (),
    ) -> list[Outcome]:
        """Bring files whose bytes are in the store into the manifest, which the caller may have read already."""
        outcomes: list[Outcome] = []

        def add(manifest: Manifest | None) -> Manifest | None:
            outcomes[:], after = self.listing(manifest, project, news, published, policy=policy)
            return after

        self._change(project, add, read=read)
        return outcomes

    def listing(
        self,
        manifest: Manifest | None,
        project: NormalizedName,
        news: Sequence[NewFile],
        published: Sequence[File],
        *,
        policy: Policy = "private",
    ) -> tuple[list[Outcome], Manifest | None]:
        """Return what becomes of files, and the manifest that lists them; None: that is the one there is."""
        known = self.judge(manifest, news)
        outcomes = [
            Added(file=file) if old is None else SameBytes(file=old) for file, old in zip(published, known, strict=True)
        ]
        fresh = [outcome.file for outcome in outcomes if isinstance(outcome, Added)]
        if not fresh:
            return outcomes, None
        if manifest is None:
            return outcomes, Manifest(name=project, policy=policy, files=in_order(fresh))
        return outcomes, manifest.with_files([*manifest.files, *fresh])

    def yank(self, project: NormalizedName, what: str | Version, reason: str | None = None) -> list[File]:
        """Mark a file, by its name, or all of a version as yanked (PEP 592): installed only where that is pinned."""
        return self._yank(project, what, reason=reason or True)

    def unyank(self, project: NormalizedName, what: str | Version) -> list[File]:
        """Take a yank back."""
        return self._yank(project, what, reason=False)

    def delete(self, project: NormalizedName, what: str | Version) -> list[File]:
        """Take a file, or all of a version, off the index.

        Names are never given to other bytes; `gc` removes the bytes later.
        """
        gone: list[File] = []

        def change(manifest: Manifest | None) -> Manifest | None:
            gone[:] = _choose(manifest, project, what)
            assert manifest is not None  # noqa: S101 - _choose has raised
            deleted = {**manifest.deleted, **{file.filename: file.sha256 for file in gone}}
            kept = [file for file in manifest.files if file not in gone]
            return manifest.with_files(kept).model_copy(update={"deleted": deleted})

        self._change(project, change)
        return gone

    def set_policy(self, project: NormalizedName, policy: Policy) -> Manifest:
        """Say what upstream is asked about a project; makes the project where there is none."""

        def change(manifest: Manifest | None) -> Manifest | None:
            if manifest is None:
                return Manifest(name=project, policy=policy)
            return None if manifest.policy == policy else manifest.changed(policy=policy)

        return self._change(project, change)

    def set_status(self, project: NormalizedName, status: Status, reason: str | None = None) -> Manifest:
        """Set a project's status (PEP 792). Raises NotOnIndexError."""

        def change(manifest: Manifest | None) -> Manifest | None:
            if manifest is None:
                raise NotOnIndexError(f"no project {project}")
            if (manifest.status, manifest.status_reason) == (status, reason):
                return None
            return manifest.changed(status=status, status_reason=reason)

        return self._change(project, change)

    def _change(self, project: NormalizedName, change: _Change, *, read: tuple[Manifest | None, ...] = ()) -> Manifest:
        """Read, change and swap until nobody was in between. `change` returns None where all is as it should be.

        `read` is what the caller has read: enough for the first try, unless somebody was in between.
        """
        for attempt in range(_TRIES):
            before = read[0] if read and not attempt else self.store.read_manifest(project)
            after = change(before)
            if after is None:
                assert before is not None  # noqa: S101 - what is not there cannot be as it should be
                self.known(before)
                return before
            if self.store.swap_manifest(after):
                self.known(after)
                return after
            self.pause(_CHANCE.uniform(0, min(_LONGEST_PAUSE, 0.005 * 2**attempt)))
        raise StoreUnavailableError(
            f"{project} was changed by others {_TRIES} times while this change was tried",
            where=self.store.address,
            hint="try again",
        )

    def _keep(self, new: NewFile, source: Path) -> File:
        self.store.put_file(source, new.sha256)
        for data, digest in new.beside:
            self.store.put_bytes(data, digest)
        return self.file_of(new)

    def file_of(self, new: NewFile) -> File:
        """Return what is listed of a file."""
        return File(
            filename=new.name.filename,
            version=str(new.name.version),
            sha256=new.sha256,
            size=new.size,
            upload_time=new.uploaded or self.now(),
            hashes=dict(new.hashes),
            requires_python=new.requires_python,
            core_metadata=_digest(new.metadata),
            provenance=_digest(new.provenance),
        )

    @staticmethod
    def judge(manifest: Manifest | None, arrivals: Sequence[NewFile]) -> list[File | None]:
        """Return for each arrival the published file that is the same; None: it may be added.

        Raises FileExistsDifferentError, IndexRefusesError.
        """
        if manifest is not None and manifest.status in _CLOSED:
            raise IndexRefusesError(
                f"{manifest.name} {_CLOSED[manifest.status]} and takes no files", hint="set its status to active first"
            )
        return [None if manifest is None else _judge(manifest, new) for new in arrivals]

    def _yank(self, project: NormalizedName, what: str | Version, *, reason: bool | str) -> list[File]:
        yanked: list[File] = []

        def change(manifest: Manifest | None) -> Manifest | None:
            chosen = _choose(manifest, project, what)
            assert manifest is not None  # noqa: S101 - _choose has raised
            new = {file.filename: file.model_copy(update={"yanked": reason}) for file in chosen}
            yanked[:] = new.values()
            return None if yanked == chosen else manifest.with_files([new.get(f.filename, f) for f in manifest.files])

        self._change(project, change)
        return yanked


def as_new(file: File) -> NewFile:
    """Return what `judge` has to know of a file that is listed elsewhere."""
    return NewFile(name=FileName.parse(file.filename), sha256=file.sha256, size=file.size)


def _choose(manifest: Manifest | None, project: NormalizedName, what: str | Version) -> list[File]:
    """Return the file of a name, or the files of a version. Raises NotOnIndexError rather than choosing none."""
    files = manifest.files if manifest is not None else ()
    if isinstance(what, str):
        chosen = [file for file in files if file.filename == what]
    else:
        chosen = [file for file in files if parse_version(file.version) == what]
    if not chosen:
        raise NotOnIndexError(f"no file {what} of {project}" if isinstance(what, str) else f"no {project} {what}")
    return chosen


def _judge(manifest: Manifest, new: NewFile) -> File | None:
    """Return the published file that is the same as a new one; None: it may be added."""
    for file in manifest.files:
        same_version = parse_version(file.version) == new.name.version
        if same_version and FileName.parse(file.filename).place == new.name.place:
            if file.sha256 == new.sha256:
                return file
            raise _taken(new, f"{file.filename} is published with other bytes (sha256 {file.sha256})")
    for filename, sha256 in manifest.deleted.items():
        if FileName.parse(filename).place == new.name.place and sha256 != new.sha256:
            raise _taken(new, f"{filename} was published with other bytes (sha256 {sha256}) and deleted")
    return None


def _taken(new: NewFile, message: str) -> FileExistsDifferentError:
    if new.name.kind == "wheel":
        raised = (new.name.build[0] if new.name.build else 0) + 1
        hint = f"a published file never changes: set build-number = {raised} in the recipe, and build again"
    else:
        hint = "a published file never changes: release a new version"
    return FileExistsDifferentError(message, hint=hint)
