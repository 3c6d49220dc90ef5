from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from wheelhouse.cli import run
from wheelhouse.config import Config, load_config
from wheelhouse.recipe import load_recipe
from wheelhouse.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

NEW = hashlib.sha256(b"new").hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _index(folder: Path, *files: str) -> str:
    """Write a static index of one project and return its address."""
    page = folder / "index" / "some-project"
    page.mkdir(parents=True)
    lines = "".join(f"<a href='{file}'>{file.split('#')[0]}</a>" for file in files)
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{lines}</body></html>")
    return (folder / "index").as_uri()


def test_init__is_a_valid_registry(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["wheelhouse.toml", "recipes/markupsafe/recipe.toml", ".gitignore"]
    assert "wheelhouse build markupsafe" in err
    assert load_config(here / "wheelhouse.toml") == Config()
    assert list(Registry(folder=here / "recipes").load()) == ["markupsafe"]
    assert run(["recipe", "lint"]) == 0


def test_init__overwrites_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "new"]) == 0
    before = {path: path.read_bytes() for path in (here / "new").rglob("*") if path.is_file()}

    assert run(["init", "new", "--package", "other"]) == 2
    assert "is there already, and nothing was changed" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (here / "new").rglob("*") if path.is_file()} == before


def test_init__adds_to_a_gitignore(here: Path) -> None:
    (here / ".gitignore").write_text("*.log\n/dist/")

    assert run(["init"]) == 0
    assert (here / ".gitignore").read_text() == "*.log\n/dist/\n/.wheelhouse/\n"


def test_init__into_a_file(here: Path) -> None:
    (here / "file").touch()

    assert run(["init", "file"]) == 2


def test_init__newest_sdist_of_a_package(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = _index(
        here,
        f"some_project-1.9.tar.gz#sha256={'0' * 64}",
        f"some_project-1.10.tar.gz#sha256={NEW}",
        f"some_project-2.0rc1.tar.gz#sha256={'0' * 64}",
        f"some_project-1.11-py3-none-any.whl#sha256={'0' * 64}",
        "some_project-1.12.tar.gz",
    )
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)

    assert run(["init", "new", "--package", "Some.Project"]) == 0
    recipe = load_recipe(here / "new" / "recipes" / "some-project" / "recipe.toml")
    assert [(entry.version, entry.sha256) for entry in recipe.version] == [("1.10", NEW)]


@pytest.mark.parametrize(("package", "status"), [("some-project", 5), ("no-such", 5), ("../x", 2)])
def test_init__package_without_sdist_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, package: str, status: int
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", _index(here, f"some_project-1-py3-none-any.whl#sha256={NEW}"))

    assert run(["init", "new", "--package", package]) == status
    assert not (here / "new").exists()
