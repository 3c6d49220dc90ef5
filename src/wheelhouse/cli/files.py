"""Paths from the command line in, the wheels that they mean out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def wheel_files(given: Iterable[Path]) -> list[Path]:
    """Return the wheels named, and those in the folders named; each once. Raises UsageError for a folder with none."""
    found: dict[Path, None] = {}
    for path in given:
        inside = sorted(path.glob("*.whl")) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"no wheels in {path}")
        found |= dict.fromkeys(inside)
    return list(found)
