"""An upload as twine and `uv publish` send it in, a published file out (the legacy upload API: POST /legacy/).

Streamed (a large file to the store's own disk, a small one into memory), looked into, published by one swap of the
manifest. Whatever is refused leaves nothing behind. Attestations that come along are published only where they were
verified.
"""

from __future__ import annotations

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.changes.attestations import Attestations
from wheelhouse.index.changes.form import HASHES, read_form
from wheelhouse.index.changes.repository import NewFile
from wheelhouse.index.changes.sdistfile import read_sdist
from wheelhouse.index.changes.wheelfile import read_wheel
from wheelhouse.index.model import FileName, parse_sha256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from wheelhouse.index.changes.attestations import Looked
    from wheelhouse.index.changes.form import Form
    from wheelhouse.index.changes.repository import Outcome, Repository
    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.index.model import File
    from wheelhouse.index.outages.outbox import Outbox

#: Uploads that are looked into and kept at once; a disk serves many syncs in the time of one.
AT_ONCE = 16
#: Requests with many files that are in memory at once.
_PARCELS = 16
#: The field `filetype` by kind of file.
_FILE_TYPES = {"wheel": "bdist_wheel", "sdist": "sdist"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An upload that was taken."""

    outcome: Outcome
    remarks: tuple[str, ...] = ()
    """What its sender has to know besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Takes uploads for a repository."""

    repository: Repository
    limit: int
    """Bytes of one file."""
    bounds: Bounds
    attestations: Attestations = field(default_factory=Attestations)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "upload"), repr=False)
    """Of uploads alone: they wait for the disk most of their time, and nobody else is to wait for them."""
    parcels: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PARCELS), repr=False)
    """Held by a request with many files: they are in memory."""
    one_thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "parcel"), repr=False)
    """Of requests with many files, one after the other: two that look into files and write files only hold each other
    up, since Python runs in one of them at a time."""
    outbox: Outbox | None = None
    """Where files of this repository go on being accepted while its store is down; None: nowhere."""

    async def take(
        self,
        body: AsyncIterator[bytes],
        *,
        content_type: str,
        authorize: Callable[[FileName], None],
        taken: Callable[[Taken], None] = lambda taken: None,  # noqa: ARG005 - nobody wants to know
    ) -> Taken:
        """Publish the file in the body of a request; `authorize` raises where its project is not the sender's.

        `taken` is told of it in the thread that has published it, before this returns. Raises IndexRefusesError for
        what is not right with the file, FileExistsDifferentError where its name is taken, StoreUnavailableError and
        SpoolFullError where it cannot be kept now.
        """
        with ExitStack() as stack:
            form = await read_form(
                body,
                content_type=content_type,
                spill=lambda: stack.enter_context(self._scratch()),
                limit=self.limit,
            )
            name = FileName.parse(form.filename)
            authorize(name)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.threads, self._take, form, name, taken)

    def _take(self, form: Form, name: FileName, taken: Callable[[Taken], None]) -> Taken:
        """Look into a file, publish it and tell of it: all in one thread, since going to another costs as much."""
        _expect_claims(form, name)
        new, looked = self.look(form, name)
        with self._on_disk(form) as path:
            outcome = self._publish(new, path)
        done = Taken(outcome=outcome, remarks=remarks(form, looked, outcome.file))
        taken(done)
        return done

    def look(self, form: Form, name: FileName) -> tuple[NewFile, Looked]:
        """Look into a file, and at the attestations that came with it. Raises IndexRefusesError."""
        _expect_digests(form, name)
        read = read_wheel if name.kind == "wheel" else read_sdist
        described = read(form.file, name, bounds=self.bounds)
        sha256 = parse_sha256(form.digest("sha256"))
        looked = self.attestations.look(form.first("attestations"), name, sha256)
        new = NewFile(
            name=name,
            sha256=sha256,
            size=form.size,
            requires_python=described.requires_python,
            metadata=described.metadata if name.kind == "wheel" else None,  # PEP 658 speaks of wheels
            provenance=looked.provenance,
        )
        return new, looked

    @contextmanager
    def _on_disk(self, form: Form) -> Iterator[Path]:
        """Bring the file to where it is published from, if it is not there."""
        small = form.small
        if small is None:
            form.file.flush()
            yield Path(form.file.name)
            return
        with self._scratch() as file:
            file.write(small)
            file.flush()
            yield Path(file.name)

    def _publish(self, new: NewFile, path: Path) -> Outcome:
        outbox = self.own_outbox
        return outbox.publish(new, path) if outbox else self.repository.add_file(new, path)

    def _scratch(self) -> AbstractContextManager[BinaryIO]:
        """Open a file for an upload on its way.

        For a stage too: what a killed server leaves in a spool is swept, and nobody sweeps the system's folder.
        """
        return self.outbox.scratch() if self.outbox else self.repository.store.scratch()

    @property
    def own_outbox(self) -> Outbox | None:
        """The outbox, for its own repository's: the outbox of the index is none for a stage."""
        return self.outbox if self.outbox is not None and self.outbox.repository is self.repository else None


def remarks(form: Form, looked: Looked, file: File) -> tuple[str, ...]:
    """Say what became of what came with a file."""
    late = looked.provenance is not None and file.provenance is None
    attested = "it was published without attestations, and stays so" if late else looked.remark
    unwanted = "its PGP signature was left aside: nobody verifies them, and PyPI does not keep them either"
    return tuple(filter(None, (attested, unwanted if "gpg_signature" in form.fields else "")))


def _expect_digests(form: Form, name: FileName) -> None:
    """Hold what the form says of the bytes against the bytes. Raises IndexRefusesError."""
    for kind in HASHES:
        claimed = form.first(f"{kind}_digest")
        if not claimed:
            continue
        digest = form.digest(kind)
        if not hmac.compare_digest(claimed.lower().encode(), digest.encode()):
            raise IndexRefusesError(
                f"{name.filename}: its {kind} is {digest}, the upload says {claimed[:64]}",
                hint="the file was damaged on its way, or changed while it was sent: upload it again",
            )


def _expect_claims(form: Form, name: FileName) -> None:
    """Hold what the form says of the file against its name. Raises IndexRefusesError."""
    if form.first(":action") != "file_upload" or form.first("protocol_version") not in {"1", None}:
        raise IndexRefusesError("only `:action=file_upload` of protocol version 1 is spoken here")
    if form.first("filetype") not in {_FILE_TYPES[name.kind], None}:
        raise IndexRefusesError(f"{name.filename} is not of the type {form.first('filetype')}")
    project, version = form.first("name"), form.first("version")
    if project is None or canonicalize_name(project) != name.project:
        raise IndexRefusesError(f"{name.filename} is not a file of the project {project!r}")
    if version is None or not _same(version, name.version):
        raise IndexRefusesError(f"{name.filename} is not of version {version!r}")


def _same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False
