"""A source specification in; a verified, unpacked and patched source tree out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What a source says of how to build it. The same for the same `SourceSpec.digest`, for ever: it can be remembered."""

    requires: tuple[str, ...]
    """`build-system.requires` (PEP 518), or setuptools' where there is no `pyproject.toml`."""
    backend: str
    """`build-system.build-backend` (PEP 517), e.g. `mesonpy`."""
    epoch: int
    """SOURCE_DATE_EPOCH: the newest modification time in the archive, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """An unpacked, patched source."""

    root: Path
    """The folder with `pyproject.toml` or `setup.py`."""
    facts: SourceFacts
