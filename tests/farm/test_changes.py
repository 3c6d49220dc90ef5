from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

import tiny
from wheelhouse.errors import UsageError
from wheelhouse.farm.changes import changed_recipes, with_dependents
from wheelhouse.process import Processes
from wheelhouse.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *settings, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Give a registry below the root of its repository."""
    folder = tmp_path / "wheels"
    projects = (
        tiny.Tiny(name="ant"),
        tiny.Tiny(name="bee", recipe='[depends]\nbuild = ["ant"]\n'),
        tiny.Tiny(name="cat"),
    )
    tiny.write_registry(folder, *projects)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return folder


def touch(registry: Path, name: str) -> None:
    path = registry / "recipes" / name / "recipe.toml"
    path.write_text(path.read_text() + "# changed\n")


def changed(registry: Path, ref: str = "main") -> list[str] | None:
    found = changed_recipes(registry / "recipes", ref, Processes())
    return None if found is None else sorted(found)


def test_changes__nothing__is_nothing(registry: Path) -> None:
    assert changed(registry, "HEAD") == []


def test_changes__committed_and_not_and_new__are_all_seen(registry: Path) -> None:
    git(registry, "checkout", "-q", "-b", "topic")
    touch(registry, "ant")
    commit(registry)
    touch(registry, "cat")
    tiny.write_registry(registry, tiny.Tiny(name="dog"))
    assert changed(registry) == ["ant", "cat", "dog"]


def test_changes__the_other_branch_went_on__are_not_ours(registry: Path) -> None:
    git(registry, "checkout", "-q", "-b", "topic")
    git(registry, "checkout", "-q", "main")
    touch(registry, "ant")
    commit(registry)
    git(registry, "checkout", "-q", "topic")
    touch(registry, "cat")
    assert changed(registry) == ["cat"]


def test_changes__a_recipe_that_is_gone__is_not_to_be_built(registry: Path) -> None:
    git(registry, "rm", "-q", "-r", "recipes/cat")
    assert changed(registry) == []


def test_changes__outside_of_the_registry__concern_nobody(registry: Path) -> None:
    (registry.parent / "README").write_text("words")
    (registry / "notes.txt").write_text("words")
    assert changed(registry) == []


@pytest.mark.parametrize("what", ["settings", "zeros"])
def test_changes__settings_or_a_first_push__concern_all(registry: Path, what: str) -> None:
    if what == "settings":
        (registry / "wheelhouse.toml").write_text("[build]\nbuilder = 'auto'\n")
    assert changed(registry, "HEAD" if what == "settings" else "0" * 40) is None


@pytest.mark.parametrize("ref", ["nonsense", "--output=stolen", "f" * 40, ""])
def test_changes__no_such_commit__says_so_and_runs_nothing(registry: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="git"):
        changed(registry, ref)
    assert not (registry / "stolen").exists()


def test_changes__no_repository__says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        changed_recipes(tmp_path / "recipes", "HEAD", Processes())


def test_dependents__are_built_too(registry: Path) -> None:
    recipes = Registry(folder=registry / "recipes").load()
    ant, bee, cat = map(canonicalize_name, ("ant", "bee", "cat"))
    assert with_dependents(frozenset({ant}), recipes) == {ant, bee}
    assert with_dependents(frozenset({cat}), recipes) == {cat}
