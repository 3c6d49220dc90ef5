"""Wheels that are about to be published in; the same with their attestations out, and a word on them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from wheelhouse.errors import AttestationError, MachineError
from wheelhouse.publish.attesting import attest, attestations_of
from wheelhouse.publish.sigstore import SigstoreSigner, Unsigned, find_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.cli.session import Session
    from wheelhouse.publish import Publishable


def with_attestations(session: Session, wheels: Sequence[Publishable], *, asked: bool | None) -> list[Publishable]:
    """Return the wheels with the attestations beside them, or signed now by the identity of this CI job.

    `asked` None: signed where that is possible and harmless. Raises AttestationError.
    """
    if asked is False:
        return list(wheels)
    ready = [replace(wheel, attestations=attestations_of(wheel)) for wheel in wheels]
    if all(wheel.attestations for wheel in ready):
        return ready
    try:
        found = find_identity(os.environ, asked=asked is True)
        if not isinstance(found, Unsigned):
            with SigstoreSigner(found) as signer:
                signed = [replace(wheel, attestations=attest(wheel, signer)) for wheel in ready]
            session.say(f"{len(signed)} wheels attested by the identity of this job")
            return signed
    except (AttestationError, MachineError) as error:
        if asked:
            raise
        # Nobody asked for signatures, so that there are none stops nothing; but it is told.
        found = Unsigned(reason=str(error))
    if asked:
        raise AttestationError(f"nothing can be signed: {found.reason}", hint=found.hint)
    if os.environ.get("CI") or os.environ.get("GITHUB_ACTIONS"):
        session.say(f"not attested: {found.reason}")
    return ready
