"""A request's credentials in, a decision out: allowed, 401 (who are you?), 403 (not you) or 429 (too many wrong tries).

Decisions never look at whether a project exists: what may not be read looks the same whether it is there or not.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from wheelhouse.index.access.failures import FailureLimit
from wheelhouse.index.access.lastuse import LastUses
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.access.tokens import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from packaging.utils import NormalizedName

    from wheelhouse.index.access.minting import Mint
    from wheelhouse.index.access.tokens import Token, TokenFile

#: The user name that stands for "the password is a token", as for twine, pip and uv.
TOKEN_USER = "__token__"  # noqa: S105 - a user name
#: Who sent no token that is one: a program on this machine, anybody.
ANONYMOUS_LOCAL, ANONYMOUS = "anonymous-local", "anonymous"
#: Headers by which a proxy says that somebody else is asking.
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host")
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, as far as a request says it."""

    address: str
    """Of the other end of the connection; empty where it is not known."""
    headers: Mapping[str, str]
    """By names in lower case."""

    @property
    def local(self) -> bool:
        """Say whether it is a program on this machine, speaking for itself.

        Not one behind a proxy, and not a web page that made a browser ask (DNS rebinding: the Host is another's).
        """
        if any(name in self.headers for name in FORWARDED):
            return False
        return is_local(self.address, self.headers.get("host", ""))


def is_local(address: str, host: str) -> bool:
    """Say whether a connection from an address, to a host by this name, never leaves this machine."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower() in _LOCAL_NAMES and _is_loopback(address)


@lru_cache(maxsize=512)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose request it is."""

    name: str
    """Of a token, or of a trusted publisher; else `anonymous-local` or `anonymous`."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """Of a trusted publisher, as its issuer vouches for them; others have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Why a request is refused."""

    status: int
    message: str
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """What needs no token. Programs on this machine may be trusted further than others."""

    anonymous_read: bool = False
    """Anybody may read."""
    anonymous_local_read: bool = True
    """Programs on this machine may read."""
    anonymous_local_upload: bool = False
    """Programs on this machine may upload."""
    anonymous_metrics: bool = False
    """Anybody may read the metrics."""
    anonymous_local_metrics: bool = True
    """Programs on this machine may."""

    def open_to(self, asker: Asker, action: Action) -> bool:
        """Say whether an action needs no token."""
        if action is Action.READ:
            return self.anonymous_read or (self.anonymous_local_read and asker.local)
        if action is Action.METRICS:
            return self.anonymous_metrics or (self.anonymous_local_metrics and asker.local)
        return action is Action.UPLOAD and self.anonymous_local_upload and asker.local


def utc_now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decides on requests."""

    rules: AccessRules
    tokens: TokenFile
    mint: Mint | None = None
    """Reads the tokens that trusted publishers were given."""
    failures: FailureLimit = field(default_factory=FailureLimit)
    clock: Callable[[], datetime] = utc_now
    uses: LastUses = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uses", LastUses(self.tokens.path))

    def check(self, asker: Asker, action: Action, project: NormalizedName | None) -> Denied | None:
        """Decide whether the asker may do this to a project; None: yes. No project: the list of all."""
        return self.check_each(asker, action)(project)

    def check_each(self, asker: Asker, action: Action) -> Callable[[NormalizedName | None], Denied | None]:
        """Look at the asker's token once, and return what decides on project after project."""
        found = self._token_for(asker, action)
        if isinstance(found, Denied) or found is None:
            return lambda _: found

        def decide(project: NormalizedName | None) -> Denied | None:
            if found.allows(action, project):
                return None
            return Denied(status=403, message=f"this token has no scope {action}:{project or '*'}")

        return decide

    def admits(self, asker: Asker, action: Action, project: NormalizedName | None) -> bool:
        """Say whether the asker has a token, and may do this. Counts nothing: where it says no, `check` says why."""
        text = _token_text(asker.headers.get("authorization", ""))
        now = self.clock()
        token = self._find(text, now) if text is not None else None
        if text is None or token is None or not (self.rules.open_to(asker, action) or token.allows(action, project)):
            return False
        if token.minted:
            return True
        if self.failures.wait(self._key(asker, text), now) is not None:
            return False
        self.uses.note(token, now)
        return True

    def check_any(self, asker: Asker, action: Action) -> Denied | None:
        """Decide whether the asker may do this to any project at all."""
        found = self._token_for(asker, action)
        if isinstance(found, Denied) or found is None:
            return found
        if not found.allows_any(action):
            return Denied(status=403, message=f"this token has no scope {action}")
        return None

    def _token_for(self, asker: Asker, action: Action) -> Token | Denied | None:
        """Return the token whose scopes decide; None: no token is needed."""
        found = self.identify(asker)
        if isinstance(found, Denied):
            return found
        if self.rules.open_to(asker, action):
            return None
        if found is None:
            return Denied(status=401, message=f"a token is needed: user name {TOKEN_USER}, the token as password")
        return found

    def who(self, asker: Asker) -> Who:
        """Return whose request it is, for the audit log. Decides nothing, and counts nothing."""
        text = _token_text(asker.headers.get("authorization", ""))
        token = self._find(text, self.clock()) if text is not None else None
        if token is not None:
            return Who(name=token.name, claims=token.claims)
        return Who(name=ANONYMOUS_LOCAL if asker.local else ANONYMOUS)

    def _find(self, text: str, now: datetime) -> Token | None:
        if self.mint is not None and text.startswith(PREFIX):
            return self.mint.read(text, now=now)
        return self.tokens.find(text, now=now)

    def _key(self, asker: Asker, text: str) -> str:
        """Return whose wrong tries count. A known token has a count of its own: a neighbour's do not lock it out."""
        return f"{asker.address} {self.tokens.knows(text) or ''}"

    def identify(self, asker: Asker) -> Token | Denied | None:
        """Return the asker's token; None where none was sent. A wrong one is refused even where none is needed."""
        authorization = asker.headers.get("authorization")
        if authorization is None:
            return None
        text = _token_text(authorization)
        if text is None:
            return Denied(status=401, message=f"the user name has to be {TOKEN_USER}, and the password a token")
        now = self.clock()
        token = self._find(text, now)
        if token is not None and token.minted:
            return token  # signed by ourselves: nothing to guess, and nothing to write down
        key = self._key(asker, text)
        wait = self.failures.wait(key, now)
        if wait is not None:
            return Denied(status=429, message="too many wrong tokens", retry_after=wait)
        if token is None:
            self.failures.add(key, now)
            return Denied(status=401, message="there is no such token, or its time is over")
        self.uses.note(token, now)
        return token


def _token_text(authorization: str) -> str | None:
    """Return the token in an Authorization header; None where there is none in it."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if user == TOKEN_USER else None
