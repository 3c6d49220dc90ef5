"""A publisher's identity in, a token for a quarter of an hour out; and such a token in, what it allows out.

The token says who it was made for and is signed with the index's own key: nothing is written down, so it lives through
a restart, nothing has to be cleaned away, and servers that share the key take each other's. What it allows is looked up
in the configuration whenever it is used: a publisher that was taken out there ends its tokens too.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt

from wheelhouse.errors import InvalidFileError, Problem
from wheelhouse.index.access.publishers import name_of, told_claims
from wheelhouse.index.access.tokens import PREFIX, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.index.access.publishers import Publisher

LIFETIME = timedelta(minutes=15)
_ISSUER = "wheelhouse"
_ALGORITHM = "HS256"
_SHORTEST_KEY = 32
_NEEDED = ("iss", "aud", "exp", "iat", "jti", "name", "publishers", "claims")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Makes and reads tokens."""

    key: str
    audience: str
    """The index: another one that has the same key by accident takes no tokens of ours."""
    publishers: tuple[Publisher, ...]

    def issue(self, claims: Mapping[str, Any], publishers: tuple[Publisher, ...], *, now: datetime) -> Minted:
        """Make a token for an identity that was found to be that of some publishers."""
        expires = now + LIFETIME
        name, told = name_of(claims), {"issuer": str(claims["iss"]), **told_claims(claims, publishers)}
        payload = {
            "iss": _ISSUER,
            "aud": self.audience,
            "exp": int(expires.timestamp()),
            "iat": int(now.timestamp()),
            "jti": uuid.uuid4().hex,
            "name": name,
            "publishers": [publisher.digest for publisher in publishers],
            "claims": told,
        }
        text = PREFIX + jwt.encode(payload, self.key, algorithm=_ALGORITHM)
        return Minted(text=text, expires=expires, name=name, claims=told)

    def read(self, text: str, *, now: datetime) -> Token | None:
        """Return what a token allows; None: it is none of ours, or its time or its publisher is gone."""
        try:
            payload = jwt.decode(
                text.removeprefix(PREFIX),
                self.key,
                algorithms=[_ALGORITHM],
                audience=self.audience,
                issuer=_ISSUER,
                options={"require": list(_NEEDED), "verify_exp": False, "verify_iat": False},  # by our own clock, below
            )
        except jwt.PyJWTError:
            return None
        scopes = [
            str(scope)
            for publisher in self.publishers
            if publisher.digest in payload["publishers"]
            for scope in publisher.scopes
        ]
        token = Token(
            name=payload["name"],
            id=payload["jti"],
            sha256="",
            scopes=tuple(dict.fromkeys(scopes)),
            created=datetime.fromtimestamp(payload["iat"], UTC),
            expires=datetime.fromtimestamp(payload["exp"], UTC),
            claims=payload["claims"],
        )
        return token if scopes and not token.expired(now) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A token that was just made."""

    text: str
    expires: datetime
    name: str
    claims: Mapping[str, str]


def signing_key(path: Path) -> str:
    """Return the key in a file; it is made where there is none. Raises InvalidFileError."""
    try:
        key = path.read_text("ascii").strip()
    except FileNotFoundError:
        _make(path)
        return signing_key(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _no_key(path, f"cannot be read: {error}") from error
    if len(key) < _SHORTEST_KEY:
        raise _no_key(path, f"has to have {_SHORTEST_KEY} characters at least")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; another server that starts at the same moment may be first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(_SHORTEST_KEY)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        Path(name).unlink(missing_ok=True)


def _no_key(path: Path, message: str) -> InvalidFileError:
    return InvalidFileError(
        "the key that tokens are signed with cannot be used",
        problems=[Problem(file=path, message=message)],
        hint="remove the file: the server makes a new one; servers that share a store need the same",
    )
