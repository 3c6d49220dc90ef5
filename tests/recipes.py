"""Recipes and registries for tests, written as their authors would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wheelhouse.errors import InvalidFileError
from wheelhouse.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from pathlib import Path

HASH = "ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0"
VERSION = f'[[version]]\nversion = "1.2"\nsha256 = "{HASH}"\n'


def write_recipe(registry: Path, text: str = "", *, name: str = "demo", versions: str = VERSION) -> Path:
    """Write a recipe of `name` with more tables (`text`) and return its file."""
    folder = registry / "recipes" / name
    folder.mkdir(parents=True, exist_ok=True)
    (registry / "wheelhouse.toml").touch()
    path = folder / "recipe.toml"
    path.write_text(f'[package]\nname = "{name}"\n{versions}{text}', "utf-8")
    return path


def read(registry: Path, text: str = "", *, versions: str = VERSION) -> Recipe:
    """Write and read a recipe."""
    return load_recipe(write_recipe(registry, text, versions=versions))


def problems_of(path: Path) -> dict[str, str]:
    """Return what is wrong with a recipe: key path to message."""
    with pytest.raises(InvalidFileError) as caught:
        load_recipe(path)
    assert all(problem.file == path for problem in caught.value.problems)
    return {problem.key: problem.message for problem in caught.value.problems}
