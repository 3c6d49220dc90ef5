from __future__ import annotations

import json
import random
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from best_packing import bound
from fakes import FakeFacts, a_job
from wheelhouse.errors import InvalidFileError, UsageError
from wheelhouse.farm.github import MOST_CELLS, STAGES, Matrix, make_matrix, read_matrix
from wheelhouse.farm.packing import SLACK
from wheelhouse.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wheelhouse.job import Job

PLATFORMS = ("manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "manylinux_s390x")
PYTHONS = ("cp311", "cp312", "cp313", "cp314")


def registry(projects: Iterable[str], platforms: Sequence[str] = PLATFORMS, depends: tuple[str, ...] = ()) -> list[Job]:
    return [
        a_job(project, "1.0", f"{python}-{platform}", depends=depends)
        for project, python, platform in product(projects, PYTHONS, platforms)
    ]


def matrix_of(jobs: Sequence[Job], seconds: float = 60, most: int = MOST_CELLS, target: float = 1200) -> Matrix:
    return make_matrix(make_plan(jobs, FakeFacts()), lambda job: seconds, most=most, target=target)


def test_matrix__every_job_is_in_one_cell_of_its_platform() -> None:
    jobs = registry([f"project-{number}" for number in range(50)])
    made = matrix_of(jobs)
    assert sorted(id_ for cell in made.cells for id_ in cell.jobs) == sorted(job.id for job in jobs)
    assert all(id_.endswith(f"-{cell.platform}") for cell in made.cells for id_ in cell.jobs)
    assert len({cell.name for cell in made.cells}) == len(made.cells)


def test_matrix__runners__are_native_where_there_are_any() -> None:
    made = matrix_of(registry(["spam"]))
    assert {cell.platform: (cell.runner, cell.emulates) for cell in made.cells} == {
        "manylinux_x86_64": ("ubuntu-24.04", ""),
        "manylinux_aarch64": ("ubuntu-24.04-arm", ""),
        "musllinux_x86_64": ("ubuntu-24.04", ""),
        "manylinux_s390x": ("ubuntu-24.04", "s390x"),
    }


@settings(deadline=None)
@given(st.data())
def test_matrix__random_durations__cells_are_near_the_best_packing_of_all(data: st.DataObject) -> None:
    jobs = registry([f"project-{number}" for number in range(data.draw(st.integers(1, 12)))])
    seconds = {job.id: data.draw(st.floats(1, 5000)) for job in jobs}
    most = data.draw(st.integers(len(PLATFORMS), 30))
    made = make_matrix(make_plan(jobs, FakeFacts()), lambda job: seconds[job.id], most=most)
    assert len(made.cells) <= most
    groups = [[seconds[job.id] for job in jobs if job.target.platform_tag == platform] for platform in PLATFORMS]
    assert max(cell.seconds for cell in made.cells) <= SLACK * bound(groups, len(made.cells)) + 0.1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_matrix__large_registry__longest_cell_is_near_the_ideal_of_all(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing secret: durations that look like a registry's
    jobs = registry([f"project-{number}" for number in range(100)])
    seconds = {job.id: chance.lognormvariate(5, 1) for job in jobs}
    made = make_matrix(make_plan(jobs, FakeFacts()), lambda job: seconds[job.id], most=64, target=1)
    ideal = max(*seconds.values(), sum(seconds.values()) / len(made.cells))
    assert max(cell.seconds for cell in made.cells) <= SLACK * ideal


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_matrix__any_platforms_durations_and_limit__cells_are_near_the_best_packing_of_their_platform(
    data: st.DataObject,
) -> None:
    jobs, seconds = [], {}
    for number in range(data.draw(st.integers(1, 25))):
        platforms = data.draw(st.lists(st.sampled_from(PLATFORMS), min_size=1, unique=True))
        for job in registry([f"project-{number}"], platforms):
            jobs.append(job)
            seconds[job.id] = data.draw(st.floats(1, 4000))
    most, target = data.draw(st.integers(len(PLATFORMS), 60)), data.draw(st.floats(60, 4000))
    made = make_matrix(make_plan(jobs, FakeFacts()), lambda job: seconds[job.id], most=most, target=target)
    assert len(made.cells) <= most
    for platform in {job.target.platform_tag for job in jobs}:
        cells = [cell for cell in made.cells if cell.platform == platform]
        own = [seconds[job.id] for job in jobs if job.target.platform_tag == platform]
        assert max(cell.seconds for cell in cells) <= SLACK * bound([own], len(cells)) + 0.1


def test_matrix__a_recipe_more__renames_no_cell_and_moves_few_jobs() -> None:
    projects = [f"project-{number}" for number in range(200)]
    before, after = matrix_of(registry(projects)), matrix_of(registry([*projects, "another"]))
    old = {id_: cell.name for cell in before.cells for id_ in cell.jobs}
    new = {id_: cell.name for cell in after.cells for id_ in cell.jobs}
    assert {cell.name for cell in before.cells} <= {cell.name for cell in after.cells}
    assert sum(old[id_] != new[id_] for id_ in old) < 0.1 * len(old)


def test_matrix__order_of_recipes__changes_nothing() -> None:
    jobs = registry(["spam", "eggs", "ham"])
    assert [(cell.name, set(cell.jobs)) for cell in matrix_of(jobs).cells] == [
        (cell.name, set(cell.jobs)) for cell in matrix_of(jobs[::-1]).cells
    ]


def test_matrix__dependency__is_a_stage_earlier() -> None:
    made = matrix_of([*registry(["lib"]), *registry(["app"], depends=("lib",))])
    first, second = made.stages
    assert all(id_.startswith("lib-") for cell in first for id_ in cell.jobs)
    assert all(id_.startswith("app-") for cell in second for id_ in cell.jobs)


def test_matrix__more_dependencies_than_stages__the_rest_is_in_one_cell_in_order() -> None:
    chain = [a_job(f"p{number}", depends=(f"p{number - 1}",) if number else ()) for number in range(7)]
    made = matrix_of(chain[::-1], target=1)
    assert [len(stage) for stage in made.stages] == [1] * STAGES
    assert [id_.split("-")[0] for id_ in made.stages[-1][0].jobs] == ["p3", "p4", "p5", "p6"]


def test_matrix__too_few_cells__is_refused() -> None:
    with pytest.raises(UsageError, match="at most 3 cells are too few: 4 are needed"):
        matrix_of(registry(["spam"]), most=3)


def test_matrix__nothing_to_build__has_outputs_that_skip_every_stage() -> None:
    outputs = matrix_of([]).to_outputs()
    assert outputs["stages"] == "0"
    assert [json.loads(outputs[f"stage-{number}"]) for number in range(STAGES)] == [{"include": []}] * STAGES


def test_matrix__outputs__stay_small_whatever_is_built() -> None:
    made = matrix_of(registry(f"project-{number}" for number in range(2000)))
    assert len(made.cells) <= MOST_CELLS
    assert sum(map(len, made.to_outputs().values())) < 50_000


def test_matrix__what_no_machine_builds__is_told() -> None:
    jobs = registry(["spam"], PLATFORMS[:2])
    plan = make_plan(jobs, FakeFacts(cannot={"cp311-manylinux_aarch64": "no machine"}))
    assert make_matrix(plan, lambda job: 1).unavailable == {"spam-1.0-cp311-manylinux_aarch64": "no machine"}


def test_read_matrix__what_was_written(tmp_path: Path) -> None:
    made = matrix_of(registry(["spam"]))
    (tmp_path / "matrix.json").write_bytes(made.to_json())
    assert read_matrix(tmp_path / "matrix.json") == made


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"stages": [[{"name": "x"}]]}'])
def test_read_matrix__something_else__is_refused_with_the_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "matrix.json").write_text(text)
    with pytest.raises(InvalidFileError, match=r"matrix\.json is not a matrix"):
        read_matrix(tmp_path / "matrix.json")


def test_cell__unknown_name__says_which_there_are() -> None:
    with pytest.raises(UsageError, match="no cell `nope`"):
        matrix_of(registry(["spam"])).cell("nope")
