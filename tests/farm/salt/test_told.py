from __future__ import annotations

from typing import Any

import pytest

from fakes import FakeFacts, a_job, a_record
from wheelhouse.farm.salt.told import read_outcome
from wheelhouse.plan import make_plan

JOB = a_job()
(ENTRY,) = make_plan([JOB], FakeFacts()).entries


def told(**more: Any) -> dict[str, Any]:
    return {
        "ticket": "t",
        "job": JOB.id,
        "state": "done",
        "status": 0,
        "output": [],
        "log": "the log",
        "said": "",
        **more,
    }


def test_read_outcome__the_jobs_record_among_others__is_found() -> None:
    other = a_record(a_job("other")).model_dump(mode="json")
    outcome = read_outcome(ENTRY, told(output=[{"nonsense": 1}, other, a_record(JOB).model_dump(mode="json")]))
    assert outcome.record == a_record(JOB)
    assert outcome.log == "the log"


@pytest.mark.parametrize("output", [None, [], {}, "text", [None], [[]]])
def test_read_outcome__no_record__the_commands_last_words_are_the_reason(output: Any) -> None:
    said = "Traceback…\nerror: this machine lacks a compiler\nhint: install one\n"
    outcome = read_outcome(ENTRY, told(output=output, status=11, said=said))
    assert outcome.record is None
    assert outcome.reason == "error: this machine lacks a compiler"
    assert read_outcome(ENTRY, told(output=output, status=11)).reason == "it ended with status 11"


@pytest.mark.parametrize(("state", "kind"), [("timeout", "timeout"), ("canceled", "canceled")])
def test_read_outcome__ended_from_outside__is_a_failed_record(state: str, kind: str) -> None:
    record = read_outcome(ENTRY, told(state=state, seconds=5.0, started=1_700_000_000.0)).record
    assert record is not None
    assert record.cause is not None
    assert (record.status, record.cause.kind, record.seconds) == ("failed", kind, 5.0)


def test_read_outcome__killed__is_for_somebody_else() -> None:
    assert read_outcome(ENTRY, told(state="lost")).reason == "what ran it was killed"


def test_read_outcome__the_index_refused_the_wheel__has_failed_and_says_what_mends_it() -> None:
    how = {"outcome": "refused", "reason": "other bytes are there", "hint": "raise build-number"}
    built = a_record(JOB).model_copy(update={"details": {"published": how}})
    record = read_outcome(ENTRY, told(output=[built.model_dump(mode="json")])).record
    assert record is not None
    assert record.cause is not None
    assert record.status == "failed"
    assert "other bytes are there" in record.cause.message
    assert record.cause.mend == ("raise build-number",)


@pytest.mark.parametrize("outcome", ["published", "present", "spooled"])
def test_read_outcome__the_index_has_it_or_will__is_built(outcome: str) -> None:
    built = a_record(JOB).model_copy(update={"details": {"published": {"outcome": outcome}}})
    record = read_outcome(ENTRY, told(output=[built.model_dump(mode="json")])).record
    assert record is not None
    assert record.status == "built"
