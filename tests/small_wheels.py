"""Wheels made on the spot, with any content, in any shape of archive."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallWheel:
    """What is in it."""

    name: str = "spam"
    version: str = "1.0"
    tag: str = "py3-none-any"
    files: Mapping[str, str | bytes] = field(default_factory=lambda: {"spam/__init__.py": "ANSWER = 42\n"})
    metadata: str = ""
    """Further lines of METADATA."""

    @property
    def dist_info(self) -> str:
        return f"{self.name}-{self.version}.dist-info"

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-{self.tag}.whl"

    def members(self) -> dict[str, bytes]:
        """Return all files, RECORD as the last."""
        texts: dict[str, str | bytes] = {
            **self.files,
            f"{self.dist_info}/METADATA": (
                f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n{self.metadata}"
            ),
            f"{self.dist_info}/WHEEL": (
                f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: false\nTag: {self.tag}\n"
            ),
        }
        members = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
        rows = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in members.items()]
        record = f"{self.dist_info}/RECORD"
        return {**members, record: "\n".join([*rows, f"{record},,", ""]).encode()}

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.members().items():
                entry = zipfile.ZipInfo(name)  # of a fixed time: the same wheel, written again, has the same bytes
                entry.external_attr = 0o600 << 16
                archive.writestr(entry, data, compress_type=archive.compression)
        return path


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
