"""What a minion's journal says of a ticket in; the record that it comes to, or why it came to none, out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pydantic

from wheelhouse.record import Cause, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wheelhouse.plan import Planned

_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended."""

    record: Record | None
    """None: it came to nothing, and somebody else may try."""
    reason: str = ""
    log: str = ""
    """The end of it."""


def read_outcome(entry: Planned, told: Mapping[str, Any]) -> Outcome:
    """Read what the journal has of a ticket that no longer runs."""
    log = str(told.get("log") or "")
    state = told.get("state")
    if state == "timeout":
        return Outcome(record=failed(entry, "timeout", "it ran into its deadline and was ended", told), log=log)
    if state == "canceled":
        return Outcome(record=failed(entry, "canceled", "it was canceled on its minion", told), log=log)
    if state != "done":
        return Outcome(record=None, reason="what ran it was killed", log=log)
    found = next(filter(None, (_record(one, entry) for one in _list(told.get("output")))), None)
    if found is None:
        reason = _last_words(str(told.get("said") or "")) or f"it ended with status {told.get('status')}"
        return Outcome(record=None, reason=reason, log=log)
    return Outcome(record=_as_published(found), log=log)


def failed(
    entry: Planned, kind: str, message: str, told: Mapping[str, Any] | None = None, mend: Sequence[str] = ()
) -> Record:
    """Return the record of a job that has none of its own."""
    seconds = (told or {}).get("seconds")
    begun = (told or {}).get("started")
    started = datetime.fromtimestamp(begun, UTC) if isinstance(begun, int | float) else datetime.now(UTC)
    blank = entry.failed(started=started, seconds=seconds if isinstance(seconds, int | float) else 0.0)
    return blank.model_copy(update={"cause": Cause(kind=kind, message=message, mend=tuple(mend))})


def _as_published(record: Record) -> Record:
    """Return the record; a failed one where its wheel could not go to the index and never will."""
    how = record.details.get("published")
    if record.status != "built" or not isinstance(how, dict) or how.get("outcome") != "refused":
        return record
    assert record.wheel is not None  # noqa: S101 - a built record has one
    cause = Cause(
        kind="publish",
        message=f"built, but the index refused {record.wheel.filename}: {how.get('reason', '')}",
        mend=(str(how["hint"]),) if how.get("hint") else (),
    )
    return record.model_copy(update={"status": "failed", "cause": cause})


def _record(told: Any, entry: Planned) -> Record | None:
    try:
        record = Record.model_validate(told)
    except pydantic.ValidationError:
        return None
    return record if record.job == entry.job.id else None


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def _last_words(said: str) -> str:
    """Return what a command said of its end: its error, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return next(iter([*errors[-1:], *lines[-1:]]), "")[:_REASON]
