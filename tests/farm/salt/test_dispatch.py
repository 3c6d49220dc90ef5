from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fake_salt import ARM, X86, FakeMinion, FakeSalt, a_minion, run
from fakes import a_job, a_record
from wheelhouse.config import Config, Workspace
from wheelhouse.errors import InvalidFileError
from wheelhouse.farm.salt.attempt import Patience
from wheelhouse.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.job import Job
    from wheelhouse.plan import Planned
    from wheelhouse.record import Record


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(
        Workspace(
            registry=tmp_path / "recipes",
            dist=tmp_path / "dist",
            state=tmp_path / "state",
            cache=tmp_path / "cache",
            config=Config(),
        )
    )


def a_fleet(*minions: FakeMinion) -> FakeSalt:
    return FakeSalt(minions={fake.minion.id: fake for fake in minions})


def jobs(count: int, target: str = X86) -> list[Job]:
    return [a_job(f"p{number}", target=target) for number in range(count)]


def test_dispatch__ten_jobs__each_on_a_minion_that_fits_and_with_its_record(results: Results) -> None:
    intel = FakeMinion(a_minion("intel"))
    arm = FakeMinion(a_minion("arm", arch="aarch64"))
    wanted = [*jobs(5), *jobs(5, ARM)]
    outcome = run(a_fleet(intel, arm), wanted, results)
    assert sorted(intel.began) == [job.id for job in jobs(5)]
    assert sorted(arm.began) == [job.id for job in jobs(5, ARM)]
    assert sorted(outcome.finished) == sorted(job.id for job in wanted)
    assert {record.details["minion"] for record in outcome.records.values()} == {"intel", "arm"}
    assert set(outcome.logs.values()) == {"it went well"}


def test_dispatch__width__is_what_the_minions_hold(results: Results) -> None:
    minion = FakeMinion(a_minion(width=2))
    assert run(a_fleet(minion), jobs(6), results).seconds == pytest.approx(30, abs=5)  # three rounds of ten seconds


def test_dispatch__width_asked_for__is_kept_over_all_minions(results: Results) -> None:
    fleet = a_fleet(FakeMinion(a_minion("m1")), FakeMinion(a_minion("m2")))
    assert run(fleet, jobs(4), results, width=1).seconds == pytest.approx(40, abs=8)


def test_dispatch__memory__keeps_big_jobs_apart(results: Results) -> None:
    minion = FakeMinion(a_minion(width=8, memory=2_500_000_000))  # a job is taken to need a gigabyte
    assert run(a_fleet(minion), jobs(4), results).seconds == pytest.approx(20, abs=5)


def test_dispatch__returns_are_lost__the_journal_has_them(results: Results) -> None:
    minion = FakeMinion(a_minion(), loses_returns=True)
    outcome = run(a_fleet(minion), jobs(3), results)
    assert len(outcome.records) == 3
    assert len(minion.began) == 3
    assert all(record.status == "built" for record in outcome.records.values())


def test_dispatch__a_return_comes_twice__one_record(results: Results) -> None:
    outcome = run(a_fleet(FakeMinion(a_minion(), returns_twice=True)), jobs(3), results)
    assert len(outcome.finished) == 3


def test_dispatch__a_minion_dies__its_job_goes_elsewhere(results: Results) -> None:
    doomed, other = FakeMinion(a_minion("m1"), seconds=50), FakeMinion(a_minion("m2"))
    fleet = a_fleet(doomed, other)
    fleet.script.append((15.0, lambda: setattr(doomed, "dead", True)))
    outcome = run(fleet, jobs(2), results)
    lost = outcome.records[doomed.began[0]]
    assert lost.details["minion"] == "m2"
    assert "m1: silent for" in lost.details["before"]
    assert len(outcome.finished) == 2


def test_dispatch__all_attempts_die__the_record_names_each(results: Results) -> None:
    fleet = a_fleet(*(FakeMinion(a_minion(f"m{number}"), raises="boom") for number in range(4)))
    outcome = run(fleet, jobs(1), results, patience=Patience(attempts=3))
    (record,) = outcome.records.values()
    assert record.cause is not None
    assert record.cause.message.startswith("gave up after 3 attempts: m0: boom; m1: boom; m2: boom")


