"""Where the index keeps its bytes: the protocol that `folder` and `bucket` speak.

A store holds two kinds of things. **Blobs** are wheels, sdists, metadata and provenance alike: named by their sha256,
never changed. **Manifests** are one a project, numbered: generation 7 is taken only by a store that has generation 6,
so that of two writers one succeeds and the other reads again. Both writes are whole or not there, so a crash at any
moment leaves the old state or the new one.

A **claim** is a name that one of all servers gets: it says that something was done, or who is to do it.

A **stage** is a store over the same blobs with manifests of its own, so that all that can be done to an index can be
done to files which are not on it yet.

Every method raises StoreUnavailableError where the disk or the service fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wheelhouse.errors import StoreDamagedError
from wheelhouse.index.model import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Sha256

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What is known of some bytes without reading them."""

    sha256: Sha256
    """As they are named; `verify` finds out whether they are it."""
    size: int
    modified: datetime
    """UTC: when they were last put, again or for the first time."""


class Store(Protocol):
    """Blobs and manifests. Safe with several threads, processes and, on a bucket, machines."""

    @property
    def address(self) -> str:
        """The folder or the URL, for messages."""
        ...

    def scratch(self) -> AbstractContextManager[BinaryIO]:
        """Open a new file for an upload on its way, where `put_file` costs least.

        It has a `name`, and is gone when the context ends, or at the next start after a crash.
        """
        ...

    def put_file(self, source: Path, sha256: Sha256) -> None:
        """Keep a file's bytes, durably before this returns. That they are this sha256 is the caller's word.

        Bytes that are there already count as put now. A file from `scratch` has been flushed and must not be
        written to any more.
        """
        ...

    def put_bytes(self, data: bytes, sha256: Sha256) -> None:
        """Do as `put_file` for bytes in memory."""
        ...

    def local_path(self, sha256: Sha256) -> Path | None:
        """Return where the bytes lie on this machine's disk; None: they do not, or not there."""
        ...

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Return what is known of a blob; None: there is none."""
        ...

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield a blob's bytes from `start` up to `end` (not with it). Raises NotOnIndexError at the first `next`."""
        ...

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs, in no order."""
        ...

    def remove_blob(self, sha256: Sha256, *, put_before: datetime) -> bool:
        """Remove a blob unless it was put again since; say whether it went."""
        ...

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Return the newest manifest; None: none was ever written. Raises StoreDamagedError where it cannot be read."""
        ...

    def swap_manifest(self, manifest: Manifest) -> bool:
        """Write a manifest if its generation follows on the newest; False: another writer was first."""
        ...

    def write(self, blobs: Sequence[tuple[bytes, Sha256]], manifests: Sequence[Manifest]) -> Sequence[bool]:
        """Do as `put_bytes` for all bytes, then as `swap_manifest` for manifests of different projects.

        All of them wait for the disk, or for the network, together. Where this raises, any of it may be written, but no
        manifest without the bytes.
        """
        ...

    def projects(self) -> Mapping[NormalizedName, str]:
        """Return all projects, each with a mark that changes whenever its manifest does and means nothing else."""
        ...

    def names(self) -> AbstractSet[NormalizedName]:
        """Return the names of all projects: of 100,000 in a folder in a twentieth of the time of `projects`."""
        ...

    def mark(self, project: NormalizedName) -> str | None:
        """Return one project's mark as `projects` has it; None: there is no manifest."""
        ...

    def staged(self, stage: NormalizedName) -> Store:
        """Return the store of a stage: these blobs, and manifests that belong to it alone. There need be none yet."""
        ...

    def stages(self) -> Sequence[NormalizedName]:
        """Return the stages that have a manifest, in order."""
        ...

    def remove_manifest(self, manifest: Manifest, *, written_before: datetime) -> bool:
        """Remove a stage's manifest if it is still the newest, and older than a moment; say whether it went.

        Its generations begin again at 1, so a writer that has slept for longer than that would not notice.
        """
        ...

    def claim(self, name: str, *, until: datetime) -> bool:
        """Say whether nobody has claimed a name until that moment yet, on whatever server, and claim it.

        Name and moment are one: `gc` until midnight is another than `gc` until noon. `tidy` forgets them afterwards.
        A name is made of lower-case letters, digits and hyphens.
        """
        ...

    def pulse(self) -> str | None:
        """Return a mark that changes whenever any manifest does; None: none is to be had at once, or just now.

        Asked each second by the one thread that serves: next to no work, and no waiting.
        """
        ...

    def tidy(self, *, put_before: datetime) -> int:
        """Remove what crashes and superseded generations left behind before a moment; return how many pieces."""
        ...


def parse_manifest(data: bytes, project: NormalizedName, where: str) -> Manifest:
    """Read a project's manifest from what a store has for it. Raises StoreDamagedError."""
    try:
        manifest = Manifest.from_json(data)
    except ValueError as error:
        raise StoreDamagedError(
            "not a manifest that can be read",
            where=where,
            hint="restore it from a backup; all other projects are served as before",
        ) from error
    if manifest.name != project:
        raise StoreDamagedError(f"the manifest of {manifest.name}, in the place of {project}'s", where=where)
    return manifest


def read_range(path: Path, start: int, end: int | None) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` up to `end` (not with it), in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        left = None if end is None else max(0, end - start)
        while data := file.read(CHUNK if left is None else min(CHUNK, left)):
            left = None if left is None else left - len(data)
            yield data


def claim_name(name: str, until: datetime) -> str:
    """Return what a store calls a claim; by these names alone `tidy` knows which are over."""
    return f"{int(until.timestamp()):012d}-{name}"


def is_over(claim: str, *, before: datetime) -> bool:
    """Say whether a claim was over before a moment."""
    seconds = claim.partition("-")[0]
    return seconds.isdecimal() and int(seconds) < before.timestamp()
