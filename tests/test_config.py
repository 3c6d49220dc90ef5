from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from wheelhouse.config import Config, bundled, find_registry, find_workspace, index_url, load_config
from wheelhouse.errors import InvalidFileError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _registry(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wheelhouse.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ('[targets]\nbuild = ["cp399-*"]', "targets.build[0]", "did you mean `cp39-*`?"),
        ('[targets]\nskip = ["*-x"]', "targets.skip[0]", "picks no build identifier"),
        ('[targets]\narchs = ["arm64e"]', "targets.archs[0]", "`arm64e` is no architecture; there are "),
        ('[images]\nmanylinux = "x"', "images.manylinux", "is no platform with images"),
        ('[test-images]\nwin_amd64 = "x"', "test-images.win_amd64", "is no platform with images"),
        ("[build]\njobs = -1", "build.jobs", "greater than or equal to 0"),
        ('[build]\nbuilder = "podman"', "build.builder", "must be `auto`, `cibuildwheel` or `host`"),
        ('[bulid]\nbuilder = "host"', "bulid", "did you mean `build`?"),
    ],
)
def test_load_config__one_mistake(tmp_path: Path, text: str, key: str, part: str) -> None:
    path = _registry(tmp_path, text) / "wheelhouse.toml"

    with pytest.raises(InvalidFileError) as caught:
        load_config(path)

    assert [problem.key for problem in caught.value.problems] == [key]
    assert part in caught.value.problems[0].message


def test_load_config__empty_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(_registry(tmp_path) / "wheelhouse.toml") == Config()


def test_find_workspace__nearest_upwards(tmp_path: Path) -> None:
    root = _registry(tmp_path / "r", '[paths]\ndist = "out"')
    deep = root / "a" / "b"
    deep.mkdir(parents=True)

    workspace = find_workspace(start=deep, registry=None, environment={"WHEELHOUSE_CACHE": str(tmp_path / "c")})

    assert workspace.registry == root / "recipes"
    assert workspace.dist == root / "out"
    assert workspace.state == root / ".wheelhouse"
    assert workspace.cache == tmp_path / "c"


def test_find_workspace__option_before_environment_before_folder(tmp_path: Path) -> None:
    here, named, chosen = (_registry(tmp_path / name) for name in ("here", "named", "chosen"))
    environment = {"WHEELHOUSE_REGISTRY": str(named)}

    by_option = find_workspace(start=here, registry=chosen / "wheelhouse.toml", environment=environment)
    by_environment = find_workspace(start=here, registry=None, environment=environment)

    assert by_option.registry == chosen / "recipes"
    assert by_environment.dist == named / "dist"


def test_find_workspace__state_by_environment__is_one_for_many_registries(tmp_path: Path) -> None:
    environment = {"WHEELHOUSE_STATE": str(tmp_path / "state")}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wheelhouse.toml").write_text('[paths]\nstate = "mine"\n')
        workspace = find_workspace(start=tmp_path / name, registry=None, environment=environment)
        assert workspace.state == tmp_path / "state"
        assert workspace.registry == tmp_path / name / "recipes"


def test_find_workspace__recipes_that_come_with_wheelhouse_are_not_written_to(tmp_path: Path) -> None:
    workspace = find_workspace(start=tmp_path, registry=None, environment={})

    assert workspace.registry == bundled() / "recipes"
    assert workspace.dist == tmp_path / "dist"
    assert workspace.state == tmp_path / ".wheelhouse"


def test_find_registry__named_one_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has neither wheelhouse\.toml nor recipes/"):
        find_registry(start=tmp_path, registry=None, environment={"WHEELHOUSE_REGISTRY": str(tmp_path / "none")})


def test_index_url__configuration_before_uv_before_pip() -> None:
    both = {"UV_DEFAULT_INDEX": "https://uv.test/simple", "PIP_INDEX_URL": "https://pip.test/simple"}
    configured = Config.model_validate({"index": {"url": "https://own.test/simple"}})

    assert index_url(configured, both) == "https://own.test/simple"
    assert index_url(Config(), both) == "https://uv.test/simple"
    assert index_url(Config(), {"PIP_INDEX_URL": both["PIP_INDEX_URL"]}) == "https://pip.test/simple"
    assert index_url(Config(), {}) == PYPI_SIMPLE_ENDPOINT


def test_index_url__default__is_had_without_importing_what_has_it() -> None:
    code = (
        "import sys; from wheelhouse.config import *; index_url(Config(), {}); sys.exit('pypi_simple' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
