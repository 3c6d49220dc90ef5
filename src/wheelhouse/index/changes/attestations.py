"""The attestations of an upload in, verified; the provenance object that is published beside the file out (PEP 740).

A file's attestation holds a certificate that says which job of which repository signed it. That has to be one of the
jobs that `[[serve.trusted-publishers]]` names for the project: repository, workflow and ref. (What else a table asks
of an identity is not in such a certificate, as on PyPI.) Signature, certificate and log entry are verified offline
with the trust root that comes with sigstore.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pydantic

from wheelhouse.errors import IndexRefusesError, MachineError
from wheelhouse.index.access.scopes import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pypi_attestations import Attestation, GitHubPublisher, GitLabPublisher

    from wheelhouse.index.access.publishers import Publisher
    from wheelhouse.index.model import FileName, Sha256

Policy = Literal["verify", "accept", "refuse"]
_MOST = 8
_LONGEST_REASON = 300
#: Extensions of a certificate: github.com/sigstore/fulcio, docs/oid-info.md.
_FULCIO = "1.3.6.1.4.1.57264.1."
_ISSUER, _REPOSITORY, _REF, _WORKFLOW = (f"{_FULCIO}{number}" for number in (8, 12, 14, 18))
#: Claims of an identity that a certificate has too, by the preset of the issuer.
_SHOWN = {"github": {"repository", "ref"}, "gitlab": {"project_path", "ref_path"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of an upload's attestations."""

    provenance: bytes | None = None
    remark: str = ""
    """What the sender is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestations:
    """Judges what comes with uploads."""

    policy: Policy = "accept"
    """accept: they are neither verified nor published, and the sender is told so."""
    publishers: tuple[Publisher, ...] = ()

    def look(self, text: str | None, name: FileName, sha256: Sha256) -> Looked:
        """Verify the field `attestations` of an upload. Raises IndexRefusesError."""
        if text is None:
            return Looked()
        if self.policy == "refuse":
            raise IndexRefusesError(f"{name.filename}: this index takes no attestations", hint="upload without them")
        if self.policy == "accept":
            return Looked(remark="its attestations were neither verified nor published")
        found = _parse(text, name)
        if not found:
            return Looked()
        return Looked(provenance=self._verify(found, name, sha256), remark="its attestations are verified")

    def _verify(self, found: Sequence[Attestation], name: FileName, sha256: Sha256) -> bytes:
        from pypi_attestations import (  # noqa: PLC0415 - an extra, and a second to load
            AttestationBundle,
            AttestationError,
            Distribution,
            Provenance,
        )
        from sigstore.errors import Error as SigstoreError  # noqa: PLC0415 - likewise

        file = Distribution(name=name.filename, digest=sha256)
        bundles = []
        for attestation in found:
            identity = self._identity(attestation, name)
            try:
                attestation.verify(identity, file, offline=True)
            except (AttestationError, SigstoreError) as error:
                raise _bad(name, str(error)) from error
            bundles.append(AttestationBundle(publisher=identity, attestations=[attestation]))
        return Provenance(attestation_bundles=bundles).model_dump_json().encode()

    def _identity(self, attestation: Attestation, name: FileName) -> GitHubPublisher | GitLabPublisher:
        """Return the trusted publisher that a certificate speaks of; whether it is genuine is seen afterwards."""
        from cryptography.x509 import DuplicateExtension, UnsupportedGeneralNameType  # noqa: PLC0415 - comes with it
        from pyasn1.error import PyAsn1Error  # noqa: PLC0415 - likewise

        try:
            claims = attestation.certificate_claims
        except (ValueError, TypeError, PyAsn1Error, DuplicateExtension, UnsupportedGeneralNameType) as error:
            raise _bad(name, "its certificate cannot be read") from error
        for publisher in self.publishers:
            if publisher.kind in _SHOWN and _fits(publisher, name, claims):
                return _publisher(publisher.kind, claims)
        told = f"{claims.get(_REPOSITORY, 'nobody known')} ({claims.get(_WORKFLOW, 'no workflow')})"
        raise _bad(
            name,
            f"it is signed by {told[:_LONGEST_REASON]!a}, no trusted publisher of {name.project}",
            hint="[[serve.trusted-publishers]] in wheelhouse.toml of the index names those who may",
        )


def ready(attestations: Attestations) -> Attestations:
    """Return them, if what they need is installed. Raises MachineError."""
    if attestations.policy == "verify":
        try:
            import pypi_attestations  # noqa: F401, PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise MachineError(
                f"to verify attestations needs {error.name}, which is not installed",
                where="serve.attestations",
                hint="pip install 'wheelhouse[attestations]'",
            ) from error
    return attestations


def _parse(text: str, name: FileName) -> list[Attestation]:
    from pypi_attestations import Attestation  # noqa: PLC0415 - an extra, and a second to load

    try:
        found = pydantic.TypeAdapter(list[Attestation]).validate_json(text)
        kinds = [attestation.statement["predicateType"] for attestation in found]
    except (ValueError, KeyError, TypeError) as error:
        raise _bad(name, "the field is no list of attestations as PEP 740 has them") from error
    if len(found) > _MOST or len(set(map(str, kinds))) < len(found):
        raise _bad(name, f"one of a kind, and no more than {_MOST}")
    return found


def _fits(publisher: Publisher, name: FileName, claims: Mapping[str, str]) -> bool:
    """Say whether a certificate's claims are a publisher's, as far as a certificate has them."""
    if not any(scope.allows(Action.UPLOAD, name.project) for scope in publisher.scopes):
        return False
    repository, workflow = _path(claims.get(_REPOSITORY, "")), claims.get(_WORKFLOW, "")
    shown = {key: value for key, value in publisher.claims.items() if key in _SHOWN[publisher.kind]}
    said = {
        "iss": claims.get(_ISSUER),
        "repository": repository,
        "project_path": repository,
        "ref": claims.get(_REF),
        "ref_path": claims.get(_REF),
        "job_workflow_ref": _path(workflow),
        "ci_config_ref_uri": workflow.removeprefix("https://"),
    }
    return replace(publisher, claims=shown).fits(said)


def _publisher(kind: str, claims: Mapping[str, str]) -> GitHubPublisher | GitLabPublisher:
    """Return the identity that the signature has to be by."""
    from pypi_attestations import GitHubPublisher, GitLabPublisher  # noqa: PLC0415 - an extra, and a second to load

    repository = _path(claims[_REPOSITORY])
    file = claims.get(_WORKFLOW, "").rpartition("@")[0]
    if kind == "gitlab":
        return GitLabPublisher(repository=repository, workflow_filepath=file.partition("//")[2].partition("//")[2])
    return GitHubPublisher(repository=repository, workflow=file.rpartition("/")[2])


def _path(address: str) -> str:
    try:
        return urlsplit(address).path.strip("/")
    except ValueError:
        return ""


def _bad(name: FileName, why: str, *, hint: str | None = None) -> IndexRefusesError:
    text = "".join(letter if letter.isprintable() else " " for letter in why)[:_LONGEST_REASON]
    return IndexRefusesError(f"{name.filename}: its attestation is not good: {text}", hint=hint)
