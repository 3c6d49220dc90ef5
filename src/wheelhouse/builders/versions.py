"""A tool's name in, the version that is installed beside us out: its metadata is read once a run."""

from __future__ import annotations

import functools
import importlib.metadata


@functools.cache
def tool_version(name: str) -> str:
    """Return the version of an installed distribution. Raises PackageNotFoundError."""
    return importlib.metadata.version(name)
