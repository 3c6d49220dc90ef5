from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from check.binary_cases import recent
from check.wheel_factory import Wheel, binary, pure
from wheelhouse.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = """\
[package]
name = "spam"

[[version]]
version = "1.0"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"

[repair]
allow-grafted = [{allowed}]
"""
GRAFTED: dict[str, bytes | str | None] = {"spam.libs/libegg-0123abcd.so.1": b"egg"}
SEAL: dict[str, bytes | str | None] = {"spam-1.0.dist-info/wheelhouse.json": '{"key": "0"}'}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    (folder / "recipes/spam").mkdir(parents=True)
    (folder / "wheelhouse.toml").write_text("")
    (folder / "recipes/spam/recipe.toml").write_text(RECIPE.format(allowed=""))
    return folder


def allow(registry: Path, library: str) -> None:
    (registry / "recipes/spam/recipe.toml").write_text(RECIPE.format(allowed=f'"{library}"'))


def check(*arguments: object) -> int:
    return run(["check", *map(str, arguments)])


def unlicensed() -> Wheel:
    return pure().with_paths({"spam-1.0.dist-info/licenses/LICENSE": None})


def test_check__sound_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--no-trial", pure().write(tmp_path)) == 0

    out, err = capsys.readouterr()
    assert out == "spam-1.0-py3-none-any.whl: nothing to say\n"
    assert err == "1 wheel, 0 errors, 0 warnings, 0 notes, 0 imported\n"


def test_check__error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--no-trial", pure().with_files(WHEEL=None).write(tmp_path)) == 9

    out, err = capsys.readouterr()
    assert "spam-1.0-py3-none-any.whl: WH205 error: spam-1.0.dist-info/WHEEL: WHEEL is missing\n" in out
    assert "error: spam-1.0-py3-none-any.whl did not pass\n" in err


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 9)])
def test_check__warning(options: tuple[str, ...], status: int, tmp_path: Path) -> None:
    path = pure().having(filename="Spam-1.0-py3-none-any.whl").write(tmp_path)

    assert check("--no-trial", *options, path) == status


def test_check__json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = binary().with_paths(GRAFTED).write(tmp_path)

    assert check("--no-trial", "--json", path) == 0

    (wheel,) = json.loads(capsys.readouterr().out)
    assert wheel["wheel"] == str(path)
    assert [(finding["code"], finding["severity"]) for finding in wheel["findings"]] == [("WH502", "note")]
    assert [library["name"] for library in wheel["grafted"]] == ["libegg.so.1"]
    assert (wheel["recipe"], wheel["executed"], wheel["error"]) == (None, False, None)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: binary(recent()), "WH302 error: spam/_spam.cpython-311-x86_64-linux-gnu.so: needs GLIBC_2.35"),
        (lambda: pure().with_paths({"spam/zeros": bytes(256 << 20)}), "unpack to 268436115: nothing was unpacked"),
        (
            lambda: pure().with_paths({"../evil.py": b""}),
            "WH101 error: ../evil.py: `../evil.py` leads out of the wheel",
        ),
    ],
    ids=["lying tag", "zip bomb", "way out"],
)
def test_check__hostile_wheel(
    make: Callable[[], Wheel], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(make().write(tmp_path)) == 9

    out, err = capsys.readouterr()
    assert said in out
    assert "did not pass" in err
    assert "0 imported" in err


def test_check__folder_with_a_broken_file_checks_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pure().write(tmp_path)
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"PK")

    assert check("--no-trial", tmp_path) == 10

    out, _ = capsys.readouterr()
    assert "broken-1.0-py3-none-any.whl: not a wheel" in out
    assert "spam-1.0-py3-none-any.whl: nothing to say" in out


def test_check__folder_without_wheels(tmp_path: Path) -> None:
    assert check(tmp_path) == 2


def test_check__recipe_that_does_not_allow_what_was_grafted(
    tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = binary().with_paths(GRAFTED).write(tmp_path)

    assert run(["--registry", str(registry), "check", "--no-trial", "--recipe", "spam", str(path)]) == 9
    assert 'add "libegg" to repair.allow-grafted' in capsys.readouterr().out
    allow(registry, "libegg")
    assert run(["--registry", str(registry), "check", "--no-trial", "--recipe", "spam==1.0", str(path)]) == 0


@pytest.mark.parametrize(("sealed", "status"), [(True, 9), (False, 0)])
def test_check__recipe_of_its_own_for_wheels_that_we_built(
    sealed: bool,  # noqa: FBT001 - a parameter of the test
    status: int,
    tmp_path: Path,
    registry: Path,
) -> None:
    path = binary().with_paths(GRAFTED | (SEAL if sealed else {})).write(tmp_path)

    assert run(["--registry", str(registry), "check", "--no-trial", str(path)]) == status


@pytest.mark.parametrize("recipe", ["eggs", "spam==2.0"])
def test_check__recipe_that_there_is_not(recipe: str, tmp_path: Path, registry: Path) -> None:
    path = pure().write(tmp_path)

    assert run(["--registry", str(registry), "check", "--recipe", recipe, str(path)]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("text", "status"), [("eggs = 1\n", 0), ("raise RuntimeError('no eggs')\n", 9)])
def test_check__imports_the_wheel(text: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pure().with_paths({"spam/__init__.py": text}).write(tmp_path)

    assert check(path) == status

    out, err = capsys.readouterr()
    assert "1 imported" in err
    assert ("WH402 error" in out) == (status == 9)


@pytest.mark.slow
def test_check__does_not_run_what_has_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = unlicensed().with_paths({"spam/__init__.py": "raise RuntimeError('no eggs')\n"}).write(tmp_path)

    assert check(path) == 9

    out, err = capsys.readouterr()
    assert "WH222 error" in out
    assert "no eggs" not in out + err
    assert "0 imported" in err
