"""An issuer's address in, the keys that it signs with out (OpenID Connect Discovery 1.0; RFC 7517).

Only issuers that are configured are ever asked, never one that a token names. Keys are kept for an hour, and for a day
while the issuer is down. A key that is not known makes us look again, once a minute at most.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

LOG = logging.getLogger("wheelhouse.index")
#: By type and curve. What is not in here signs nothing for us: no `none`, no shared secret.
ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
_FRESH, _STALE, _AGAIN = 3600.0, 86_400.0, 60.0
_TIMEOUT = 10.0
_MOST_BYTES = 1 << 20
_MOST_KEYS = 100
_WEAK_RSA = 2048
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class IssuerUnavailableError(Exception):
    """An issuer's keys cannot be had now."""


@dataclass(slots=True, kw_only=True)
class Issuer:
    """One issuer, and what is remembered of it."""

    address: str
    clock: Callable[[], float] = time.monotonic
    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict, init=False)
    _fetched: float = field(default=0.0, init=False)
    _tried: float | None = field(default=None, init=False)
    _why: str = field(default="", init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def key(self, name: str) -> jwt.PyJWK | None:
        """Return the key of a name (`kid`); None: the issuer has none. Raises IssuerUnavailableError."""
        if name in self._keys and self.clock() - self._fetched < _FRESH:
            return self._keys[name]
        async with self._lock:
            if self._tried is None or self.clock() - self._tried >= _AGAIN:
                await self._look()
        if self.clock() - self._fetched >= _STALE or not self._keys:
            raise IssuerUnavailableError(self._why or "it has no keys")
        if name not in self._keys and self._why:
            raise IssuerUnavailableError(self._why)
        return self._keys.get(name)

    async def _look(self) -> None:
        self._tried = self.clock()
        try:
            self._keys, self._why = await fetch_keys(self.address), ""
        except IssuerUnavailableError as error:
            self._why = str(error)
            LOG.warning("%s: the keys of this issuer cannot be had: %s", self.address, error)
        else:
            self._fetched = self.clock()


async def fetch_keys(issuer: str) -> Mapping[str, jwt.PyJWK]:
    """Ask an issuer for its keys, by their names. Raises IssuerUnavailableError."""
    import aiohttp  # noqa: PLC0415 - start-up time

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    try:
        # The proxy and the certificates of the environment.
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            about = await _fetch(session, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != issuer:
                raise IssuerUnavailableError("it calls itself by another name")
            place = about.get("jwks_uri")
            if not isinstance(place, str) or not is_trustworthy(place, loopback=is_loopback(issuer)):
                raise IssuerUnavailableError("its keys are not at an https address")
            keys = (await _fetch(session, place)).get("keys")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise IssuerUnavailableError(str(error) or type(error).__name__) from error
    return _usable(keys if isinstance(keys, list) else [])


def is_trustworthy(address: str, *, loopback: bool) -> bool:
    """Say whether what is read there is what its owner wrote: https, or this machine's own where that is allowed."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback and is_loopback(address))


def is_loopback(address: str) -> bool:
    """Say whether an address is this machine's own."""
    return urlsplit(address).hostname in _LOOPBACK


async def _fetch(session: aiohttp.ClientSession, address: str) -> Mapping[str, Any]:
    async with session.get(address, allow_redirects=False) as response:
        if response.status != 200:  # noqa: PLR2004 - a redirect could lead into our own network
            raise IssuerUnavailableError(f"{response.status} for {urlsplit(address).path}")
        data = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            data += chunk
            if len(data) > _MOST_BYTES:
                raise IssuerUnavailableError(f"more than {_MOST_BYTES} bytes at {urlsplit(address).path}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise IssuerUnavailableError(f"no JSON object at {urlsplit(address).path}")
    return value


def _usable(keys: list[Any]) -> dict[str, jwt.PyJWK]:
    """Return the keys that may sign for us; an issuer may have others."""
    found = {}
    for entry in keys[:_MOST_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
            continue
        algorithm = ALGORITHMS.get((str(entry.get("kty")), entry.get("crv") if entry.get("kty") == "EC" else None))
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK(entry, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if algorithm == "ES256" or key.key.key_size >= _WEAK_RSA:
            found[entry["kid"]] = key
    return found
