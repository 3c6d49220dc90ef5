"""A file that waits for the store, as an item of the spool and back; and what a project is with such files in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256 as new_sha256
from typing import TYPE_CHECKING

from wheelhouse.index.changes.repository import NewFile
from wheelhouse.index.changes.wheelfile import read_metadata
from wheelhouse.index.model import File, FileName, Manifest, Sha256, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.spool import Item

#: Where such items are to go.
TARGET = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFile:
    """A file that was acknowledged, and is in the spool but not yet in the store."""

    id: int
    """The item's."""
    name: FileName
    file: File
    """As it will be in the manifest."""
    path: Path
    """Its bytes."""
    metadata_size: int
    provenance: bytes | None

    def arrival(self, bounds: Bounds) -> tuple[NewFile, Path]:
        """Return what a repository is given. Raises OSError and IndexRefusesError where its bytes are damaged."""
        return self.new_file(read_metadata(self.path, self.name, bounds=bounds) if self.metadata_size else None)

    def new_file(self, metadata: bytes | None) -> tuple[NewFile, Path]:
        """Return it as an upload."""
        new = NewFile(
            name=self.name,
            sha256=self.file.sha256,
            size=self.file.size,
            hashes=self.file.hashes,
            requires_python=self.file.requires_python,
            metadata=metadata,
            provenance=self.provenance,
            uploaded=self.file.upload_time,
        )
        return new, self.path


def to_fields(new: NewFile, uploaded: datetime) -> dict[str, str]:
    """Return what an item says of a file besides its bytes, of which METADATA is a part."""
    known = {
        "uploaded": uploaded.isoformat(),
        "hashes": json.dumps(dict(new.hashes)) if new.hashes else None,
        "requires_python": new.requires_python,
        "metadata_sha256": None if new.metadata is None else digest(new.metadata),
        "metadata_size": None if new.metadata is None else str(len(new.metadata)),
        "provenance": None if new.provenance is None else new.provenance.decode("utf-8"),
    }
    return {key: value for key, value in known.items() if value is not None}


def from_item(item: Item) -> PendingFile:
    """Read an item. Raises ValueError, IndexRefusesError where it is none that `to_fields` has made."""
    fields: Mapping[str, str] = item.fields
    if "uploaded" not in fields:
        raise ValueError(f"item {item.id} is none of an upload")
    name = FileName.parse(item.name)
    metadata = fields.get("metadata_sha256")
    provenance = fields["provenance"].encode() if "provenance" in fields else None
    return PendingFile(
        id=item.id,
        name=name,
        file=File(
            filename=name.filename,
            version=str(name.version),
            sha256=Sha256(item.sha256),
            size=item.size,
            upload_time=datetime.fromisoformat(fields["uploaded"]).astimezone(UTC),
            hashes=json.loads(fields.get("hashes", "{}")),
            requires_python=fields.get("requires_python"),
            core_metadata=None if metadata is None else Sha256(metadata),
            provenance=None if provenance is None else digest(provenance),
        ),
        path=item.path,
        metadata_size=int(fields.get("metadata_size", 0)),
        provenance=provenance,
    )


def merge(manifest: Manifest | None, project: NormalizedName, waiting: Iterable[PendingFile]) -> Manifest:
    """Return a project's manifest with the files that wait: what is published goes first, and a name is taken once."""
    base = manifest or Manifest(name=project)
    taken = {file.filename for file in base.files} | base.deleted.keys()
    fresh = {pending.file.filename: pending.file for pending in waiting if pending.file.filename not in taken}
    return base.model_copy(update={"files": in_order([*base.files, *fresh.values()])}) if fresh else base


def digest(data: bytes) -> Sha256:
    """Return the name that a store has for bytes."""
    return Sha256(new_sha256(data).hexdigest())
