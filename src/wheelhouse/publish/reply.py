"""An index's answer to an upload in; what follows from it out."""

from __future__ import annotations

import enum
import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from requests import Response

    from wheelhouse.publish.prepare import Publishable

#: Nobody is made to wait longer, whatever the index says.
_LONGEST_WAIT = 3600.0
_LONGEST_TEXT = 300
_LONGEST_BODY = 20_000
_MARKUP = re.compile(r"(?is)<head\b.*?</head>|<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>")
#: Answers that say nothing of the file, only that now is not the time.
_NOT_NOW = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.INSUFFICIENT_STORAGE,
    }
)
#: How indexes put it that a name is taken: PyPI and Google, GitLab, Artifactory, Nexus.
_TAKEN = ("already exist", "already been taken", "overwrite artifact", "updating asset")


class Verdict(enum.Enum):
    """What an answer means for a file."""

    DELIVERED = enum.auto()
    EXISTS = enum.auto()
    """The name is taken, by other bytes as far as the index tells."""
    REFUSED = enum.auto()
    """Trying again would bring the same answer."""
    DENIED = enum.auto()
    """We may not: it says more of our credentials than of the file."""
    FAILED = enum.auto()
    """The index stumbled over this file; it may do better another time."""
    OUTAGE = enum.auto()
    """The index takes nothing now, from nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of an upload."""

    verdict: Verdict
    reason: str = ""
    """What the index or the network said, as one line."""
    wait: float = 0.0
    """Seconds that the index asks for."""


class Uploader(Protocol):
    """Something that sends files to one index. Used from several threads."""

    def upload(self, path: Path, *, name: str, sha256: str, attestations: str | None = None) -> Reply:
        """Send a file under a name, if its bytes are those expected. `attestations`: a JSON list (PEP 740)."""
        ...


class ManyUploader(Protocol):
    """Something that sends many small files to one index in one request. Used from several threads."""

    @property
    def most_files(self) -> int:
        """How many at once."""
        ...

    @property
    def most_bytes(self) -> int:
        """And how many bytes of files."""
        ...

    def upload_many(self, wheels: Sequence[Publishable]) -> Sequence[Reply] | None:
        """Send wheels, each if its bytes are those expected; None: they have to go one by one after all."""
        ...


def read_reply(response: Response) -> Reply:
    """Say what a response to an upload means."""
    return read_answer(response.status_code, response.reason or "", response.headers, response.content)


def read_answer(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """Say what an answer to an upload means; `headers` go by any spelling of their names."""
    return judge(
        status,
        _said(reason, headers, body),
        retry_after=headers.get("Retry-After", ""),
        location=headers.get("Location", "elsewhere"),
    )


def judge(status: int, said: str, *, retry_after: str = "", location: str = "elsewhere") -> Reply:
    """Say what a status and the words with it mean. The words may be anybody's."""
    said = _line(said)
    reason = f"{status} {said}".strip()
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Reply(verdict=Verdict.DELIVERED, reason=reason)
    if status in _NOT_NOW:
        return Reply(verdict=Verdict.OUTAGE, reason=reason, wait=_wait(retry_after))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Reply(verdict=Verdict.FAILED, reason=reason)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Reply(verdict=Verdict.REFUSED, reason=f"{reason}: it has moved to {_line(location)}")
    if status == HTTPStatus.CONFLICT or any(words in said.lower() for words in _TAKEN):
        return Reply(verdict=Verdict.EXISTS, reason=reason)
    denied = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}
    return Reply(verdict=Verdict.DENIED if denied else Verdict.REFUSED, reason=reason)


def no_answer(error: Exception, *, trusted: bool) -> Reply:
    """Say what it means that a request came to no answer; not `trusted`: the certificate is to blame."""
    if not trusted:
        return Reply(verdict=Verdict.DENIED, reason=f"no trust in the index's certificate: {_deepest(error)}")
    return Reply(verdict=Verdict.OUTAGE, reason=_deepest(error))


def _deepest(error: BaseException) -> str:
    """Return the innermost cause of a network error: the outer ones repeat it in wrapping."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__


def _said(reason: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the words of a response, without the markup of a page for browsers."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = body[:_LONGEST_BODY].decode("utf-8", "replace")
    if kind == "text/html":
        text = html.unescape(_MARKUP.sub(" ", text))
    words = _line(text) if kind in {"text/html", "text/plain", "application/json"} else ""
    return ": ".join(dict.fromkeys(part for part in (_line(reason), words) if part))


def _line(text: str) -> str:
    """Return foreign text as one line that does nothing to a terminal."""
    plain = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return plain if len(plain) <= _LONGEST_TEXT else f"{plain[:_LONGEST_TEXT]}…"


def _wait(value: str) -> float:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3), which may be a date; 0: it says nothing."""
    if value.strip().isdecimal():
        return min(float(value), _LONGEST_WAIT)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max((then - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
