"""A store in a bucket that speaks S3: `blobs/ab/ab12…`, `projects/<name>/000000000007.json`, `stages/<stage>/<name>/…`.

Each generation of a manifest is an object of its own, created with If-None-Match: of two writers the service itself
lets one through. (If-Match on one object would do as well, but fewer services honour it, and those that don't lose
updates without a word.) `open` proves that the service honours the condition. Superseded generations stay until `gc`.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store
from packaging.utils import NormalizedName, is_normalized_name

from wheelhouse.errors import NotOnIndexError, StoreUnavailableError, UsageError
from wheelhouse.index.model import Sha256, is_sha256
from wheelhouse.index.stores.store import CHUNK, Blob, claim_name, is_over, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from obstore import GetOptions, ObjectMeta

    from wheelhouse.index.model import Manifest

T = TypeVar("T")
R = TypeVar("R")
_PROBE = "conditional-writes"
_STAGES, _CLAIMS = "stages", "claims"
_FRESH = timedelta(hours=1)
"""A blob put so lately is not put again: `gc` leaves it alone for longer."""
_SMALL = 64 * 1024
"""Bytes that are put sooner than it is asked whether they are there."""
_AT_ONCE = 8
"""Requests on their way: what it helps against is the way to the service and back."""
_LONGEST_MESSAGE = 300
"""Services answer with whole pages."""
_ANSWERS = (FileNotFoundError, PermissionDeniedError, UnauthenticatedError)
"""The service is up, and time will not mend what it says: no such bucket, or not for these keys."""
_TIMEOUT = timedelta(seconds=30)
_PATIENCE = timedelta(seconds=3)
"""How long a request is tried again; who asks has a client waiting."""


@dataclass(frozen=True, slots=True)
class BucketStore:
    """Blobs and manifests in a bucket, or below a prefix of one."""

    bucket: S3Store
    address: str
    room: str = "projects"
    """What the keys of manifests begin with."""
    proven: threading.Event = field(default_factory=threading.Event)
    """Set once the service was seen to honour conditions."""

    @classmethod
    def open(cls, address: str) -> BucketStore:
        """Open `s3://bucket/prefix`; keys, region and endpoint come from the environment. The service may be down.

        Raises UsageError; StoreUnavailableError where the service has no such bucket, or not for these keys.
        """
        try:
            bucket = S3Store.from_url(
                address,
                config={"disable_bulk_delete": True},  # one by one works with every service
                client_options={"allow_http": True, "timeout": _TIMEOUT, "connect_timeout": timedelta(seconds=3)},
                retry_config={"max_retries": 3, "retry_timeout": _PATIENCE},
            )
        except (BaseError, ValueError) as error:
            raise UsageError(f"not an address of a bucket: {_first_line(error)}", where=address) from error
        store = cls(bucket, address)
        try:
            store._prove()
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, _ANSWERS):
                raise
            # else it does not answer, and may do so before the first write
        return store

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file in the system's folder for temporary files."""
        with NamedTemporaryFile(prefix="wheelhouse-") as file:
            yield cast(BinaryIO, file)

    def put_file(self, source: Path, sha256: Sha256) -> None:
        """Put a file's bytes, in parts where it is large."""
        if not self._is_fresh(sha256, source.stat().st_size):
            with self._service():
                obstore.put(self.bucket, _blob(sha256), source)

    def put_bytes(self, data: bytes, sha256: Sha256) -> None:
        """Put bytes."""
        if not self._is_fresh(sha256, len(data)):
            with self._service():
                obstore.put(self.bucket, _blob(sha256), data)

    def local_path(self, sha256: Sha256) -> Path | None:  # noqa: ARG002 - the protocol's
        """Return None: nothing lies on this machine."""
        return None

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Ask for a blob's size and time."""
        try:
            with self._service(may_be_absent=True):
                return _facts(obstore.head(self.bucket, _blob(sha256)))
        except FileNotFoundError:
            return None

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Stream bytes of a blob."""
        if end is not None and end <= start:
            return
        try:
            with self._service(may_be_absent=True):
                found = obstore.get(self.bucket, _blob(sha256), options=_options(start, end))
                for data in found.stream(min_chunk_size=CHUNK):
                    yield bytes(data)
        except FileNotFoundError as error:
            raise NotOnIndexError(f"the store has no bytes of sha256 {sha256}") from error

    def blobs(self) -> Iterator[Blob]:
        """List all blobs."""
        for meta in self._list("blobs"):
            if is_sha256(meta["path"].rpartition("/")[2]):
                yield _facts(meta)

    def remove_blob(self, sha256: Sha256, *, put_before: datetime) -> bool:
        """Remove a blob that was not put again since.

        S3 has no removal on condition that all services know: a blob put again between the question and the removal
        would be lost, so `put_before` has to lie further back than any upload lasts.
        """
        found = self.find_blob(sha256)
        if found is None or found.modified >= put_before:
            return False
        with self._service():
            obstore.delete(self.bucket, _blob(sha256))
        return True

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Find the newest generation, and read it. Without the first there is none: `tidy` leaves it."""
        if not self._has(self._manifest(project, 1)):
            return None
        while (generation := self._newest(project)) is not None:
            path = self._manifest(project, generation)
            try:
                with self._service(may_be_absent=True):
                    data = bytes(obstore.get(self.bucket, path).bytes())
            except FileNotFoundError:
                continue  # superseded and tidied away since it was listed
            return parse_manifest(data, project, f"{self.address}: {path}")
        return None

    def swap_manifest(self, manifest: Manifest) -> bool:
        """Create the next generation's object, if the one before it is there and nobody has created it.

        The one before it is the newest then: generations follow on each other, and only those go that were superseded
        longer ago than any change takes. So nothing has to be listed, which is the dearest question to a bucket.
        """
        self._prove()
        before = manifest.generation - 1
        if before and not self._has(self._manifest(manifest.name, before)):
            return False
        return self._create(self._manifest(manifest.name, manifest.generation), manifest.to_json())

    def write(self, blobs: Sequence[tuple[bytes, Sha256]], manifests: Sequence[Manifest]) -> list[bool]:
        """Put and create some side by side."""
        _side_by_side(lambda blob: self.put_bytes(*blob), blobs)
        return _side_by_side(self.swap_manifest, manifests)

    def projects(self) -> dict[NormalizedName, str]:
        """List the manifests; the newest generation is the mark."""
        newest: dict[NormalizedName, int] = {}
        for project, generation, _ in self._generations():
            newest[project] = max(generation, newest.get(project, 0))
        return {project: str(generation) for project, generation in newest.items()}

    def names(self) -> AbstractSet[NormalizedName]:
        """Return the names: a bucket lists both in one."""
        return self.projects().keys()

    def mark(self, project: NormalizedName) -> str | None:
        """Return the newest generation."""
        generation = self._newest(project)
        return None if generation is None else str(generation)

    def staged(self, stage: NormalizedName) -> BucketStore:
        """Return the same bucket, with other keys for manifests."""
        return replace(self, room=f"{_STAGES}/{stage}")

    def stages(self) -> list[NormalizedName]:
        """List the stages by their common prefixes."""
        with self._service():
            prefixes = obstore.list_with_delimiter(self.bucket, prefix=_STAGES)["common_prefixes"]
        names = (prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes)
        return sorted(NormalizedName(name) for name in names if is_normalized_name(name))

    def remove_manifest(self, manifest: Manifest, *, written_before: datetime) -> bool:
        """Remove all generations, the oldest first: at no moment is an older one the newest."""
        found = sorted(self._generations(f"/{manifest.name}"), key=lambda each: each[1])
        if not found or found[-1][1] != manifest.generation or found[-1][2]["last_modified"] >= written_before:
            return False
        for _, _, meta in found:
            with self._service():
                obstore.delete(self.bucket, meta["path"])
        return True

    def claim(self, name: str, *, until: datetime) -> bool:
        """Create an object that nobody has created before."""
        self._prove()
        return self._create(f"{_CLAIMS}/{claim_name(name, until)}", b"1")

    def pulse(self) -> None:
        """Return None: a bucket does not say when it was changed last."""

    def tidy(self, *, put_before: datetime) -> int:
        """Remove generations that were superseded before a moment, but not the first: by it a project is known.

        Claims that are over go too.
        """
        stages = [] if self.room.startswith(_STAGES) else self.stages()
        removed = sum(self.staged(stage).tidy(put_before=put_before) for stage in stages)
        found: dict[NormalizedName, list[tuple[int, ObjectMeta]]] = {}
        for project, generation, meta in self._generations():
            found.setdefault(project, []).append((generation, meta))
        if not self.room.startswith(_STAGES):
            self._tidy_claims(put_before)
        for generations in found.values():
            generations.sort(key=lambda pair: pair[0])
            for (number, old), (_, successor) in pairwise(generations):
                if number > 1 and successor["last_modified"] < put_before:
                    with self._service():
                        obstore.delete(self.bucket, old["path"])
                    removed += 1
        return removed

    def _tidy_claims(self, before: datetime) -> None:
        for meta in self._list(_CLAIMS):
            if is_over(meta["path"].rpartition("/")[2], before=before):
                with self._service():
                    obstore.delete(self.bucket, meta["path"])

    def _has(self, path: str) -> bool:
        try:
            with self._service(may_be_absent=True):
                obstore.head(self.bucket, path)
        except FileNotFoundError:
            return False
        return True

    def _newest(self, project: NormalizedName) -> int | None:
        return max((generation for _, generation, _ in self._generations(f"/{project}")), default=None)

    def _manifest(self, project: NormalizedName, generation: int) -> str:
        return f"{self.room}/{project}/{generation:012d}.json"

    def _generations(self, below: str = "") -> Iterator[tuple[NormalizedName, int, ObjectMeta]]:
        for meta in self._list(f"{self.room}{below}"):
            project, _, file = meta["path"].removeprefix(f"{self.room}/").partition("/")
            digits, suffix, _ = file.partition(".json")
            if suffix and digits.isdecimal() and is_normalized_name(project):
                yield NormalizedName(project), int(digits), meta

    def _list(self, prefix: str) -> Iterator[ObjectMeta]:
        with self._service():
            for batch in obstore.list(self.bucket, prefix=prefix):
                yield from batch

    def _is_fresh(self, sha256: Sha256, size: int) -> bool:
        if size <= _SMALL:
            return False
        found = self.find_blob(sha256)
        return found is not None and found.size == size and datetime.now(tz=UTC) - found.modified < _FRESH

    def _create(self, path: str, data: bytes) -> bool:
        try:
            with self._service():
                obstore.put(self.bucket, path, data, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def _prove(self) -> None:
        """See once that of two writers one is refused."""
        if self.proven.is_set():
            return
        if self._create(_PROBE, b"1") and self._create(_PROBE, b"2"):
            raise UsageError(
                "the service ignores If-None-Match, so two writers would undo each other's work",
                where=self.address,
                hint="use a service that honours conditional writes, or a folder",
            )
        self.proven.set()

    @contextmanager
    def _service(self, *, may_be_absent: bool = False) -> Iterator[None]:
        """Let FileNotFoundError through where it is an answer; of a request to write it means: no such bucket."""
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            if may_be_absent and isinstance(error, FileNotFoundError):
                raise
            raise StoreUnavailableError(
                str(error).splitlines()[0][:_LONGEST_MESSAGE],
                where=self.address,
                hint="is the service up, is the bucket there, and do the keys fit?",
            ) from error


def _side_by_side(act: Callable[[T], R], what: Sequence[T]) -> list[R]:
    """Make requests that do not wait for each other."""
    with ThreadPoolExecutor(min(_AT_ONCE, len(what)) or 1, thread_name_prefix="bucket") as pool:
        return list(pool.map(act, what))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:_LONGEST_MESSAGE]


def _facts(meta: ObjectMeta) -> Blob:
    name = Sha256(meta["path"].rpartition("/")[2])
    return Blob(sha256=name, size=meta["size"], modified=meta["last_modified"])


def _options(start: int, end: int | None) -> GetOptions:
    if end is not None:
        return {"range": (start, end)}
    return {"range": {"offset": start}} if start else {}


def _blob(sha256: Sha256) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
