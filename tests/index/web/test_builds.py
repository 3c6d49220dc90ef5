from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from wheelhouse.errors import NotOnIndexError
from wheelhouse.finding import Finding, Severity
from wheelhouse.index.web.builds import PER_PAGE, Build, Jobs, LogTail, list_builds, plain, read_tail
from wheelhouse.record import Cause, Record, WheelFile

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
BUILT, FAILED = "my_spam-1.0-cp313-manylinux_x86_64", "eggs-2.0-cp312-musllinux_aarch64"


def a_record(job: str, **more: Any) -> Record:
    project, version, python, platform = job.rsplit("-", 3)
    given = {"status": "built", "started": NOON, "seconds": 2.5, "timings": {"build": 2.0, "check": 0.5}, **more}
    return Record(job=job, project=project, version=version, target=f"{python}-{platform}", **given)


def write(folder: Path, record: Record, log: str = "$ cc\nerror: no header\n") -> None:
    place = folder / record.job
    place.mkdir(parents=True)
    (place / "log.txt").write_text(log)
    (place / "record.json").write_bytes(record.to_json())


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    cause = Cause(kind="missing-header", message="x.h is missing", mend=("system-packages.debian: libx-dev",))
    finding = Finding(code="WH203", severity=Severity.WARNING, message="odd")
    wheel = WheelFile(filename="my_spam-1.0-cp313-cp313-manylinux_2_28_x86_64.whl", sha256="0", size=9)
    write(tmp_path, a_record(BUILT, findings=(finding,), wheel=wheel, inputs={"builder": "host"}, key="k"))
    write(tmp_path, a_record(FAILED, status="failed", cause=cause))
    return Jobs(tmp_path)


def a_build(**more: Any) -> Build:
    given = {
        "job": BUILT,
        "project": "my-spam",
        "version": "1.0",
        "target": "cp313-manylinux_x86_64",
        "state": "built",
        "started": NOON,
        "seconds": 2.5,
        "message": "",
        "warnings": 1,
    }
    return Build(**{**given, **more})


def test_jobs__all__are_what_the_records_say(jobs: Jobs) -> None:
    assert sorted(jobs.all(), key=lambda build: build.state) == [
        a_build(),
        a_build(
            job=FAILED,
            project="eggs",
            version="2.0",
            target="cp312-musllinux_aarch64",
            state="failed",
            message="x.h is missing",
            warnings=0,
        ),
    ]


def test_jobs__a_log_begun_anew__is_unfinished(jobs: Jobs) -> None:
    jobs.all()
    os.utime(jobs.folder / BUILT / "log.txt", (NOON.timestamp() + 10**9, NOON.timestamp() + 10**9))

    view = jobs.find(BUILT, shown=lambda name: True)

    assert view.build.state == "unfinished"
    assert (view.wheel, view.timings, view.cause) == ("", (), None)
    assert next(build for build in jobs.all() if build.job == BUILT) == view.build


def test_jobs__a_torn_record__is_unfinished(jobs: Jobs) -> None:
    (jobs.folder / BUILT / "record.json").write_text("{")
    assert jobs.find(BUILT, shown=lambda name: True).build.project == "my-spam"


def test_jobs__no_folder__is_no_jobs(tmp_path: Path) -> None:
    assert Jobs(tmp_path / "none").all() == []


def test_jobs__find__tells_all_of_a_job(jobs: Jobs) -> None:
    view = jobs.find(FAILED, shown=lambda name: name == "eggs")

    assert view.cause is not None
    assert view.cause.mend == ("system-packages.debian: libx-dev",)
    assert view.timings == (("build", 2.0), ("check", 0.5))
    assert view.longest == 2.0
    assert view.log == LogTail(text="$ cc\nerror: no header\n", whole=True, size=22)


@pytest.mark.parametrize("job", ["none", "..", ".", "", f"../{BUILT}", "/etc"])
def test_jobs__find_what_is_none__is_said(jobs: Jobs, job: str) -> None:
    with pytest.raises(NotOnIndexError):
        jobs.find(job, shown=lambda name: True)


def test_jobs__find_what_is_not_shown__looks_as_if_it_were_not_there(jobs: Jobs) -> None:
    with pytest.raises(NotOnIndexError, match=f"there is no job '{BUILT}' here"):
        jobs.find(BUILT, shown=lambda name: False)


def test_list_builds__filtered__counts_all_states() -> None:
    builds = [a_build(job=f"spam-{number}", started=NOON.replace(minute=number)) for number in range(3)]
    builds += [a_build(project="eggs", state="failed", job="eggs")]

    listed = list_builds(builds, state="built", project="My_Sp")

    assert [build.job for build in listed.shown] == ["spam-2", "spam-1", "spam-0"]
    assert listed.counts == (("built", 3), ("failed", 0), ("unfinished", 0))
    assert list_builds(builds, project="eggs").total == 1


def test_list_builds__many__come_in_pages() -> None:
    builds = [replace(a_build(), job=f"{number:05}") for number in range(PER_PAGE + 1)]
    listed = list_builds(builds, page=7)
    assert (listed.page, listed.pages, [build.job for build in listed.shown]) == (2, 2, ["00000"])


def test_read_tail__a_long_log__is_its_end_from_the_beginning_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"first\nsecond\nthird \xff\n")

    assert read_tail(path, most=12) == LogTail(text="third �\n", whole=False, size=21)
    assert read_tail(tmp_path / "none") is None


def test_plain__what_a_terminal_would_do__is_undone() -> None:
    assert plain("\x1b[1;31mred\x1b[0m\n 10%\r100%\r\n\x1b]0;title\x07a\x00b\tc") == "red\n100%\nab\tc"
