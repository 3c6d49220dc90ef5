"""Build requirements in, a folder of hashed wheels out: resolved once on the host, and the build's only index."""

from __future__ import annotations

from wheelhouse.requirements.gathering import gather
from wheelhouse.requirements.lock import Lock, Pin, Requirements
from wheelhouse.requirements.resolution import remembered, resolve

__all__ = ["Lock", "Pin", "Requirements", "gather", "remembered", "resolve"]
