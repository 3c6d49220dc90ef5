"""An upstream's address as it was configured in, where requests may go and with which credentials out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from wheelhouse.errors import UsageError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One index to ask."""

    url: str
    """Its Simple API root, with a slash at the end and no credentials: fit for a log."""
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """User and password, sent to this address alone and nowhere else."""

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Parse an address, `https://[user:password@]host/simple/`. Raises UsageError, which shows no password."""
        problem = address_problem(text)
        if problem is not None:
            raise UsageError(problem, where="mirror.upstreams")
        parts = urlsplit(text)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/")
        if parts.username is None:
            return cls(url=bare.geturl())
        return cls(url=bare.geturl(), credentials=(unquote(parts.username), unquote(parts.password or "")))

    @property
    def host(self) -> str:
        """For messages."""
        return urlsplit(self.url).hostname or self.url

    def credentials_for(self, url: str) -> tuple[str, str] | None:
        """Return the credentials if a URL is of the same scheme, host and port."""
        return self.credentials if _origin(urlsplit(url)) == _origin(urlsplit(self.url)) else None


def address_problem(text: str) -> str | None:
    """Say what is wrong with an upstream's address; None: nothing."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - read to see whether it can be
    except ValueError:
        return "an upstream's address cannot be read"
    if parts.scheme not in _PORTS or not parts.hostname:
        return "an upstream's address begins with https:// or http:// and a host"
    if parts.query or parts.fragment:
        return "an upstream's address has neither a query nor a fragment"
    return None


def may_lead_to(origin: str, target: str) -> bool:
    """Say whether a page or a redirect at `origin` may send us to `target`.

    Never to other schemes, from https to http, or to a numbered address of a private network which is not the
    upstream's own host: an upstream must not choose what we ask of our neighbours.
    """
    try:
        here, there = urlsplit(origin), urlsplit(target)
        _origin(there)
    except ValueError:
        return False
    if there.scheme not in _PORTS or not there.hostname or there.username is not None:
        return False
    if here.scheme == "https" and there.scheme != "https":
        return False
    return there.hostname == here.hostname or _is_public(there.hostname)


def _is_public(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True  # a name


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
