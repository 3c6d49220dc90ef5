"""`wheelhouse matrix` and `summary`, and `build` of one job or one cell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import tiny
from wheelhouse.cli import run
from wheelhouse.farm.github import read_matrix
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from pathlib import Path

TARGET = f"cp{tiny.HERE.replace('.', '')}-manylinux_{native_arch()}"
SETTINGS = '[build]\nbuilder = "host"\ntoolchain = "system"\n'


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tiny.write_registry(
        tmp_path,
        tiny.Tiny(name="ant"),
        tiny.Tiny(name="bee", recipe='[depends]\nbuild = ["ant"]\n'),
        settings=SETTINGS,
    )


def wheelhouse(registry: Path, *words: str) -> int:
    return run(["--registry", str(registry), *words])


def test_matrix__other_machines__are_planned_for_from_here(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = ("cp313-manylinux_aarch64", "cp313-macosx_arm64", "cp313-win_amd64")
    words = [word for target in targets for word in ("--only", target)]
    assert wheelhouse(registry, "matrix", "ant", *words, "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [(cell["platform"], cell["runner"]) for stage in stages for cell in stage] == [
        ("macosx_arm64", "macos-15"),
        ("manylinux_aarch64", "ubuntu-24.04-arm"),
        ("win_amd64", "windows-2025"),
    ]


def test_matrix__no_names__is_all_recipes_for_both_architectures(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wheelhouse(registry, "matrix", "--builder", "cibuildwheel", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    platforms = {cell["platform"] for stage in made["stages"] for cell in stage}
    assert platforms == {"manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"}
    assert made["builder"] == "cibuildwheel"


def test_matrix__names_from_the_environment(
    registry: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEELHOUSE_PACKAGES", " ant \n")
    monkeypatch.setenv("WHEELHOUSE_CHANGED_SINCE", "")
    assert wheelhouse(registry, "matrix") == 0
    out, err = capsys.readouterr()
    assert "bee-" not in out
    assert "jobs in" in err


def test_matrix__github_output__is_what_the_workflow_reads(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registry)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert wheelhouse(registry, "matrix", "--only", TARGET, "--github-output") == 0
    lines = (tmp_path / "output").read_text().splitlines()
    values = {line.split("<<")[0]: lines[number + 1] for number, line in enumerate(lines) if "<<" in line}
    assert values["stages"] == "2"
    assert values["root"] == "."
    (cell,) = json.loads(values["stage-1"])["include"]
    assert cell["name"] == f"stage-1-manylinux_{native_arch()}-0"


def test_matrix__github_output__elsewhere(
    registry: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    assert wheelhouse(registry, "matrix", "--github-output") == 2
    assert "GITHUB_OUTPUT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        ("nonsense", "is not a job's id"),
        (f"ant-9.9-{TARGET}", "has no version 9.9"),
        ("ant-1.0-cp311-manylinux_vax", "is not a build identifier"),
        (f"dog-1.0-{TARGET}", "no recipe for `dog`"),
    ],
)
def test_build__job_that_does_not_exist(
    registry: Path, capsys: pytest.CaptureFixture[str], job: str, problem: str
) -> None:
    assert wheelhouse(registry, "build", "--job", job) == 2
    assert problem in capsys.readouterr().err


def test_build__cell_without_matrix_or_with_names(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wheelhouse(registry, "build", "--cell", "x") == 2
    (tmp_path / "m.json").write_text('{"stages": []}')
    assert wheelhouse(registry, "build", "ant", "--cell", "x", "--matrix", str(tmp_path / "m.json")) == 2
    assert "a cell names its jobs itself" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.network
def test_build__one_job_then_one_cell__with_what_it_depends_on(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wheelhouse(registry, "build", "--job", f"ant-1.0-{TARGET}") == 0
    assert wheelhouse(registry, "matrix", "--only", TARGET, "--json") == 0
    (tmp_path / "matrix.json").write_text(capsys.readouterr().out)
    (cell,) = read_matrix(tmp_path / "matrix.json").stages[1]
    words = ("--matrix", str(tmp_path / "matrix.json"))
    assert wheelhouse(registry, "build", *words, "--cell", cell.name) == 0
    assert "1 built, 1 reused, 0 failed" in capsys.readouterr().err
    assert wheelhouse(registry, "summary", *words) == 0
    assert "## Wheels: 2 built" in capsys.readouterr().out
