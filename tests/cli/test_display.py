from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from fakes import FakeFacts, a_job, a_record
from wheelhouse.cli.display import Display, closing_table
from wheelhouse.plan import make_plan
from wheelhouse.record import Cause

if TYPE_CHECKING:
    from pathlib import Path

JOB = a_job()
PLAN = make_plan([JOB], FakeFacts())
BEGUN = a_record(JOB).started
FAILED = a_record(JOB, status="failed").model_copy(
    update={
        "cause": Cause(
            kind="missing-header", message="lber.h [is] missing", mend=("system-packages.debian: libldap-dev",)
        )
    }
)


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, soft_wrap=True, highlight=False)


def said(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def test_display__no_terminal__plain_lines(tmp_path: Path) -> None:
    where = console()
    display = Display(where, begun=BEGUN, environment={})
    with display.following(PLAN):
        display.stage(JOB.id, "build")
        display.stage(JOB.id, "check")
        display.ended(PLAN.entries[0], a_record(JOB), tmp_path / "log")
    assert said(where) == f"{JOB.id}: build\nbuilt  spam-1.0-py3-none-any.whl (0 kB, 1.0 s)\n"


def test_display__github__each_log_is_a_group(tmp_path: Path) -> None:
    where = console()
    log = tmp_path / "log"
    log.write_text("[bold]gcc\n")
    display = Display(where, begun=BEGUN, environment={"GITHUB_ACTIONS": "true"})
    display.ended(PLAN.entries[0], a_record(JOB), log)
    assert f"::group::{JOB.id}\n[bold]gcc\n\n::endgroup::\n" in said(where)


def test_display__terminal__a_line_a_job_with_its_stage() -> None:
    where = console(terminal=True)
    display = Display(where, begun=BEGUN, environment={})
    with display.following(PLAN):
        display.stage(JOB.id, "build")
    assert JOB.id in said(where)
    assert "0 of 1 jobs ended" in said(where)


def test_closing_table__failed__names_cause_and_mend() -> None:
    for terminal in (True, False):
        where = console(terminal=terminal)
        closing_table(where, PLAN, {JOB.id: FAILED}, begun=BEGUN)
        assert "lber.h [is] missing" in said(where)
        assert "system-packages.debian: libldap-dev" in said(where)
        assert "0 built, 0 reused, 1 failed" in said(where)


def test_closing_table__not_possible_here__is_counted() -> None:
    where = console()
    closing_table(where, make_plan([JOB], FakeFacts(cannot={str(JOB.target): "no"})), {}, begun=BEGUN)
    assert "1 more cannot be built on this machine" in said(where)


def test_display__result_found_though_the_plan_did_not_know(tmp_path: Path) -> None:
    where, later = console(), BEGUN + timedelta(seconds=1)
    Display(where, begun=later, environment={}).ended(PLAN.entries[0], a_record(JOB), tmp_path / "log")
    closing_table(where, PLAN, {JOB.id: a_record(JOB)}, begun=later)
    assert said(where) == "reused spam-1.0-py3-none-any.whl\n0 built, 1 reused, 0 failed\n"
