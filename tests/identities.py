"""An issuer of identities on this machine, as GitHub is one: it publishes its keys, and signs what a job is."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from servers import Answer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from servers import Server

AUDIENCE = "wheels.example"
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
JOB = {
    "repository": "acme/spam",
    "repository_owner_id": "42",
    "job_workflow_ref": "acme/spam/.github/workflows/release.yml@refs/tags/v1",
    "ref": "refs/tags/v1",
    "environment": "pypi",
    "sub": "repo:acme/spam:environment:pypi",
}


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, kid: str, **more: str) -> dict[str, Any]:
    """Return what an issuer publishes of a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIssuer:
    server: Server
    answers: dict[str, list[Answer]]
    kid: str = "one"
    key: Any = field(default_factory=rsa_key)

    @property
    def url(self) -> str:
        return self.server.url

    def publish(self, *keys: Mapping[str, Any], **about: object) -> None:
        """Say from now on what the issuer is, and which keys it has."""
        known = {"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}", **about}
        self.answers[DISCOVERY] = [Answer(body=json.dumps(known).encode())]
        self.answers[KEYS] = [Answer(body=json.dumps({"keys": keys}).encode())]

    def identity(self, *, kid: str | None = None, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        """Return a signed identity; a claim that is None is left out."""
        now = int(time.time())
        every = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
            **JOB,
            **claims,
        }
        payload = {name: value for name, value in every.items() if value is not None}
        return jwt.encode(payload, key or self.key, algorithm=algorithm, headers={"kid": kid or self.kid})


@contextmanager
def local_issuer() -> Iterator[LocalIssuer]:
    answers: dict[str, list[Answer]] = {}
    with serve(answers) as server:
        issuer = LocalIssuer(server=server, answers=answers)
        issuer.publish(public(rsa_key(), "one"))
        yield issuer
