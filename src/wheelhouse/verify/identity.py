"""`github:owner/repo` in; whether attestations are signed by it out: offline, with the trust root of sigstore.

What the fields of a certificate mean: github.com/sigstore/fulcio, docs/oid-info.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from wheelhouse.errors import MachineError, UsageError
from wheelhouse.verify.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pypi_attestations import Attestation, GitHubPublisher, GitLabPublisher

    from wheelhouse.finding import Finding

_FULCIO = "1.3.6.1.4.1.57264.1."
_ISSUER, _REPOSITORY, _WORKFLOW = (f"{_FULCIO}{number}" for number in (8, 12, 18))
_KINDS: Mapping[str, Literal["github", "gitlab"]] = {
    "https://token.actions.githubusercontent.com": "github",
    "https://gitlab.com": "gitlab",
}
_LONGEST = 300
_OWNER_AND_NAME = 2
_HINT = "github:OWNER/REPO, github:OWNER/REPO/WORKFLOW.yml or gitlab:GROUP/PROJECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose CI jobs sign."""

    kind: Literal["github", "gitlab"]
    repository: str
    workflow: str | None = None
    """The workflow's file; None: any."""

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read `github:owner/repo`, with `/workflow.yml` behind it if only that may sign. Raises UsageError."""
        kind, _, rest = text.partition(":")
        parts = rest.split("/")
        if kind == "github" and all(parts) and len(parts) in {_OWNER_AND_NAME, _OWNER_AND_NAME + 1}:
            return cls(kind="github", repository="/".join(parts[:2]), workflow="".join(parts[2:]) or None)
        if kind == "gitlab" and all(parts) and len(parts) >= _OWNER_AND_NAME:
            return cls(kind="gitlab", repository=rest)
        raise UsageError(f"`{text}` is no identity", hint=_HINT)

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.kind}:{self.repository}{f'/{self.workflow}' if self.workflow else ''}"

    def covers(self, other: Identity) -> bool:
        """Say whether another identity, that of a certificate, is this one. The forges do not tell names by case."""
        return (
            self.kind == other.kind
            and self.repository.casefold() == other.repository.casefold()
            and self.workflow in {None, other.workflow}
        )


def check_signatures(
    attestations: Sequence[Any], *, filename: str, sha256: str, expected: Identity | None
) -> Iterator[Finding]:
    """Verify attestations (PEP 740), as JSON has them. Raises MachineError where the library for it is missing.

    Without an expected identity anybody's signature is good, and who it is is told.
    """
    if not attestations:
        if expected is not None:
            yield Code.SIGNER.finding(f"it is not signed at all, and should be by {expected}")
        else:
            yield Code.NOT_SIGNED.finding("no attestations were found")
        return
    _require_library()
    for number, attestation in enumerate(attestations, 1):
        yield _check(attestation, f"attestation {number}", filename=filename, sha256=sha256, expected=expected)


def statements(attestations: Sequence[Any]) -> Iterator[bytes]:
    """Yield what attestations state, whoever signed it; what is no attestation is passed over."""
    if not attestations:
        return
    _require_library()
    from pypi_attestations import Attestation  # noqa: PLC0415 - an extra, and a second to load

    for one in attestations:
        try:
            yield Attestation.model_validate(one).envelope.statement
        except ValueError:
            continue


def _check(given: Any, where: str, *, filename: str, sha256: str, expected: Identity | None) -> Finding:
    from cryptography.x509 import DuplicateExtension, UnsupportedGeneralNameType  # noqa: PLC0415 - comes with it
    from pyasn1.error import PyAsn1Error  # noqa: PLC0415 - likewise
    from pypi_attestations import Attestation, AttestationError, Distribution  # noqa: PLC0415 - an extra
    from sigstore.errors import Error as SigstoreError  # noqa: PLC0415 - likewise

    try:
        attestation = Attestation.model_validate(given)
        signer = _signer(attestation)
    except (ValueError, TypeError, PyAsn1Error, DuplicateExtension, UnsupportedGeneralNameType):
        return Code.SIGNATURE.finding("is no attestation that can be read (PEP 740)", where=where)
    if signer is None or (expected is not None and not expected.covers(signer)):
        said = signer or "neither GitHub nor GitLab"
        wanted = f"and should be by {expected}" if expected else "whose jobs are not known here"
        return Code.SIGNER.finding(f"says to be signed by {said}, {wanted}", where=where)
    try:
        kind, _ = attestation.verify(_publisher(signer), Distribution(name=filename, digest=sha256), offline=True)
    except (AttestationError, SigstoreError) as error:
        return Code.SIGNATURE.finding(_line(error), where=where)
    if expected is not None:
        return Code.SIGNED.finding(f"signed by {signer}: {kind}", where=where)
    hint = f"--identity {signer.kind}:{signer.repository} asks for it"
    return Code.SIGNED.finding(f"signed by {signer}, whoever that is: {kind}", where=where, hint=hint)


def _signer(attestation: Attestation) -> Identity | None:
    """Return whom the certificate speaks of; whether it is genuine is seen afterwards."""
    claims = attestation.certificate_claims
    kind = _KINDS.get(claims.get(_ISSUER, ""))
    if kind is None:
        return None
    repository = urlsplit(claims.get(_REPOSITORY, "")).path.strip("/")
    file = claims.get(_WORKFLOW, "").rpartition("@")[0]
    workflow = file.rpartition("/")[2] if kind == "github" else file.partition("//")[2].partition("//")[2]
    return Identity(kind=kind, repository=repository, workflow=workflow)


def _publisher(signer: Identity) -> GitHubPublisher | GitLabPublisher:
    from pypi_attestations import GitHubPublisher, GitLabPublisher  # noqa: PLC0415 - an extra, and a second to load

    if signer.kind == "gitlab":
        return GitLabPublisher(repository=signer.repository, workflow_filepath=signer.workflow or "")
    return GitHubPublisher(repository=signer.repository, workflow=signer.workflow or "")


def _require_library() -> None:
    try:
        import pypi_attestations  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MachineError(
            f"to verify attestations needs {error.name}, which is not installed",
            hint="pip install 'wheelhouse[attestations]'",
        ) from error


def _line(error: Exception) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(error))[:_LONGEST]
