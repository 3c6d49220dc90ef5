"""The grain by itself: it needs no Salt, but for the configuration that Salt hands it."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

FILE = Path(__file__).parents[3] / "saltext/src/saltext/wheelhouse/grains/wheelhouse.py"
TOLD = {"version": "0.1.0", "pythons": ["3.13"]}


@pytest.fixture
def grains(tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheelhouse_grains", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["__opts__"] = {"cachedir": str(tmp_path), "wheelhouse": {"command": str(tmp_path / "wheelhouse")}}
    return module


def write_command(folder: Path, says: Any = None, script: str = "") -> Path:
    """Write a command that says something and counts how often it is asked."""
    command = folder / "wheelhouse"
    text = json.dumps(TOLD if says is None else says)
    command.write_text(f"#!/bin/sh\necho x >> {folder}/asked\n{script}\necho '{text}'\n")
    command.chmod(0o755)
    return command


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


def test_grain__a_command__is_what_it_tells_and_is_asked_once(grains: ModuleType, tmp_path: Path) -> None:
    write_command(tmp_path)
    assert grains.main() == {"wheelhouse": TOLD}
    assert grains.main() == {"wheelhouse": TOLD}
    assert asked(tmp_path) == 1


def test_grain__the_command_was_replaced__is_asked_again(grains: ModuleType, tmp_path: Path) -> None:
    os.utime(write_command(tmp_path), (1, 1))
    grains.main()
    write_command(tmp_path, {"version": "0.2.0"})
    assert grains.main() == {"wheelhouse": {"version": "0.2.0"}}


def test_grain__an_engine_came__is_asked_again(
    grains: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command(tmp_path)
    grains.main()
    engine = tmp_path / "bin" / "podman"
    engine.parent.mkdir()
    engine.write_text("")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    grains.main()
    assert asked(tmp_path) == 2


def test_grain__no_command__is_none(grains: ModuleType) -> None:
    assert grains.main() == {}


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "exec sleep 9"])
def test_grain__a_command_that_does_not_tell__is_none(grains: ModuleType, tmp_path: Path, script: str) -> None:
    vars(grains)["_PATIENCE"] = 1
    write_command(tmp_path, script=script)
    assert grains.main() == {}
