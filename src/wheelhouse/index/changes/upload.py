"""An upload as twine and `uv publish` send it in, a published file out (the legacy upload API: POST /legacy/).

Streamed to the store's own disk and hashed on the way, looked into, published by one swap of the manifest. Whatever
is refused leaves nothing behind. Attestations that come along are published only where they were verified.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.changes.attestations import Attestations
from wheelhouse.index.changes.form import read_form
from wheelhouse.index.changes.repository import NewFile
from wheelhouse.index.changes.sdistfile import read_sdist
from wheelhouse.index.changes.wheelfile import read_wheel
from wheelhouse.index.model import FileName, parse_sha256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from wheelhouse.index.changes.attestations import Looked
    from wheelhouse.index.changes.form import Form
    from wheelhouse.index.changes.repository import Outcome, Repository
    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.index.model import File
    from wheelhouse.index.outages.outbox import Outbox

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
    outbox: Outbox | None = None
    """Where files of this repository go on being accepted while its store is down; None: nowhere."""

    async def take(
        self, body: AsyncIterator[bytes], *, content_type: str, authorize: Callable[[FileName], None]
    ) -> Taken:
        """Publish the file in the body of a request; `authorize` raises where its project is not the sender's.

        Raises IndexRefusesError for what is not right with it, FileExistsDifferentError where its name is taken,
        StoreUnavailableError and SpoolFullError where it cannot be kept now.
        """
        # For a stage too: what a killed server leaves in a spool is swept, and nobody sweeps the system's folder.
        with self.outbox.scratch() if self.outbox else self.repository.store.scratch() as file:
            form = await read_form(body, content_type=content_type, file=file, limit=self.limit)
            file.flush()
            name = FileName.parse(form.filename)
            authorize(name)
            _expect_claims(form, name)
            return await asyncio.to_thread(self._publish, form, name, Path(file.name))

    def _publish(self, form: Form, name: FileName, path: Path) -> Taken:
        read = read_wheel if name.kind == "wheel" else read_sdist
        described = read(path, name, bounds=self.bounds)
        sha256 = parse_sha256(form.digests["sha256"])
        looked = self.attestations.look(form.first("attestations"), name, sha256)
        new = NewFile(
            name=name,
            sha256=sha256,
            size=form.size,
            requires_python=described.requires_python,
            metadata=described.metadata if name.kind == "wheel" else None,  # PEP 658 speaks of wheels
            provenance=looked.provenance,
        )
        outbox = self._outbox
        outcome = outbox.publish(new, path) if outbox else self.repository.add_file(new, path)
        return Taken(outcome=outcome, remarks=tuple(filter(None, _remarks(form, looked, outcome.file))))

    @property
    def _outbox(self) -> Outbox | None:
        """Only its own repository's: the outbox of the index is none for a stage."""
        return self.outbox if self.outbox is not None and self.outbox.repository is self.repository else None


def _remarks(form: Form, looked: Looked, file: File) -> Iterator[str]:
    """Say what became of what came with a file."""
    if looked.provenance is not None and file.provenance is None:
        yield "it was published without attestations, and stays so"
    else:
        yield looked.remark
    if "gpg_signature" in form.fields:
        yield "its PGP signature was left aside: nobody verifies them, and PyPI does not keep them either"


def _expect_claims(form: Form, name: FileName) -> None:
    """Hold what the form says of the file against the file."""
    if form.first(":action") != "file_upload" or form.first("protocol_version") not in {"1", None}:
        raise IndexRefusesError("only `:action=file_upload` of protocol version 1 is spoken here")
    for kind, digest in form.digests.items():
        claimed = form.first(f"{kind}_digest")
        if claimed and not hmac.compare_digest(claimed.lower().encode(), digest.encode()):
            raise IndexRefusesError(
                f"{name.filename}: its {kind} is {digest}, the upload says {claimed[:64]}",
                hint="the file was damaged on its way, or changed while it was sent: upload it again",
            )
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
