from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from fakes import a_job
from wheelhouse.config import Workspace, find_workspace
from wheelhouse.errors import InvalidFileError
from wheelhouse.farm.salt.bundle import MOST, Bundles

if TYPE_CHECKING:
    from pathlib import Path

_RECIPE = '[package]\nname = "{name}"\n\n[[version]]\nversion = "1.0"\nsha256 = "{hash}"\n\n{more}'


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "wheelhouse.toml").write_text('[build]\nbuilder = "host"\n')
    write(
        tmp_path,
        "spam",
        '[source]\npatches = [{ file = "fix.patch", upstream-status = "Pending" }]\n[depends]\nbuild = ["eggs"]\n',
    )
    write(tmp_path, "eggs")
    write(tmp_path, "other")
    (tmp_path / "recipes/spam/fix.patch").write_bytes(b"\xff patch")
    (tmp_path / "recipes/spam/.#recipe.toml").write_text("an editor's")
    return find_workspace(start=tmp_path, registry=tmp_path, environment={"WHEELHOUSE_CACHE": str(tmp_path / "cache")})


def write(folder: Path, name: str, more: str = "") -> None:
    path = folder / "recipes" / name / "recipe.toml"
    path.parent.mkdir(parents=True)
    path.write_text(_RECIPE.format(name=name, hash="0" * 64, more=more))


def unpack(text: str) -> dict[str, bytes]:
    return {name: base64.b64decode(data) for name, data in json.loads(zlib.decompress(base64.b64decode(text))).items()}


def test_bundle__has_what_the_job_needs_and_nothing_else(workspace: Workspace) -> None:
    files = unpack(Bundles(workspace).of(a_job()))
    assert sorted(files) == [
        "recipes/eggs/recipe.toml",
        "recipes/spam/fix.patch",
        "recipes/spam/recipe.toml",
        "wheelhouse.toml",
    ]
    assert files["recipes/spam/fix.patch"] == b"\xff patch"
    assert files["wheelhouse.toml"] == b'[build]\nbuilder = "host"\n'


def test_bundle__too_big__is_refused_with_the_recipes_name(workspace: Workspace) -> None:
    (workspace.registry / "spam/fix.patch").write_bytes(bytes(MOST))
    with pytest.raises(InvalidFileError, match="the recipe of spam is too big"):
        Bundles(workspace).of(a_job())
