from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wheelhouse.config import Config, TargetSettings
from wheelhouse.errors import UsageError
from wheelhouse.recipe import load_recipe
from wheelhouse.selection import Wanted, parse_packages, select_jobs
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.recipe import Recipe

HASH = "0" * 64
CONFIG = Config()


def registry(folder: Path, **recipes: str) -> Mapping[NormalizedName, Recipe]:
    """Write and read recipes: name -> what stands below its two versions."""
    read = {}
    for name, rest in recipes.items():
        path = folder / name / "recipe.toml"
        path.parent.mkdir(parents=True)
        versions = "".join(f'[[version]]\nversion = "{version}"\nsha256 = "{HASH}"\n' for version in ("2.0", "1.0"))
        path.write_text(f'[package]\nname = "{name}"\n{versions}{rest}')
        recipe = load_recipe(path)
        read[recipe.project] = recipe
    return read


def ids(recipes: Mapping[NormalizedName, Recipe], wanted: Wanted) -> list[str]:
    return [job.id for job in select_jobs(recipes, wanted, CONFIG)]


def test_select__nothing_said__newest_version_for_this_machine(tmp_path: Path) -> None:
    found = ids(registry(tmp_path, spam='[targets]\nbuild = ["cp312-manylinux*"]'), Wanted())
    assert found == [f"spam-2.0-cp312-manylinux_{native_arch()}"]


def test_select__version_named__that_one(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam='[targets]\nbuild = ["cp312-manylinux*"]')
    assert ids(recipes, Wanted(packages=parse_packages(["spam==1.0"]))) == [f"spam-1.0-cp312-manylinux_{native_arch()}"]


def test_select__all_versions__both(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam='[targets]\nbuild = ["cp312-manylinux*"]')
    assert len(ids(recipes, Wanted(all_versions=True))) == 2


def test_select__python_and_arch__narrow(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam="")
    found = ids(recipes, Wanted(pythons=("3.13",), archs=("aarch64",)))
    assert found == ["spam-2.0-cp313-manylinux_aarch64", "spam-2.0-cp313-musllinux_aarch64"]


def test_select__python_of_the_defaults__keeps_to_their_platforms(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam="")
    config = Config(targets=TargetSettings(build=("cp312-manylinux*", "cp313-*")))
    found = select_jobs(recipes, Wanted(pythons=("3.12",)), config)
    assert [job.id for job in found] == [f"spam-2.0-cp312-manylinux_{native_arch()}"]


def test_select__python_outside_the_defaults__is_built_when_asked_for(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam="")
    assert ids(recipes, Wanted(only=("cp39-manylinux_x86_64",))) == ["spam-2.0-cp39-manylinux_x86_64"]


def test_select__python_that_the_recipe_excludes__says_what_there_is(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam='[targets]\nbuild = ["cp312-*"]')
    with pytest.raises(UsageError, match=r"spam has no target that fits --python 3\.13") as caught:
        ids(recipes, Wanted(packages=parse_packages(["spam"]), pythons=("3.13",)))
    assert caught.value.hint is not None
    assert "cp312-*" in caught.value.hint


def test_select__no_such_version__says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no version of spam in the recipe fits `==3\.0`") as caught:
        ids(registry(tmp_path, spam=""), Wanted(packages=parse_packages(["spam==3.0"])))
    assert caught.value.hint == "the recipe has 2.0, 1.0"


def test_select__override_with_skip__leaves_the_target_out(tmp_path: Path) -> None:
    rest = (
        '[targets]\nbuild = ["cp31{2,3}-manylinux*"]\n[[override]]\nselect = "cp313-*"\nreason = "too new"\nskip = true'
    )
    found = ids(registry(tmp_path, spam=rest), Wanted())
    assert found == [f"spam-2.0-cp312-manylinux_{native_arch()}"]


def test_select__dependency__comes_along(tmp_path: Path) -> None:
    recipes = registry(
        tmp_path,
        spam='[depends]\nbuild = ["egg"]\n[targets]\nbuild = ["cp312-manylinux*"]',
        egg='[targets]\nbuild = ["cp312-manylinux*"]',
    )
    found = ids(recipes, Wanted(packages=parse_packages(["spam"])))
    assert [id_.split("-")[0] for id_ in found] == ["spam", "egg"]


def test_select__pypy__only_where_it_is_named(tmp_path: Path) -> None:
    recipes = registry(tmp_path, spam="")
    assert not any("-pp3" in id_ for id_ in ids(recipes, Wanted(pythons=("3.11",))))
    assert ids(recipes, Wanted(only=("pp311-manylinux_x86_64",))) == ["spam-2.0-pp311-manylinux_x86_64"]


@pytest.mark.parametrize("text", ["spam=1", "", "-x", "spam @@"])
def test_parse_packages__not_a_requirement__is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is neither a project nor"):
        parse_packages([text])
