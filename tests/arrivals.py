"""Files on their way into an index, made to order; what is inside does not matter to the repository."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wheelhouse.index.changes.repository import NewFile
from wheelhouse.index.model import FileName, Sha256

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = "spam-1.0-py3-none-any.whl"


def sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


def an_arrival(
    folder: Path, filename: str = WHEEL, data: bytes = b"spam", metadata: bytes | None = b"Name: spam\n"
) -> tuple[NewFile, Path]:
    """Write a file, and describe it as an upload does."""
    path = folder / f"upload-{sha256(data)[:8]}-{filename}"
    path.write_bytes(data)
    name = FileName.parse(filename)
    return NewFile(name=name, sha256=sha256(data), size=len(data), metadata=metadata, requires_python=">=3.9"), path
