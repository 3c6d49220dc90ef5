from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from fakes import a_job
from wheelhouse.builders import Unavailable
from wheelhouse.config import find_workspace
from wheelhouse.facts import KnownFacts
from wheelhouse.plan import BuilderChoice
from wheelhouse.results import Results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.config import BuilderChoice as BuilderSetting
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.wheel import BuiltWheel


@dataclasses.dataclass
class FakeBuilder:
    """Builds nothing, and says so where `problem` is given."""

    name: BuilderName
    problem: Unavailable | None = None
    asked: int = 0

    def unavailable(self, target: BuildIdentifier) -> Unavailable | None:
        self.asked += 1
        return self.problem

    def runs_on(self, target: BuildIdentifier) -> BuildIdentifier:
        return target

    def prepare(self, job: Job, log: JobLog, *, timeout: float, upgrade: bool = False) -> None:
        raise NotImplementedError

    def inputs(self, job: Job) -> Mapping[str, str]:
        return {}

    def build(self, request: BuildRequest) -> BuiltWheel:
        raise NotImplementedError


NO_ENGINE = Unavailable(reason="no engine", hint="install one")
NO_PYTHON = Unavailable(reason="no Python", hint="install it")


def facts(folder: Path, setting: BuilderSetting, container: FakeBuilder, host: FakeBuilder) -> KnownFacts:
    workspace = find_workspace(start=folder, registry=None, environment={"WHEELHOUSE_CACHE": str(folder)})
    return KnownFacts(
        workspace=workspace,
        results=Results(workspace),
        builders={"cibuildwheel": container, "host": host},
        setting=setting,
        index=None,
    )


@pytest.mark.parametrize(
    ("container", "host", "expected"),
    [
        (None, None, BuilderChoice(name="cibuildwheel", reason="a container engine and an image are here")),
        (NO_ENGINE, None, BuilderChoice(name="host", reason="no engine")),
        (
            NO_ENGINE,
            NO_PYTHON,
            Unavailable(reason="no container: no engine; not on this machine itself: no Python", hint="install it"),
        ),
    ],
)
def test_builder__auto(
    tmp_path: Path, container: Unavailable | None, host: Unavailable | None, expected: BuilderChoice | Unavailable
) -> None:
    known = facts(tmp_path, "auto", FakeBuilder("cibuildwheel", container), FakeBuilder("host", host))

    assert known.builder(a_job()) == expected


def test_builder__is_chosen_once_a_target(tmp_path: Path) -> None:
    container = FakeBuilder("cibuildwheel")
    known = facts(tmp_path, "auto", container, FakeBuilder("host"))

    assert known.builder(a_job("one")) == known.builder(a_job("two"))
    assert container.asked == 1


def test_builder__without_an_extension__not_in_a_container(tmp_path: Path) -> None:
    job = dataclasses.replace(a_job(), extension=False)
    both = FakeBuilder("cibuildwheel"), FakeBuilder("host")

    chosen = facts(tmp_path, "auto", *both).builder(job)
    refused = facts(tmp_path, "cibuildwheel", *both).builder(job)

    assert chosen == BuilderChoice(name="host", reason="cibuildwheel makes no wheels without an extension")
    assert isinstance(refused, Unavailable)
    assert refused.hint == "build with --builder host"


def test_latest__of_a_job_that_was_never_begun(tmp_path: Path) -> None:
    known = facts(tmp_path, "host", FakeBuilder("cibuildwheel"), FakeBuilder("host"))

    assert known.latest(a_job()) is None
