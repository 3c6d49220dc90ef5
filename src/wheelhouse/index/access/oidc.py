"""An identity token of a CI job in (a signed JWT, RFC 7519), a short-lived upload token of this index out.

Trusted publishing as PyPI has it: no secret is kept at the CI. What is held against a token: its signature by a key of
its issuer, who it is meant for, its times, that it comes for the first time, and that its claims are a publisher's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import jwt

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.access.auth import utc_now
from wheelhouse.index.access.issuers import ALGORITHMS, Issuer, IssuerUnavailableError
from wheelhouse.index.access.minting import Mint, signing_key
from wheelhouse.index.access.publishers import MintRefusedError, Publisher, name_of, told_claims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wheelhouse.index.access.minting import Minted
    from wheelhouse.index.settings import TrustSettings

LOG = logging.getLogger("wheelhouse.index")
#: Clocks of CI and of servers differ.
LEEWAY = timedelta(seconds=30)
_LONGEST_LIFE = timedelta(days=1)
_LONGEST_TOKEN = 16_384
_NEEDED = ["iss", "aud", "exp", "iat"]


class Claim(Protocol):
    """As a store does it."""

    def __call__(self, name: str, *, until: datetime) -> bool:
        """Say whether nobody has claimed this name before, and claim it. Raises StoreUnavailableError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedTokens:
    """Which identity tokens were used before: an empty file each, by digest, dated with the end of its time.

    Lives through a restart, and serves all processes that share the folder.
    """

    folder: Path

    def first_use(self, digest: str, *, until: datetime, now: datetime) -> bool:
        """Say whether a token comes for the first time, and remember it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(now)
        path = self.folder / digest
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        try:
            os.utime(handle, (until.timestamp(), until.timestamp()))
        finally:
            os.close(handle)
        return True

    def _sweep(self, now: datetime) -> None:
        """Forget those whose time is over by so much that nobody takes them any more."""
        over = (now - 2 * LEEWAY).timestamp()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                try:
                    if entry.stat().st_mtime < over:
                        os.unlink(entry.path)  # noqa: PTH108 - a DirEntry is no Path
                except FileNotFoundError:  # another process was first
                    continue


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedPublishing:
    """Knows the publishers that are trusted, and their issuers."""

    audience: str
    publishers: tuple[Publisher, ...]
    issuers: Mapping[str, Issuer]
    mint: Mint
    used: UsedTokens
    claim: Claim
    """In the store. While that is down, an identity is known as used on this machine alone."""
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def of(cls, settings: TrustSettings, claim: Claim) -> TrustedPublishing:
        """Put it together. Raises UsageError, InvalidFileError."""
        publishers = tuple(map(Publisher.of, settings.publishers))
        return cls(
            audience=settings.audience,
            publishers=publishers,
            issuers={publisher.issuer: Issuer(address=publisher.issuer) for publisher in publishers},
            mint=Mint(key=signing_key(settings.signing_key), audience=settings.audience, publishers=publishers),
            used=UsedTokens(folder=settings.used),
            claim=claim,
        )

    async def exchange(self, text: str) -> Minted:
        """Return a token for an identity. Raises MintRefusedError."""
        claims = await self._verified(text)
        fitting = tuple(publisher for publisher in self.publishers if publisher.fits(claims))
        if not fitting:
            said = ", ".join(f"{name}={value}" for name, value in told_claims(claims, ()).items())
            raise MintRefusedError(
                "invalid-publisher",
                f"valid token, but no corresponding publisher: the claims are {said or name_of(claims)}",
                claims=claims,
            )
        now, until = self.clock(), datetime.fromtimestamp(claims["exp"], UTC)
        if not await asyncio.to_thread(self._first_use, _digest(text, claims), until, now):
            raise MintRefusedError("invalid-reuse-token", "invalid token: already used", claims=claims)
        return self.mint.issue(claims, fitting, now=now)

    def _first_use(self, digest: str, until: datetime, now: datetime) -> bool:
        """Say whether an identity comes for the first time, to this server and to all others of its store."""
        if not self.used.first_use(digest, until=until, now=now):
            return False
        try:
            return self.claim(f"identity-{digest}", until=until)
        except StoreUnavailableError as error:
            LOG.warning("an identity is noted as used on this machine alone: %s", error)
            return True

    async def _verified(self, text: str) -> Mapping[str, Any]:
        """Return a token's claims, if its issuer is ours and vouches for them."""
        if len(text) > _LONGEST_TOKEN:
            raise MintRefusedError("invalid-payload", "the token is too long to be one")
        try:
            unproven = jwt.decode_complete(text, options={"verify_signature": False})
            kid = unproven["header"].get("kid")
            issuer = self.issuers.get(str(unproven["payload"].get("iss")))
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise MintRefusedError("invalid-token", "malformed JWT") from error
        if issuer is None:
            raise MintRefusedError("invalid-token", "no publisher of this issuer is trusted here")
        if unproven["header"].get("alg") not in ALGORITHMS.values() or not isinstance(kid, str):
            raise MintRefusedError("invalid-token", "a token is signed by RS256 or ES256, and names its key")
        try:
            key = await issuer.key(kid)
        except IssuerUnavailableError as error:
            raise MintRefusedError(
                "issuer-unavailable", f"the keys of {issuer.address} cannot be had now: {error}", status=503
            ) from error
        if key is None:
            raise MintRefusedError("invalid-token", "its issuer has no such key")
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                key,
                algorithms=[key.algorithm_name],
                audience=self.audience,
                issuer=issuer.address,
                leeway=LEEWAY,
                options={"require": _NEEDED},
            )
            life = int(claims["exp"]) - int(claims["iat"])
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError) as error:
            raise MintRefusedError("invalid-token", f"invalid token: {_told(error)}") from error
        if not 0 <= life <= _LONGEST_LIFE.total_seconds():
            raise MintRefusedError("invalid-token", "invalid token: it would live for more than a day", claims=claims)
        return claims


def _told(error: Exception) -> str:
    return str(error)[:200] if isinstance(error, jwt.PyJWTError) else "a time that is none"


def _digest(text: str, claims: Mapping[str, Any]) -> str:
    """Return what tells a token from all others: its id, or what is signed where an issuer gives none."""
    known = claims.get("jti") or text.rpartition(".")[0]
    return hashlib.sha256(f"{claims['iss']}\0{known}".encode()).hexdigest()
