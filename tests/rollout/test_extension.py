"""What Salt loads: a wheel of its own, without anything of ours in its imports, by entry point or by `sync_all`."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from masterless import Masterless
from salt_environment import EXTENSION, FORMULA, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOADED = EXTENSION / "src/saltext/wheelhouse"
KINDS = ("modules", "states", "runners", "grains")
FILES = sorted(LOADED.rglob("*.py"))
MOST_LINES = 400


def imported(path: Path) -> Iterator[str]:
    """Give the packages that a file imports, typing's too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "files that are copied one by one cannot import each other"
            assert node.module is not None
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LOADED)))
def test_file__imports__salt_and_the_standard_library(path: Path) -> None:
    assert set(imported(path)) - {"salt"} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LOADED)))
def test_file__is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text))
    ast.parse(text, feature_version=(3, 9))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LOADED)))
def test_function__parameters__are_seen_by_salt_3006(path: Path) -> None:
    """It overlooks keyword-only ones, and refuses them; what also takes any others is handed them."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert not node.args.kwonlyargs or node.args.kwarg, node.name


def test_wheelhouse__imports_nothing_that_salt_loads() -> None:
    source = ROOT / "src/wheelhouse"
    program = source / "farm/salt/program.py"  # run by Salt's Python, and imported by nobody
    assert not [path for path in source.rglob("*.py") if "saltext" in set(imported(path))]
    assert {path for path in source.rglob("*.py") if "salt" in set(imported(path))} <= {program}


def test_extension__version_and_licence__are_wheelhouses() -> None:
    theirs, ours = (tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (EXTENSION, ROOT))
    for key in ("version", "license", "authors"):
        assert theirs["project"][key] == ours["project"][key]
    assert theirs["build-system"] == ours["build-system"]
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_formula__holds_links__and_no_copies() -> None:
    for kind in KINDS:
        assert (FORMULA / f"_{kind}").is_symlink()
        assert (FORMULA / f"_{kind}").resolve() == LOADED / kind
    unit = FORMULA / "wheelhouse/server/wheelhouse.service"
    assert unit.is_symlink()
    assert unit.resolve() == ROOT / "deploy/wheelhouse.service"


@pytest.mark.slow
def test_extension__in_salts_environment__is_small_and_loaded(tmp_path: Path) -> None:
    minion = Masterless.make(tmp_path)
    (folder,) = minion.salt.glob("lib/python3*/site-packages/saltext")
    assert sum(path.stat().st_size for path in folder.rglob("*.py")) < 150_000
    functions = minion.call("sys.list_functions", "wheelhouse", "wheelhouse_environment", "wheelhouse_netrc")
    assert {"wheelhouse.build", "wheelhouse_environment.install", "wheelhouse_netrc.set_entry"} <= set(functions)
    states = minion.call("sys.list_state_functions", "wheelhouse")
    assert states == [f"wheelhouse.{name}" for name in ("credentials", "environment", "installed", "removed")]
    assert minion.call("sys.doc", "wheelhouse_environment.install")


@pytest.mark.slow
def test_sync_all__from_the_formula__brings_the_same_files(tmp_path: Path) -> None:
    synced = Masterless.make(tmp_path).call("saltutil.sync_all")
    for kind in ("modules", "states", "grains"):
        names = {f"{kind}.{path.stem}" for path in (LOADED / kind).glob("*.py")}
        assert set(synced[kind]) == names
        copies = tmp_path / "var/cache/salt/minion/extmods" / kind
        assert {path.name: path.read_bytes() for path in copies.glob("*.py")} == {
            path.name: path.read_bytes() for path in (LOADED / kind).glob("*.py")
        }


def keys(settings: dict[str, Any], above: str = "") -> set[str]:
    """Return the keys of settings and those of the parts that are tables themselves."""
    found = set()
    for key, value in settings.items():
        found |= keys(value, f"{key}:") if key in {"client", "builder", "server"} else {f"{above}{key}"}
    return found


def test_guide__its_tables__have_every_setting() -> None:
    defaults = keys(yaml.safe_load((FORMULA / "wheelhouse/defaults.yaml").read_text()))
    told, section = set(), ""
    for line in (ROOT / "docs/salt-fleet.md").read_text().partition("## Pillar")[2].splitlines():
        cell = line.split("|")[1] if line.startswith("|") else ""
        if " key" in cell:
            section = "".join(f"{name}:" for name in re.findall(r"`(\w+)`", cell))
        else:
            told |= {f"{section}{name}" for name in re.findall(r"`(\w+)`", cell)}
    assert told - {"environment"} == defaults  # `environment` is the execution module's
    example = keys(yaml.safe_load((FORMULA / "pillar.example").read_text())["wheelhouse"])
    assert example <= defaults
