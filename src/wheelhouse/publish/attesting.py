"""Wheels that are about to be sent in; their attestations (PEP 740) out: read from beside them, or signed here.

Two for each: that this job published it, and its provenance (SLSA v1), where wheelhouse made it. They are kept beside
the wheel under the names that twine knows: `<wheel>.publish.attestation` and `<wheel>.provenance.attestation`.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wheelhouse.provenance import PREDICATE, read_statement
from wheelhouse.record import write_atomically
from wheelhouse.results import provenance_beside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.publish.prepare import Publishable

#: The kinds of statement that PEP 740's indexes take, by the name of the file.
_KINDS = {"publish": "https://docs.pypi.org/attestations/publish/v1", "provenance": PREDICATE}


class Signer(Protocol):
    """Signs statements."""

    def sign(self, statement: bytes) -> Mapping[str, Any]:
        """Return an attestation of an in-toto statement, as JSON has it. Raises AttestationError."""
        ...


def attestations_of(wheel: Publishable) -> tuple[Mapping[str, Any], ...]:
    """Return the attestations that lie beside a wheel and are of these very bytes. Nobody's signature is verified."""
    places = ((_place(wheel.path, kind), predicate) for kind, predicate in _KINDS.items())
    # Of most wheels there are none, and of many wheels it is asked.
    there = ((Path(place), predicate) for place, predicate in places if os.path.exists(place))  # noqa: PTH110 - a third of the time
    found = (_read(place, wheel, predicate) for place, predicate in there)
    return tuple(one for one in found if one is not None)


def attest(wheel: Publishable, signer: Signer) -> tuple[Mapping[str, Any], ...]:
    """Return the attestations of a wheel; those that are not there are signed, and kept beside it.

    Raises AttestationError.
    """
    for kind, predicate in _KINDS.items():
        place = Path(_place(wheel.path, kind))
        statement = _statement(wheel, kind, predicate)
        if statement is not None and _read(place, wheel, predicate) is None:
            write_atomically(place, json.dumps(signer.sign(statement)).encode())
            place.chmod(0o644)
    return attestations_of(wheel)


def _place(wheel: Path, kind: str) -> str:
    return f"{wheel}.{kind}.attestation"


def _statement(wheel: Publishable, kind: str, predicate: str) -> bytes | None:
    """Return what is to be signed; None: nothing of that kind is known of this wheel."""
    if kind == "publish":
        subject = {"name": wheel.name.filename, "digest": {"sha256": wheel.sha256}}
        table = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [subject],
            "predicateType": predicate,
            "predicate": None,
        }
        return json.dumps(table).encode()
    try:
        data = provenance_beside(wheel.path).read_bytes()
        return data if read_statement(data).is_of(wheel.name.filename, wheel.sha256) else None
    except (OSError, ValueError):
        return None


def _read(place: Path, wheel: Publishable, predicate: str) -> Mapping[str, Any] | None:
    """Return an attestation if it is one, of this kind and of these bytes; one of an older wheel counts as none."""
    try:
        found = json.loads(place.read_bytes())
        stated = json.loads(base64.b64decode(found["envelope"]["statement"]))
        (subject,) = stated["subject"]
        same = (stated["predicateType"], subject["name"], subject["digest"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if same == (predicate, wheel.name.filename, wheel.sha256) else None
