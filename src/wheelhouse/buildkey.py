"""The inputs of a job in, its build key out; and two sets of inputs in, what changed out.

Inputs are a flat mapping of name to text (`source.sha256`, `tool.auditwheel`, `requirement.setuptools`), so that a
difference has a name that a person can read.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Raised when the same inputs would give other bytes because wheelhouse itself works otherwise.
FORMAT = "3"
_SHORT = 16


def build_key(inputs: Mapping[str, str]) -> str:
    """Return the digest (sha256, hex) of everything that determines a job's output."""
    text = json.dumps({"format": FORMAT, **inputs}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield one line for each input that differs, as `tool.auditwheel: 6.8.1 -> 6.8.2`."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name}: {_short(old)} -> {_short(new)}"


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    return f"{value[:_SHORT]}…" if len(value) == hashlib.sha256().digest_size * 2 and value.isalnum() else value
