from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from fakes import a_job, a_record
from wheelhouse.farm.summary import Subject, summary
from wheelhouse.record import Cause

EVIL = "![x](https://evil.example/p.png) <img src=x> [a](javascript:b) @acme | `code` \n# head www.evil.example"


def subject(**states: str) -> Subject:
    jobs = {name: a_job(name) for name in states}
    records = {
        job.id: a_record(job, status="built" if states[name] == "built" else "failed")
        for name, job in jobs.items()
        if states[name] in {"built", "failed"}
    }
    return Subject(jobs=[job.id for job in jobs.values()], unavailable={}, records=records, planned=False)


def test_summary__counts_causes_and_grid() -> None:
    page = summary(subject(ant="built", bee="failed", cat="lost"))
    assert page.startswith("## Wheels: 1 built, 1 failed, 1 no result\n")
    assert r"| bee-1.0-cp311-manylinux\_x86\_64 | it broke |" in page
    rows = [line.split(" | ")[0] for line in page.splitlines() if re.match(r"\| \w+ 1\.0 ", line)]
    assert rows == ["| bee 1.0", "| cat 1.0", "| ant 1.0"]


def test_summary__dependency_failed__is_not_a_failure_of_its_own() -> None:
    job = a_job()
    record = a_record(job, status="failed").model_copy(update={"cause": Cause(kind="dependency", message="ant failed")})
    page = summary(Subject(jobs=[job.id], unavailable={}, records={job.id: record}, planned=False))
    assert "1 not attempted" in page
    assert "What failed" not in page


def test_summary__planned__tells_what_no_machine_builds() -> None:
    job, other = a_job(), a_job(target="cp311-manylinux_i686")
    page = summary(Subject(jobs=[job.id], unavailable={other.id: "no machine"}, records={}, planned=True))
    assert "1 planned, 1 unavailable" in page
    assert r"- cp311-manylinux\_i686: no machine" in page


def test_summary__nothing() -> None:
    assert summary(subject()) == "## Wheels: nothing to build\n\n"


def test_summary__what_a_log_says__is_shown_as_it_is() -> None:
    job = a_job()
    cause = Cause(kind="unknown", message=EVIL, mend=(EVIL,))
    record = a_record(job, status="failed").model_copy(update={"cause": cause})
    page = summary(Subject(jobs=[job.id], unavailable={}, records={job.id: record}, planned=False))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
    assert not re.search(r"<(img|a|code|h1)\b", html)
    assert "evil.example/p.png" in html
    assert "@" not in page


@pytest.mark.parametrize("limit", [2_000, 65_000])
def test_summary__of_very_many__keeps_to_its_limit_and_says_so(limit: int) -> None:
    page = summary(subject(**{f"p{number}": "failed" for number in range(3000)}), limit=limit)
    assert len(page.encode()) <= limit
    assert re.search(r"… and \d+ failures more", page)
