from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import tiny
from wheelhouse.cli import cli
from wheelhouse.errors import UsageError
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tiny.write_registry(
        tmp_path, tiny.Tiny(name="ant"), tiny.Tiny(name="bee", recipe='[depends]\nbuild = ["ant"]\n')
    )


def plan(registry: Path, *words: str) -> Result:
    command = ["--registry", str(registry), "plan", *words, "--python", tiny.HERE, "--builder", "host"]
    return CliRunner().invoke(cli, command, catch_exceptions=True)


def entries(result: Result) -> list[dict[str, Any]]:
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return [entry for entry in found if entry["action"] != "unavailable"]


def test_plan__never_built__says_so_and_builds_nothing(registry: Path) -> None:
    result = plan(registry, "ant")
    assert result.exit_code == 0
    target = f"cp{tiny.HERE.replace('.', '')}-manylinux_{native_arch()}"
    assert f"build  ant-1.0-{target}: never built" in result.stdout
    assert not (registry / "dist").exists()


def test_plan__json__is_in_dependency_order(registry: Path) -> None:
    found = entries(plan(registry, "--all", "--json"))
    assert [entry["project"] for entry in found] == ["ant", "bee"]
    assert found[1]["depends"] == [found[0]["job"]]


def test_plan__explain__names_builder_and_dependencies(registry: Path) -> None:
    out = plan(registry, "--all", "--explain").stdout
    assert "builder host: asked for" in out
    assert "after ant-1.0-" in out


def test_plan__neither_names_nor_all__is_refused(registry: Path) -> None:
    result = plan(registry)
    assert isinstance(result.exception, UsageError)


def test_plan__names_and_all__is_refused(registry: Path) -> None:
    assert isinstance(plan(registry, "ant", "--all").exception, UsageError)
