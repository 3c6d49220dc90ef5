"""An error in, the answer that a client gets out: a status and words, and never a path, an address or a traceback."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wheelhouse.errors import (
    FileExistsDifferentError,
    IndexRefusesError,
    NotOnIndexError,
    ShelfFullError,
    SpoolError,
    StoreDamagedError,
    StoreUnavailableError,
    UpstreamUnavailableError,
    WheelhouseError,
)
from wheelhouse.index.access.audit import AuditOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wheelhouse.index.access.auth import Denied

LOG = logging.getLogger("wheelhouse.index")
#: Seconds until a store that is down is worth another try.
RETRY_AFTER = 5
#: Seconds until the spool may have room again.
RETRY_AFTER_FULL = 60
_DAMAGED = "the store of this index is damaged: tell those who run it"
_UNKNOWN = "something went wrong here: the log of the server says what"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_FULL = "the disk of this index is full: nothing more can be accepted until there is room"
#: What may go better in so many seconds.
_LATER: Sequence[tuple[tuple[type[Exception], ...], str, int]] = (
    ((StoreUnavailableError, OSError), "the store of this index is unavailable: try again later", RETRY_AFTER),
    ((SpoolError,), "nothing more can be accepted until the store is back", RETRY_AFTER_FULL),
    (
        (UpstreamUnavailableError,),
        "this is mirrored from another index, which does not give it now: try again later",
        RETRY_AFTER,
    ),
    ((ShelfFullError,), "this mirror has no room for it: those who run it can raise its budget", RETRY_AFTER_FULL),
)
#: The sender's own doing: these say what they are.
_STATUS: Mapping[type[WheelhouseError], int] = {
    NotOnIndexError: 404,
    FileExistsDifferentError: 409,
    IndexRefusesError: 400,
}


class DeniedError(Exception):
    """A request may not be; the answer says why."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.message)
        self.denied = denied


class SilentError(Exception):
    """A client began a request and does not go on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a client is told."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    elsewhere: bool = False
    """The fault is another server's, and was logged where it was noticed."""

    @property
    def ours(self) -> bool:
        """Say whether the log has to tell more than the client is told."""
        return self.status >= 500 and not self.elsewhere  # noqa: PLR2004 - RFC 9110, 15.6: server errors

    def log(self, error: Exception, what: str, *, request: str | None = None) -> None:
        """Tell those who run the server what the client is not told: of an outage in a line, else all there is.

        An outage makes every request that meets it fail, and where in the code says nothing of it.
        """
        extra = {} if request is None else {"request": request}
        if not self.ours:
            return
        if self.status == 503:  # noqa: PLR2004 - RFC 9110, 15.6.4: it may go better later
            LOG.warning("%s: %s", what, error, extra=extra)
        else:
            LOG.error("%s", what, exc_info=error, extra=extra)


NOT_FOUND = Problem(status=404, text="there is nothing here")


def problem_of(error: Exception) -> Problem:
    """Say what a client is told of an error."""
    if isinstance(error, DeniedError):
        return _denied(error.denied)
    if isinstance(error, SilentError):
        return Problem(status=408, text=str(error))
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            hint = f"\nhint: {error.hint}" if error.hint else ""
            return Problem(status=status, text=f"{error.message}{hint}")
    passing = _passing(error)
    if passing is not None:
        return passing
    damaged = isinstance(error, StoreDamagedError)
    return Problem(status=500, text=_DAMAGED if damaged else _UNKNOWN)


def _passing(error: Exception) -> Problem | None:
    """Say what may go better later."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Problem(status=503, text=_FULL, headers={"Retry-After": str(RETRY_AFTER_FULL)})
    for kinds, text, seconds in _LATER:
        if isinstance(error, kinds):
            elsewhere = isinstance(error, UpstreamUnavailableError)
            return Problem(status=503, text=text, headers={"Retry-After": str(seconds)}, elsewhere=elsewhere)
    return None


def outcome_of(error: Exception) -> AuditOutcome:
    """Say what the audit log has of an error."""
    if isinstance(error, DeniedError):
        return AuditOutcome.DENIED
    return AuditOutcome.REFUSED if isinstance(error, tuple(_STATUS)) else AuditOutcome.FAILED


def _denied(denied: Denied) -> Problem:
    headers = {}
    if denied.status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2: has to name the scheme
        headers["WWW-Authenticate"] = 'Basic realm="wheelhouse", charset="UTF-8"'
    if denied.retry_after is not None:
        headers["Retry-After"] = str(denied.retry_after)
    return Problem(status=denied.status, text=denied.message, headers=headers)
