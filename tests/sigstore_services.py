"""A stand-in for Sigstore's servers on this machine, which tests cannot reach: an authority and a log that
nobody trusts but who is told to.

It is not Sigstore. What it answers is made the way Fulcio and Rekor (v1) make it, so that sigstore's own client signs
with it and its own verifier verifies it: certificates of ten minutes for what an identity says, with the receipt of a
certificate log, and entries of a Merkle tree with signed checkpoints. It believes identities without asking who gave
them, and calls them GitHub's. Who is to trust it gets `trusting`: an environment in which the trust root that
sigstore keeps is this one's, and can be renewed from nowhere.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

GITHUB = "https://token.actions.githubusercontent.com"
_FULCIO = "1.3.6.1.4.1.57264.1."
_RECEIPTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
#: Where sigstore's client keeps what it knows of the real one.
_KEPT = "sigstore-python/tuf/https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
_LIFETIME = dt.timedelta(minutes=10)
_ORIGIN = "stand-in.example - 1"


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(kw_only=True)
class StandIn:
    """The keys of an authority, its log of certificates and its log of signatures; and what was logged."""

    url: str = ""
    authority: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    receipts: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    leaves: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in for Sigstore, of a test")])
        self.root = (
            _certificate(name, name, self.authority.public_key(), dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def trusting(self, folder: Path) -> dict[str, str]:
        """Return the environment of processes that trust this one for Sigstore. `folder` is theirs."""
        cache, data = folder / "cache", folder / "data"
        (cache / _KEPT).mkdir(parents=True)
        (cache / _KEPT / "trusted_root.json").write_text(json.dumps(self._trusted()))
        (cache / _KEPT / "signing_config.v0.2.json").write_text(json.dumps(self._services()))
        # A file where the folder of the real one's metadata should be: it can be asked for nothing newer.
        (data / _KEPT).parent.mkdir(parents=True)
        (data / _KEPT).touch()
        return {"XDG_CACHE_HOME": str(cache), "XDG_DATA_HOME": str(data)}

    def _trusted(self) -> dict[str, Any]:
        authority = {"subject": {"organization": "stand-in", "commonName": "stand-in"}, "uri": self.url}
        certificates = [{"rawBytes": _text(self.root.public_bytes(serialization.Encoding.DER))}]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_told(self.log, self.url)],
            "certificateAuthorities": [authority | {"certChain": {"certificates": certificates}, "validFor": _valid()}],
            "ctlogs": [_told(self.receipts, self.url)],
        }

    def _services(self) -> dict[str, Any]:
        service = {"url": self.url, "majorApiVersion": 1, "validFor": _valid(), "operator": "stand-in"}
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service],
            "oidcUrls": [service],
            "rekorTlogUrls": [service],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }

    def certify(self, request: Mapping[str, Any], identity: str) -> dict[str, Any]:
        """Answer as Fulcio does: a certificate for a key, of what an identity says."""
        asked = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        claims = jwt.decode(identity, options={"verify_signature": False})
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert asked.is_signature_valid
        builder = _certificate(x509.Name([]), self.root.subject, public, _LIFETIME)
        job = f"https://github.com/{claims['job_workflow_ref']}"
        builder = (
            builder.add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(job)]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()), critical=False
            )
        )
        workflow = f"https://github.com/{claims.get('workflow_ref', claims['job_workflow_ref'])}"
        said = {8: GITHUB, 9: job, 12: f"https://github.com/{claims['repository']}", 13: claims.get("sha", "0" * 40)}
        for number, value in (said | {14: claims["ref"], 18: workflow}).items():
            oid = x509.ObjectIdentifier(f"{_FULCIO}{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _utf8(value)), critical=False)
        draft = builder.sign(self.authority, hashes.SHA256())
        receipt = x509.UnrecognizedExtension(_RECEIPTS, self._receipt(draft.tbs_certificate_bytes))
        made = builder.add_extension(receipt, critical=False).sign(self.authority, hashes.SHA256())
        chain = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (made, self.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _receipt(self, draft: bytes) -> bytes:
        """Return a list of one signed certificate timestamp (RFC 6962, 3.2), as DER has it."""
        now = int(time.time() * 1000)
        entry = _id(self.authority) + len(draft).to_bytes(3) + draft
        signed = self.receipts.sign(
            struct.pack("!BBQH", 0, 0, now, 1) + entry + b"\0\0",
            ec.ECDSA(hashes.SHA256()),
        )
        timestamp = b"\0" + _id(self.receipts) + struct.pack("!QHBBH", now, 0, 4, 3, len(signed)) + signed
        listed = len(timestamp).to_bytes(2) + timestamp
        return _der(4, len(listed).to_bytes(2) + listed)

    def enter(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer as Rekor does: an entry of its log, and the proof that it is there."""
        assert request["kind"] == "dsse"
        proposed = request["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        payload = base64.b64decode(envelope["payload"])
        (signature,), (verifier,) = envelope["signatures"], proposed["verifiers"]
        content: dict[str, Any] = {
            "envelopeHash": _hash(proposed["envelope"].encode()),
            "payloadHash": _hash(payload),
            "signatures": [{"signature": signature["sig"], "verifier": verifier}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": content})
        with self.lock:
            self.leaves.append(body)
            leaves = list(self.leaves)
        index = len(leaves) - 1
        entry: dict[str, Any] = {
            "body": _text(body),
            "integratedTime": int(time.time()),
            "logID": _id(self.log).hex(),
            "logIndex": index,
        }
        root = _tree(leaves)
        note = f"{_ORIGIN}\n{len(leaves)}\n{_text(root)}\n"
        signed = _text(_id(self.log)[:4] + self._sign(note.encode()))
        proof = {
            "checkpoint": f"{note}\n\N{EM DASH} {_ORIGIN.split(maxsplit=1)[0]} {signed}\n",
            "hashes": [one.hex() for one in _path(index, leaves)],
            "logIndex": index,
            "rootHash": root.hex(),
            "treeSize": len(leaves),
        }
        promise = _text(self._sign(rfc8785.dumps(entry)))
        verification = {"inclusionProof": proof, "signedEntryTimestamp": promise}
        return {hashlib.sha256(body).hexdigest(): {**entry, "verification": verification}}

    def _sign(self, data: bytes) -> bytes:
        return self.log.sign(data, ec.ECDSA(hashes.SHA256()))


@contextmanager
def stand_in_for_sigstore() -> Iterator[StandIn]:
    """Serve one on any free port."""
    services = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/v2/signingCert":
                answer = services.certify(request, self.headers["Authorization"].removeprefix("Bearer "))
            else:
                assert self.path.rstrip("/") == "/api/v1/log/entries"
                answer = services.enter(request)
            data = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    services.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield services
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(seconds=5))
        .not_valid_after(now + lifetime)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


def _told(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _text(_public(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": _valid()},
        "logId": {"keyId": _text(_id(key))},
    }


def _valid() -> dict[str, str]:
    return {"start": "2020-01-01T00:00:00Z"}


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, kind)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_public(key)).digest()


def _tree(leaves: Sequence[bytes]) -> bytes:
    """Return the hash of a Merkle tree (RFC 6962, 2.1)."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = _half(leaves)
    return hashlib.sha256(b"\1" + _tree(leaves[:half]) + _tree(leaves[half:])).digest()


def _path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return what proves that a leaf is in the tree (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    half = _half(leaves)
    if index < half:
        return [*_path(index, leaves[:half]), _tree(leaves[half:])]
    return [*_path(index - half, leaves[half:]), _tree(leaves[:half])]


def _half(leaves: Sequence[bytes]) -> int:
    return 1 << (len(leaves) - 1).bit_length() - 1


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _utf8(value: str) -> bytes:
    return _der(12, value.encode())


def _der(tag: int, data: bytes) -> bytes:
    size = bytes([len(data)]) if len(data) < 0x80 else bytes([0x81, len(data)])
    assert len(data) < 0x100
    return bytes([tag]) + size + data


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
