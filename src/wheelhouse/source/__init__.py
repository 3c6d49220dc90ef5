"""A source specification in; a verified, unpacked and patched source tree out."""

from __future__ import annotations

from wheelhouse.source.facts import SourceFacts
from wheelhouse.source.tree import SourceTree, fetch, prepare, remembered_facts

__all__ = ["SourceFacts", "SourceTree", "fetch", "prepare", "remembered_facts"]
