from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import FakeFacts, a_job, a_record
from wheelhouse.buildkey import build_key
from wheelhouse.errors import InvalidFileError
from wheelhouse.plan import make_plan


def test_plan__never_seen__is_built_with_no_key() -> None:
    (entry,) = make_plan([a_job()], FakeFacts()).entries
    assert (entry.action, entry.key, entry.reason) == ("build", None, "never built")


def test_plan__same_inputs_and_result_there__is_reused() -> None:
    job = a_job()
    facts = FakeFacts(known={job.id: {"a": "1"}}, results=frozenset({build_key({"a": "1"})}))
    (entry,) = make_plan([job], facts).entries
    assert entry.action == "reuse"


def test_plan__force__builds_what_is_there() -> None:
    job = a_job()
    facts = FakeFacts(known={job.id: {"a": "1"}}, results=frozenset({build_key({"a": "1"})}))
    (entry,) = make_plan([job], facts, force=True).entries
    assert (entry.action, entry.reason) == ("build", "asked to build again")


def test_plan__one_input_changed__names_it() -> None:
    job = a_job()
    before = {"tool.auditwheel": "6.8.1", "source.sha256": "x"}
    facts = FakeFacts(
        known={job.id: {"tool.auditwheel": "6.8.2", "source.sha256": "x"}},
        records={job.id: a_record(job, key=build_key(before), inputs=before)},
    )
    (entry,) = make_plan([job], facts).entries
    assert entry.reason == "inputs changed"
    assert entry.changes == ("tool.auditwheel: 6.8.1 -> 6.8.2",)


def test_plan__failed_before__is_tried_again_and_says_why_it_failed() -> None:
    job = a_job()
    facts = FakeFacts(records={job.id: a_record(job, status="failed")})
    (entry,) = make_plan([job], facts).entries
    assert entry.reason == "failed last time: it broke"


def test_plan__dependency__comes_first_and_its_key_is_an_input() -> None:
    user, library = a_job("user", depends=("library",)), a_job("library")
    known = {user.id: {"a": "1"}, library.id: {"b": "1"}}
    plan = make_plan([user, library], FakeFacts(known=known))
    assert [entry.job.project for entry in plan.entries] == ["library", "user"]
    assert plan.entries[1].depends == (library.id,)
    assert plan.entries[1].key == build_key({"a": "1", f"depends.{library.id}": plan.entries[0].key or ""})


def test_plan__dependency_whose_key_changes__changes_the_dependents_key() -> None:
    jobs = [a_job("user", depends=("library",)), a_job("library")]
    keys = [
        make_plan(jobs, FakeFacts(known={jobs[0].id: {}, jobs[1].id: {"b": value}})).entries[1].key for value in "12"
    ]
    assert keys[0] != keys[1]


def test_plan__dependency_not_possible_here__neither_is_the_dependent() -> None:
    jobs = [a_job("user", depends=("library",)), a_job("library")]
    plan = make_plan(jobs, FakeFacts(cannot={"cp311-manylinux_x86_64": "no Python 3.11"}))
    assert {entry.action for entry in plan.entries} == {"unavailable"}


def test_plan__circle__is_refused_with_its_members() -> None:
    jobs = [a_job("egg", depends=("hen",)), a_job("hen", depends=("egg",))]
    with pytest.raises(InvalidFileError, match=r"(egg -> hen -> egg|hen -> egg -> hen)"):
        make_plan(jobs, FakeFacts())


def test_plan__abi3__one_job_serves_later_pythons() -> None:
    jobs = [a_job(target=f"cp3{minor}-manylinux_x86_64", abi3=True) for minor in (11, 12, 13)]
    (entry,) = make_plan(jobs, FakeFacts()).entries
    assert str(entry.job.target) == "cp311-manylinux_x86_64"
    assert entry.serves == ("cp312-manylinux_x86_64", "cp313-manylinux_x86_64")


def test_plan__abi3_lowest_python_missing__next_one_serves() -> None:
    jobs = [a_job(target=f"cp3{minor}-manylinux_x86_64", abi3=True) for minor in (11, 12, 13)]
    plan = make_plan(jobs, FakeFacts(cannot={"cp311-manylinux_x86_64": "no Python 3.11"}))
    (entry,) = plan.having("build")
    assert str(entry.job.target) == "cp312-manylinux_x86_64"


def test_plan__no_extension__one_job_serves_every_target() -> None:
    targets = ("cp312-manylinux_x86_64", "cp311-musllinux_x86_64", "cp311-manylinux_x86_64", "cp314-manylinux_x86_64")
    jobs = [replace(a_job(target=target), extension=False) for target in targets]
    [entry] = make_plan(jobs, FakeFacts(cannot={targets[1]: "no image", targets[3]: "no Python"})).entries
    assert str(entry.job.target) == "cp311-manylinux_x86_64"
    assert entry.serves == (targets[1], targets[0], targets[3])


def test_plan__no_extension_and_nothing_can_build_it__all_are_told() -> None:
    jobs = [replace(a_job(target=f"cp3{minor}-manylinux_x86_64"), extension=False) for minor in (11, 12)]
    made = make_plan(jobs, FakeFacts(cannot={str(job.target): "no Python" for job in jobs}))
    assert [entry.action for entry in made.entries] == ["unavailable", "unavailable"]


def test_plan__abi3_freethreaded__keeps_its_own_job() -> None:
    jobs = [a_job(target=f"cp{python}-manylinux_x86_64", abi3=True) for python in ("313", "314", "314t")]
    plan = make_plan(jobs, FakeFacts())
    assert {str(entry.job.target) for entry in plan.entries} == {"cp313-manylinux_x86_64", "cp314t-manylinux_x86_64"}


def test_plan__dependent_of_abi3__takes_the_wheel_that_serves_its_python() -> None:
    library = [a_job("library", target=f"cp3{minor}-manylinux_x86_64", abi3=True) for minor in (11, 12)]
    user = a_job("user", target="cp312-manylinux_x86_64", depends=("library",))
    plan = make_plan([user, *library], FakeFacts())
    assert next(entry.depends for entry in plan.entries if entry.job.project == "user") == (library[0].id,)


def test_planned__to_json__has_what_a_script_needs() -> None:
    (entry,) = make_plan([a_job()], FakeFacts()).entries
    assert entry.to_json() == {
        "job": "spam-1.0-cp311-manylinux_x86_64",
        "project": "spam",
        "version": "1.0",
        "target": "cp311-manylinux_x86_64",
        "action": "build",
        "reason": "never built",
        "builder": "host",
        "builder_reason": "it is a test",
        "key": None,
        "changes": [],
        "depends": [],
        "serves": [],
        "hint": None,
    }
