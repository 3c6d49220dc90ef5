"""A stand-in for Sigstore's servers, which tests cannot reach: real keys, real X.509, no trust in any of it.

What it signs is an attestation in every field (PEP 740) that pypi-attestations reads and an index takes; its
certificate is signed by itself and its log entry was never logged, so no verifier of the world accepts it. That is what
tests of verifying hold it against; what a verifier does accept is in `index/changes/data`, signed by a real job.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pypi_attestations import Attestation

if TYPE_CHECKING:
    from collections.abc import Mapping

GITHUB = "https://token.actions.githubusercontent.com"
_FULCIO = "1.3.6.1.4.1.57264.1."


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInSigner:
    """Signs as a job of GitHub's whose identity nobody vouches for."""

    repository: str = "acme/wheels"
    workflow: str = "release.yml"
    issuer: str = GITHUB
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def sign(self, statement: bytes) -> Mapping[str, Any]:
        kind = b"application/vnd.in-toto+json"  # DSSE's pre-authentication encoding
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(statement), statement)
        found = Attestation.model_validate(
            {
                "version": 1,
                "verification_material": {
                    "certificate": _text(self._certificate()),
                    "transparency_entries": [{"logIndex": "1", "standIn": "never logged"}],
                },
                "envelope": {
                    "statement": _text(statement),
                    "signature": _text(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
                },
            }
        )
        table: dict[str, Any] = found.model_dump(mode="json")
        return table

    def _certificate(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
        now = dt.datetime.now(dt.UTC)
        home = f"https://github.com/{self.repository}"
        claims = {8: self.issuer, 12: home, 14: "refs/heads/main"}
        claims[18] = f"{home}/.github/workflows/{self.workflow}@refs/heads/main"
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(minutes=10))
        )
        for number, value in claims.items():
            data = value.encode()
            length = bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_FULCIO}{number}"), b"\x0c" + length + data)
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
