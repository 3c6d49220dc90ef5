"""A file of tokens: made (shown once), hashed at rest, listed, revoked, and recognised.

A token is `wh_<id>_<secret>`. The id finds the entry; of the secret, 256 random bits, only the sha256 is kept. With
that many bits a slow password hash would protect nothing, and would cost every request dearly.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import pydantic

from wheelhouse.errors import InvalidFileError, Problem, UsageError
from wheelhouse.index.access.scopes import Action, Scope
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from pathlib import Path

    from filelock import FileLock
    from packaging.utils import NormalizedName

#: How the tokens of trusted publishers begin, which no file has.
PREFIX = "whm_"
_FORM = re.compile(r"wh_([a-z2-7]{16})_([a-z2-7]{52})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID_BYTES, _SECRET_BYTES = 10, 32
#: Compared with where there is no such token, so that both cases take the same time.
_NOBODY = hashlib.sha256(b"").hexdigest()


class _Closed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


_scope = lru_cache(maxsize=4096)(Scope.parse)  # few texts, at each request


class Token(_Closed):
    """One token, as the file has it."""

    name: str
    id: str
    sha256: str
    """Of the secret, hex."""
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    claims: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Of the trusted publisher that it was minted for; a token in the file has none."""

    @property
    def minted(self) -> bool:
        """Say whether it was made for a trusted publisher."""
        return not self.sha256

    def expired(self, now: datetime) -> bool:
        """Say whether its time is over."""
        return self.expires is not None and self.expires <= now

    def allows(self, action: Action, project: NormalizedName | None) -> bool:
        """Say whether one of its scopes covers an action; None stands for the list of all projects."""
        return any(_scope(scope).allows(action, project) for scope in self.scopes)

    def allows_any(self, action: Action) -> bool:
        """Say whether there is anything at all that it may do this to."""
        return any(_scope(scope).action is action for scope in self.scopes)


class _File(_Closed):
    format: Annotated[int, pydantic.Field(ge=1, le=1)] = 1
    tokens: tuple[Token, ...] = ()


@dataclass(slots=True)
class TokenFile:
    """The tokens of an index. Every change is one rename under a lock; a server sees it with its next request.

    Safe with several processes; several threads need one each.
    """

    path: Path
    _seen: tuple[int, int, int] | None = field(default=None, init=False)
    _tokens: dict[str, Token] = field(default_factory=dict, init=False)

    def list(self) -> tuple[Token, ...]:
        """Return all tokens, the oldest first. Raises InvalidFileError."""
        self._refresh()
        return tuple(self._tokens.values())

    def create(self, name: str, *, scopes: Iterable[Scope], now: datetime, lifetime: timedelta | None) -> str:
        """Make a token and return its text, which is nowhere else to be had. Raises UsageError."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"`{name}` is no name for a token", hint="letters, digits, `.`, `_` and `-`")
        id_, secret = _random_text(_ID_BYTES), _random_text(_SECRET_BYTES)
        token = Token(
            name=name,
            id=id_,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            scopes=tuple(dict.fromkeys(str(scope) for scope in scopes)),
            created=now,
            expires=None if lifetime is None else now + lifetime,
        )
        with self._locked():
            known = self.list()
            if any(other.name == name for other in known):
                raise UsageError(f"there is a token `{name}` already", hint=f"`wheelhouse token revoke {name}` first")
            self._write((*known, token))
        return f"wh_{id_}_{secret}"

    def revoke(self, name: str) -> None:
        """Take a token away. Raises UsageError where there is none of this name."""
        with self._locked():
            known = self.list()
            left = tuple(token for token in known if token.name != name)
            if len(left) == len(known):
                raise UsageError(f"there is no token `{name}`", hint="`wheelhouse token list` shows those there are")
            self._write(left)

    def find(self, text: str, *, now: datetime) -> Token | None:
        """Return the token that this is the text of, unless its time is over. Raises InvalidFileError."""
        self._refresh()
        form = _FORM.fullmatch(text)
        token = self._tokens.get(form[1]) if form else None
        digest = hashlib.sha256(form[2].encode() if form else text.encode()).hexdigest()
        same = hmac.compare_digest(digest, token.sha256 if token else _NOBODY)
        return token if token is not None and same and not token.expired(now) else None

    def knows(self, text: str) -> str | None:
        """Return the id in a token's text, where there is such a token: right secret or not."""
        form = _FORM.fullmatch(text)
        return form[1] if form and form[1] in self._tokens else None

    def mark_used(self, uses: Mapping[str, datetime]) -> None:
        """Write down when tokens were last used, by their ids. Raises InvalidFileError."""
        with self._locked():
            known = self.list()
            marked = tuple(
                token.model_copy(update={"last_used": uses[token.id]}) if token.id in uses else token for token in known
            )
            if marked != known:
                self._write(marked)

    def _refresh(self) -> None:
        """Read the file again where it is another than before."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen == self._seen:
            return
        try:
            content = _File.model_validate_json(self.path.read_bytes())
            for token in content.tokens:
                for scope in token.scopes:
                    Scope.parse(scope)
        except (pydantic.ValidationError, UsageError) as error:
            problem = Problem(file=self.path, message="not a file of tokens that this version of wheelhouse wrote")
            raise InvalidFileError("the tokens cannot be read", problems=[problem]) from error
        self._seen, self._tokens = seen, {token.id: token for token in content.tokens}

    def _write(self, tokens: tuple[Token, ...]) -> None:
        write_atomically(self.path, _File(tokens=tokens).model_dump_json(indent=2).encode())

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock  # noqa: PLC0415 - start-up time: only who writes wants it

        return FileLock(self.path.with_name(f".{self.path.name}.lock"))


def _random_text(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()
