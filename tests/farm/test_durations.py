from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import a_job, a_record
from wheelhouse.farm.durations import EMULATION, UNKNOWN, Durations, read_durations
from wheelhouse.record import FILE_NAME

if TYPE_CHECKING:
    from pathlib import Path

EMULATED = "cp311-manylinux_s390x"


def test_estimate__a_job_that_ran__takes_as_long_again() -> None:
    job = a_job()
    assert Durations({job.id: 7.0}).estimate(job) == 7.0


def test_estimate__a_new_job__is_the_median_of_its_projects_others() -> None:
    known = {a_job(version=version).id: seconds for version, seconds in (("1", 10.0), ("2", 30.0), ("3", 1000.0))}
    durations = Durations({**known, a_job("other").id: 5.0})
    assert durations.estimate(a_job(version="4")) == 30.0
    assert durations.estimate(a_job(version="4", target=EMULATED)) == 30.0 * EMULATION


def test_estimate__known_from_emulation_alone__is_shorter_on_a_real_machine() -> None:
    assert Durations({a_job(target=EMULATED).id: 40.0}).estimate(a_job()) == 40.0 / EMULATION


def test_estimate__nothing_known__is_the_usual() -> None:
    assert Durations({}).estimate(a_job()) == UNKNOWN


def test_read_durations__of_what_was_built_alone(tmp_path: Path) -> None:
    built, failed = a_job("built"), a_job("failed")
    for job, status in ((built, "built"), (failed, "failed")):
        (tmp_path / job.id).mkdir()
        (tmp_path / job.id / FILE_NAME).write_bytes(a_record(job, status=status).to_json())
    for name, text in (("torn", '{"status": "bu'), ("foreign", "[]"), ("odd", '{"status": "built", "seconds": null}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE_NAME).write_text(text)
    assert read_durations(tmp_path) == {built.id: 1.0}


def test_read_durations__nothing_ran_yet(tmp_path: Path) -> None:
    assert read_durations(tmp_path / "jobs") == {}
