from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fake_salt import ARM, X86, a_minion, facts
from fakes import a_job, a_record
from wheelhouse.builders import Unavailable
from wheelhouse.buildkey import build_key
from wheelhouse.config import Config, Workspace
from wheelhouse.farm.salt.minion import fit, machines, read_minion, skew
from wheelhouse.plan import BuilderChoice, make_plan
from wheelhouse.results import Results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.record import Record


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = {name: tmp_path / name for name in ("registry", "dist", "state", "cache")}
    return Results(Workspace(**folders, config=Config()))


@pytest.mark.parametrize(
    ("target", "minion", "setting", "expected"),
    [
        (X86, {}, "auto", "host"),
        (X86, {"engine": "podman"}, "auto", "cibuildwheel"),
        (X86, {"engine": "podman"}, "host", "host"),
        (X86, {}, "cibuildwheel", "it has no container engine"),
        (X86, {"pythons": ()}, "host", "it has no CPython 3.11"),
        (X86, {"libc": "musl"}, "host", "its C library is musl, not glibc"),
        (ARM, {"engine": "podman"}, "cibuildwheel", "it is x86_64 and runs no containers for aarch64"),
        (ARM, {"engine": "podman", "emulates": ["aarch64"]}, "cibuildwheel", "cibuildwheel"),
        (ARM, {}, "host", "it is x86_64 and compiles for no aarch64"),
        (ARM, {"crosses": ["aarch64"]}, "host", "host"),
        (ARM, {"arch": "aarch64"}, "auto", "host"),
        ("cp311-manylinux_i686", {"engine": "docker"}, "auto", "cibuildwheel"),
        ("cp311-musllinux_x86_64", {"engine": "docker"}, "auto", "cibuildwheel"),
        ("pp311-manylinux_x86_64", {}, "host", "the host builder builds for CPython only"),
        ("cp311-macosx_arm64", {}, "auto", "minions build wheels for Linux"),
    ],
)
def test_fit__every_grain__decides(target: str, minion: dict[str, Any], setting: Any, expected: str) -> None:
    found = fit(a_job(target=target), a_minion(**minion), setting)
    assert expected == (found.reason if isinstance(found, Unavailable) else found)


def test_fit__a_pure_package__is_built_without_containers() -> None:
    assert fit(replace(a_job(), extension=False), a_minion(engine="podman")) == "host"


def test_skew__another_minor_release__is_refused_and_another_mend_is_not() -> None:
    assert skew(a_minion(version="0.1.7"), "0.1.0") is None
    assert skew(a_minion(version="0.2.0"), "0.1.0") == "it has wheelhouse 0.2.0, and this is 0.1.0"
    assert isinstance(fit(a_job(), a_minion(version="9.9.9")), Unavailable)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("'wheelhouse.capabilities' is not available.", "'wheelhouse.capabilities' is not available."),
        ({"version": 1.1, "arch": "x86_64"}, "wheelhouse:version cannot be used"),
        ({"version": 1.1, "arch": "x86_64"}, "YAML takes 1.10 for the number 1.1: quote it"),
        ({"version": "1.1"}, "wheelhouse:arch cannot be used"),
        ({"version": "1.1", "arch": "x86_64", "pythons": [3.1]}, "YAML takes 1.10 for the number 1.1"),
        ({"version": "1.1", "arch": "x86_64", "width": 0}, "wheelhouse:width cannot be used"),
    ],
)
def test_read_minion__what_cannot_be_used__has_its_reason(told: Any, why: str) -> None:
    found = read_minion("m1", told)
    assert isinstance(found, Unavailable)
    assert why in found.reason


def test_machines__auto__is_what_the_fleet_has() -> None:
    assert machines([a_minion(), a_minion(arch="riscv64")]).archs == {"x86_64", "riscv64"}


def test_facts__no_minion_fits__says_why_of_each(results: Results) -> None:
    minions = [a_minion("m1"), a_minion("m2"), a_minion("m3", arch="riscv64")]
    found = facts(results, minions, refused={"m4": "no answer"}).builder(a_job(target=ARM))
    assert isinstance(found, Unavailable)
    assert "m1, m2: it has no container engine; without a container: it is x86_64" in found.reason
    assert "m3: it has no container engine" in found.reason
    assert "m4: no answer" in found.reason


def test_facts__one_has_an_engine__containers_are_taken(results: Results) -> None:
    found = facts(results, [a_minion("m1"), a_minion("m2", engine="podman")]).builder(a_job())
    assert found == BuilderChoice(name="cibuildwheel", reason="on m2")


def built(changes: Mapping[str, str] | None = None, *, published: bool = True) -> Record:
    job = a_job()
    known = {"target": X86, "builder": "host", **job.recipe_inputs(), "tool.auditwheel": "6", **(changes or {})}
    record = a_record(job, key=build_key(known), inputs=known)
    return record.model_copy(update={"details": {"published": {"outcome": "published"}}}) if published else record


@pytest.mark.parametrize(
    ("record", "action"),
    [
        (built(), "reuse"),
        (built(published=False), "build"),
        (built({"source.sha256": "1" * 64}), "build"),
        (built({"source.patch.0.x.patch": "1"}), "build"),
        (built({"builder": "cibuildwheel"}), "build"),
        (a_record(a_job(), status="failed"), "build"),
    ],
)
def test_facts__last_record__is_reused_where_recipe_and_source_are_the_same(
    results: Results, record: Record, action: str
) -> None:
    results.note(record)
    (entry,) = make_plan([a_job()], facts(results, [a_minion()])).entries
    assert entry.action == action


def test_facts__the_index_has_the_record__it_is_reused_too(results: Results) -> None:
    record = built()
    (entry,) = make_plan([a_job()], facts(results, [a_minion()], recorded=lambda job, than: record)).entries
    assert entry.action == "reuse"
