from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recipes import write_recipe
from wheelhouse.cli import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_WHEELHOUSE_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_completion__bash_takes_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["completion", "bash"])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)

    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize(
    ("command", "option"),
    [(["recipe", "show"], True), (["recipe", "lint"], False), (["build"], True), (["plan"], False)],
)
def test_recipe_names__complete(tmp_path: Path, command: list[str], *, option: bool) -> None:
    write_recipe(tmp_path, name="markupsafe")
    write_recipe(tmp_path, "not toml", name="mysqlclient")
    write_recipe(tmp_path, name="numpy")

    given = ["--registry", str(tmp_path)] if option else []
    assert _complete(["wheelhouse", *given, *command, "m"], cwd=tmp_path) == ["markupsafe", "mysqlclient"]


def test_recipe_names__no_registry_is_no_error(tmp_path: Path) -> None:
    assert _complete(["wheelhouse", "--registry", str(tmp_path), "recipe", "show", ""], cwd=tmp_path) == []


def _complete(words: list[str], *, cwd: Path) -> list[str]:
    environment = {
        **os.environ,
        "_WHEELHOUSE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "wheelhouse"], env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]
