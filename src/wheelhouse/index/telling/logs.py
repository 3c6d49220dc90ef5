"""What happened in, lines of the server's log out: for people (`text`) or one JSON object each (`json`).

No line has a secret: queries are left out, tokens and the credentials in addresses are struck out of every line,
tracebacks too. No request can begin a line of its own: what is no printable character is escaped.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

if TYPE_CHECKING:
    from wheelhouse.index.telling.traffic import Kind

#: Which answers the access log has a line for.
AccessLog: TypeAlias = Literal["all", "notable", "nothing"]
ACCESS = logging.getLogger("wheelhouse.access")
_TOKEN = re.compile(r"(wh_[a-z2-7]{16})_[a-z2-7]{8,}")
_USER_INFO = re.compile(r"(?<=://)[^/@\s'\"]+@")
_CREDENTIALS = re.compile(r"\b(basic|bearer) +[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\u2027\u202f-\ud7ff\ue000-\ufffd]")
#: Read without trouble: whole, in part, elsewhere, or known already.
_READ = {200, 206, 301, 304}
_READING: set[Kind] = {"page", "file", "operations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request that has its answer."""

    method: str
    path: str
    """Without the query, which may have secrets."""
    status: int
    size: int
    """Bytes of the body."""
    seconds: float
    who: str
    """A token's name, or `anonymous`."""
    address: str
    request: str
    """The request's id."""

    def fields(self) -> dict[str, Any]:
        """Return what a line of JSON has of it."""
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "bytes": self.size,
            "ms": round(self.seconds * 1000, 2),
            "who": self.who,
            "address": self.address,
            "request": self.request,
        }

    def __str__(self) -> str:
        """Return what a line of text has of it."""
        spent = f"{self.size} bytes, {self.seconds * 1000:.1f} ms"
        return f"{self.method} {self.path} {self.status} {spent}, {self.who} at {self.address}, request {self.request}"


def is_told(which: AccessLog, kind: Kind, status: int) -> bool:
    """Say whether the access log has a line for an answer."""
    if which == "notable":
        return kind not in _READING or status not in _READ
    return which == "all"


def tell(answered: Answered) -> None:
    """Write the line of an answer."""
    ACCESS.info("%s", answered, extra={"answered": answered})


def harmless(text: str) -> str:
    """Strike out what is secret."""
    text = _USER_INFO.sub("***@", _TOKEN.sub(r"\1_***", text))
    return _CREDENTIALS.sub(r"\1 ***", text)


class TextLines(logging.Formatter):
    """A line a record, and a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Escape whatever could begin another line."""
        return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text."""
        return harmless(super().format(record))


class JsonLines(logging.Formatter):
    """An object a line; a traceback is a text in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        answered: Answered | None = getattr(record, "answered", None)
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if answered is not None:
            told |= answered.fields()
        else:
            told["message"] = record.getMessage()
        if request := getattr(record, "request", None):
            told["request"] = request
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        told = {key: _sendable(value) if isinstance(value, str) else value for key, value in told.items()}
        return orjson.dumps(told).decode()


def _sendable(text: str) -> str:
    return harmless(text).encode("utf-8", "backslashreplace").decode()


def start_log(form: Literal["text", "json"], *, quiet: bool) -> None:
    """Send the log of this process to stderr; `quiet`: only what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler])
