"""A wheel's place in; what lies beside it and tells of it out: provenance and attestations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wheelhouse.results import provenance_beside

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.finding import Finding

_MOST = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is told of a wheel, not yet believed."""

    provenance: bytes | None = None
    """A statement that nobody signed."""
    attestations: tuple[Any, ...] = ()
    """Signed statements (PEP 740), as JSON has them."""
    findings: tuple[Finding, ...] = ()
    """What was found on the way to them."""

    def __or__(self, other: Claims) -> Claims:
        """Put together what is told in two places; the same attestation counts once."""
        attestations = [*self.attestations, *(one for one in other.attestations if one not in self.attestations)]
        return Claims(
            provenance=self.provenance or other.provenance,
            attestations=tuple(attestations),
            findings=(*self.findings, *other.findings),
        )


def claims_beside(wheel: Path) -> Claims:
    """Return what lies beside a wheel: `.provenance/<wheel>.json`, and `<wheel>.*.attestation` as twine has them."""
    found = provenance_beside(wheel)
    attestations = [_json(path) for path in sorted(wheel.parent.glob(f"{wheel.name}.*.attestation"))]
    return Claims(provenance=_read(found) if found.is_file() else None, attestations=tuple(attestations))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST)


def _json(path: Path) -> Any:
    """Return a file as JSON; None, which is no attestation, where it is none."""
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError):
        return None
