from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from recipes import write_recipe
from wheelhouse.config import bundled
from wheelhouse.errors import InvalidFileError, UsageError
from wheelhouse.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


def _registry(tmp_path: Path) -> Registry:
    return Registry(folder=tmp_path / "recipes")


def _depends(*names: str) -> str:
    return f"[depends]\nbuild = {list(names)}\n"


def test_load__all_recipes_of_the_project_are_valid() -> None:
    registry = Registry(folder=bundled() / "recipes")

    assert set(registry.load()) == set(registry.projects())
    assert "markupsafe" in registry.projects()


def test_load__one_and_those_it_depends_on(tmp_path: Path) -> None:
    write_recipe(tmp_path, _depends("B_b"), name="a")
    write_recipe(tmp_path, _depends("c"), name="b-b")
    write_recipe(tmp_path, name="c")
    write_recipe(tmp_path, "not toml", name="d")

    assert list(_registry(tmp_path).load(["A"])) == ["a", "b-b", "c"]


def test_load__every_problem_of_every_file(tmp_path: Path) -> None:
    write_recipe(tmp_path, "[zzz]\n", name="a")
    write_recipe(tmp_path, "not toml", name="b")
    write_recipe(tmp_path, _depends("lxlm"), name="c")
    write_recipe(tmp_path, name="lxml")

    with pytest.raises(InvalidFileError) as caught:
        _registry(tmp_path).load()

    assert [(problem.file.parent.name, problem.key) for problem in caught.value.problems] == [
        ("a", "zzz"),
        ("b", ""),
        ("c", "depends.build[0]"),
    ]
    assert "did you mean `lxml`?" in caught.value.problems[2].message


def test_survey__the_good_ones_all_the_same(tmp_path: Path) -> None:
    write_recipe(tmp_path, "not toml", name="bad")
    write_recipe(tmp_path, name="good")

    survey = _registry(tmp_path).survey()

    assert list(survey.recipes) == ["good"]
    assert len(survey.problems) == 1


def test_load__a_circle(tmp_path: Path) -> None:
    write_recipe(tmp_path, _depends("b"), name="a")
    write_recipe(tmp_path, _depends("c"), name="b")
    write_recipe(tmp_path, _depends("a"), name="c")

    [problem] = _registry(tmp_path).survey().problems

    assert problem.key == "depends.build"
    assert "in a circle" in problem.message
    assert problem.message.count(" -> ") == 3


def test_load__a_folder_that_is_not_normalised_is_a_problem_not_a_gap(tmp_path: Path) -> None:
    write_recipe(tmp_path, name="MarkupSafe")

    [problem] = _registry(tmp_path).survey(["markupsafe"]).problems

    assert "the folder is `MarkupSafe`, the project `markupsafe`" in problem.message


def test_path__no_such_recipe(tmp_path: Path) -> None:
    write_recipe(tmp_path, name="markupsafe")

    with pytest.raises(UsageError) as caught:
        _registry(tmp_path).path("markupsave")

    assert caught.value.hint == "did you mean `markupsafe`?"


def test_projects__no_folder_no_recipes(tmp_path: Path) -> None:
    assert _registry(tmp_path).projects() == ()
    assert _registry(tmp_path).load() == {}


def test_projects__a_file_instead_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "recipes").touch()

    with pytest.raises(UsageError, match="is a file, not a folder"):
        _registry(tmp_path).projects()


def test_load__a_thousand_recipes_take_less_than_two_seconds(tmp_path: Path) -> None:
    for number in range(1000):
        write_recipe(tmp_path, f'[targets]\nbuild = ["cp3{11 + number % 4}-*"]\n', name=f"demo-{number}")
    registry = _registry(tmp_path)
    started = time.process_time()

    recipes = registry.load()

    assert time.process_time() - started < 2
    assert len(recipes) == 1000