def test_dispatch__the_only_minion_cannot__fails_at_once_with_its_words(results: Results) -> None:
    fleet = a_fleet(FakeMinion(a_minion(), raises="'wheelhouse.build' is not available."))
    outcome = run(fleet, jobs(1), results)
    (record,) = outcome.records.values()
    assert record.cause is not None
    assert "'wheelhouse.build' is not available." in record.cause.message
    assert outcome.seconds < 5


def test_dispatch__a_job_hangs__is_canceled_at_its_deadline(results: Results) -> None:
    minion = FakeMinion(a_minion(), seconds=10**6)
    outcome = run(a_fleet(minion), jobs(1), results)
    (record,) = outcome.records.values()
    assert record.cause is not None
    assert record.cause.kind == "timeout"
    assert minion.canceled
    assert outcome.seconds == pytest.approx(1800 + 120, abs=20)


def test_dispatch__the_master_is_away__nobody_is_taken_for_dead(results: Results) -> None:
    minion = FakeMinion(a_minion(), seconds=30)
    fleet = a_fleet(minion)
    fleet.script += [
        (5.0, lambda: setattr(fleet, "master_down", True)),
        (300.0, lambda: setattr(fleet, "master_down", False)),
    ]
    outcome = run(fleet, jobs(4), results)
    assert [record.status for record in outcome.records.values()] == ["built"] * 4
    assert len(minion.began) == 4
    assert outcome.told[0].startswith("the Salt master does not answer")
    assert outcome.told[-1] == "the Salt master is back"


def test_dispatch__a_call_reaches_nobody__is_sent_again_under_the_same_ticket(results: Results) -> None:
    minion = FakeMinion(a_minion(), cut=True)
    fleet = a_fleet(minion)
    fleet.script.append((15.0, lambda: setattr(minion, "cut", False)))
    outcome = run(fleet, jobs(1), results)
    assert len(minion.began) == 1
    tickets = {call.arguments["ticket"] for call in fleet.calls if call.function == "wheelhouse.build"}
    assert len(tickets) == 1
    assert next(iter(outcome.records.values())).status == "built"


def test_dispatch__a_minion_was_cut_off__its_result_counts_where_it_is_first(results: Results) -> None:
    minion = FakeMinion(a_minion(), seconds=30)
    fleet = a_fleet(minion)
    fleet.script += [(5.0, lambda: setattr(minion, "cut", True)), (120.0, lambda: setattr(minion, "cut", False))]
    outcome = run(fleet, jobs(1), results)
    assert minion.began == [jobs(1)[0].id]  # by its only minion, once
    (record,) = outcome.records.values()
    assert record.status == "built"
    assert "m1 is back" in outcome.told


def test_dispatch__a_minion_was_cut_off_and_its_job_is_elsewhere__it_is_told_to_stop(results: Results) -> None:
    cut, other = FakeMinion(a_minion("m1"), seconds=500), FakeMinion(a_minion("m2"), seconds=200)
    fleet = a_fleet(cut, other)
    fleet.script += [(5.0, lambda: setattr(cut, "cut", True)), (110.0, lambda: setattr(cut, "cut", False))]
    outcome = run(fleet, jobs(1), results)
    (record,) = outcome.records.values()
    assert record.details["minion"] == "m2"
    assert [ticket[-2:] for ticket in cut.canceled] == [".1"]
    assert len(outcome.finished) == 1


def test_dispatch__the_index_has_the_record__it_is_not_built_again(results: Results) -> None:
    doomed, other = FakeMinion(a_minion("m1"), seconds=50), FakeMinion(a_minion("m2"))
    fleet = a_fleet(doomed, other)
    fleet.script.append((15.0, lambda: setattr(doomed, "dead", True)))

    def recorded(job: str) -> Record | None:
        ticket = next(iter(doomed.journal))
        return a_record(jobs(1)[0]).model_copy(update={"details": {"ticket": ticket}})

    outcome = run(fleet, jobs(1), results, recorded=recorded)
    assert other.began == []
    assert next(iter(outcome.records.values())).details["minion"] == "m1"


