from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recipes import HASH, write_recipe
from wheelhouse.cli import run

if TYPE_CHECKING:
    from pathlib import Path

TWO = f'[[version]]\nversion = "1.10"\nsha256 = "{HASH}"\n[[version]]\nversion = "1.9"\nsha256 = "{HASH}"\n'


def _call(registry: Path, *words: str) -> int:
    return run(["--registry", str(registry), "recipe", *words])


def test_list__names_and_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(tmp_path, name="b", versions=TWO)
    write_recipe(tmp_path, name="aaa")

    assert _call(tmp_path, "list") == 0
    assert capsys.readouterr().out == "aaa  1.2\nb    1.10, 1.9\n"


def test_list__good_ones_on_stdout_and_bad_ones_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(tmp_path, name="good")
    write_recipe(tmp_path, "[zzz]", name="bad")

    assert _call(tmp_path, "list", "--json") == 4
    out, err = capsys.readouterr()
    assert [entry["name"] for entry in json.loads(out)] == ["good"]
    assert "zzz: unknown key" in err


def test_list__nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wheelhouse.toml").touch()

    assert _call(tmp_path, "list") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("no recipes in ")


def test_show__recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(tmp_path, '[targets]\nbuild = ["cp313-manylinux_x86_64"]\n', versions=TWO)

    assert _call(tmp_path, "show", "Demo", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["versions"] == ["1.10", "1.9"]
    assert shown["targets"] == ["cp313-manylinux_x86_64"]
    assert shown["recipe"]["targets"] == {"build": ["cp313-manylinux_x86_64"]}


def test_show__job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    override = '[[override]]\nselect = "*-musllinux_*"\nreason = "x"\nbuild.environment = { A = "b" }\n'
    write_recipe(tmp_path, override, versions=TWO)

    assert _call(tmp_path, "show", "demo", "--target", "cp313-musllinux_x86_64", "--version", "1.9", "--json") == 0
    job = json.loads(capsys.readouterr().out)
    assert job["job"] == "demo-1.9-cp313-musllinux_x86_64"
    assert job["build"]["environment"] == {"A": "b"}

    assert _call(tmp_path, "show", "demo", "--target", "cp313-musllinux_x86_64") == 0
    text = capsys.readouterr().out
    assert "job: demo-1.10-cp313-musllinux_x86_64\n" in text
    assert "  environment:\n    A: b\n" in text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["demu"], "did you mean `demo`?"),
        (["demo", "--version", "1.2"], "--version goes with --target"),
        (["demo", "--target", "cp313-manylinux"], "is not a build identifier"),
        (["demo", "--target", "cp313-manylinux_x86_64", "--version", "one"], "is not a version"),
        (["demo", "--target", "cp313-manylinux_x86_64", "--version", "3"], "it has 1.2"),
        (["demo", "--target", "cp313-musllinux_x86_64"], "skips it: no musl"),
    ],
)
def test_show__mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str) -> None:
    write_recipe(tmp_path, '[[override]]\nselect = "*-musllinux_*"\nreason = "no musl"\nskip = true\n')

    assert _call(tmp_path, "show", *words) == 2
    assert part in capsys.readouterr().err


def test_lint__nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(tmp_path)

    assert _call(tmp_path, "lint") == 0
    assert capsys.readouterr().err == "1 recipe: no problems, no warnings\n"


def test_lint__everything_wrong_with_many_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(50):
        write_recipe(tmp_path, "[zzz]\n[yyy]\n", name=f"bad-{number}")
    write_recipe(tmp_path)

    assert _call(tmp_path, "lint", "--json") == 4
    out, err = capsys.readouterr()
    findings = json.loads(out)
    assert len(findings) == 100
    assert {finding["key"] for finding in findings} == {"zzz", "yyy"}
    assert err == "51 recipes: 100 problems, no warnings\n"


def test_lint__only_the_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(tmp_path, "[zzz]\n", name="bad")
    write_recipe(tmp_path)

    assert _call(tmp_path, "lint", "demo") == 0
    assert _call(tmp_path, "lint", "none") == 2


def test_lint__advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_recipe(
        tmp_path,
        """
        [source]
        patches = [
          { file = "a.patch", when-version = ">9", upstream-status = "Submitted last week" },
          { file = "b.patch", upstream-status = "who knows" },
          { file = "c.patch", upstream-status = "Backport https://example.org/1" },
        ]
        [targets]
        build = ["cp313-manylinux_*"]
        [[override]]
        select = "*-musllinux_*"
        reason = "x"
        skip = true
        """,
    )
    for name in "abcd":
        (path.parent / f"{name}.patch").touch()
    (tmp_path / "recipes" / "stray").mkdir()

    assert _call(tmp_path, "lint", "--json") == 0
    findings = json.loads(capsys.readouterr().out)
    assert {finding["severity"] for finding in findings} == {"warning"}
    assert [finding["key"] for finding in findings] == [
        "source.patches[0].upstream-status",
        "source.patches[1].upstream-status",
        "source.patches",
        "source.patches[0].when-version",
        "override[0].select",
        "",
    ]
    assert findings[2]["message"] == "d.patch lies beside the recipe, but is not applied"


@pytest.mark.parametrize(("words", "title"), [([], "wheelhouse recipe"), (["--config"], "wheelhouse.toml")])
def test_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], title: str) -> None:
    assert run(["recipe", "schema", *words]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == title