def test_dispatch__an_older_record_on_the_index__does_not_count(results: Results) -> None:
    doomed, other = FakeMinion(a_minion("m1"), seconds=50), FakeMinion(a_minion("m2"))
    fleet = a_fleet(doomed, other)
    fleet.script.append((15.0, lambda: setattr(doomed, "dead", True)))
    run(fleet, jobs(1), results, recorded=lambda job: a_record(jobs(1)[0]))
    assert len(other.began) == 1


def test_dispatch__nobody_that_fits_comes_back__the_job_fails_and_says_who_is_gone(results: Results) -> None:
    minion = FakeMinion(a_minion(), dead=True)
    outcome = run(a_fleet(minion), jobs(1), results)
    (record,) = outcome.records.values()
    assert record.cause is not None
    assert "no minion that fits has been there for" in record.cause.message
    assert "m1: silent for" in record.cause.message


def test_dispatch__a_minion_joins__it_gets_what_waits(results: Results) -> None:
    doomed, new = FakeMinion(a_minion("m1"), dead=True), FakeMinion(a_minion("m2"))
    fleet = a_fleet(doomed)
    fleet.script.append((100.0, lambda: fleet.minions.__setitem__("m2", new)))
    outcome = run(fleet, jobs(1), results)
    assert len(new.began) == 1
    assert "m2 joins" in outcome.told


def test_dispatch__what_ran_it_was_killed__tries_again_there(results: Results) -> None:
    minion = FakeMinion(a_minion())
    fleet = a_fleet(minion)

    def kill() -> None:
        (ticket,) = minion.journal
        minion.journal[ticket]["state"] = "lost"

    fleet.script.append((5.0, kill))
    outcome = run(fleet, jobs(1), results)
    assert len(minion.began) == 2
    assert next(iter(outcome.records.values())).status == "built"


def test_dispatch__interrupted__ends_what_runs_on_the_minions(results: Results) -> None:
    minion = FakeMinion(a_minion())
    fleet = a_fleet(minion)

    def interrupt() -> None:
        raise KeyboardInterrupt

    fleet.script.append((5.0, interrupt))
    with pytest.raises(KeyboardInterrupt):
        run(fleet, jobs(2), results)
    assert len(minion.canceled) == 2


def test_dispatch__a_dependency__is_built_first_and_its_user_goes_to_the_same_minion(results: Results) -> None:
    one, two = FakeMinion(a_minion("m1")), FakeMinion(a_minion("m2"))
    outcome = run(a_fleet(one, two), [a_job("user", depends=("library",)), a_job("library")], results)
    assert outcome.finished == [a_job("library").id, a_job("user").id]
    assert len({record.details["minion"] for record in outcome.records.values()}) == 1


def test_dispatch__built_without_a_container__goes_to_the_oldest_c_library(results: Results) -> None:
    old, new = FakeMinion(a_minion("old", libc_version="2.9")), FakeMinion(a_minion("new", libc_version="2.36"))
    run(a_fleet(new, old), jobs(6), results)
    assert len(old.began) == 6


def test_dispatch__a_recipe_cannot_be_sent__costs_its_job_alone(results: Results) -> None:
    def bundle(entry: Planned) -> str:
        if entry.job.project == "p1":
            raise InvalidFileError("the recipe of p1 is too big")
        return ""

    outcome = run(a_fleet(FakeMinion(a_minion())), jobs(3), results, bundle=bundle)
    failed = [record for record in outcome.records.values() if record.status == "failed"]
    assert [record.cause.message for record in failed if record.cause] == ["the recipe of p1 is too big"]
    assert len(outcome.finished) == 3


def test_dispatch__thousands_of_jobs__cost_little_each(results: Results) -> None:
    fleet = a_fleet(*(FakeMinion(a_minion(f"m{number}", width=8, memory=0)) for number in range(20)))
    began = time.process_time()
    outcome = run(fleet, jobs(2000), results)
    assert len(outcome.finished) == 2000
    assert time.process_time() - began < 60  # a few seconds; a square of the jobs would be minutes
