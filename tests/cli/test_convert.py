from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wheelhouse.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable

INFO = "Metadata-Version: 2.1\nName: spam\nVersion: 1.0\n"
SETUP = 'from setuptools import Extension, setup\nsetup(name="spam", version="1.0", {})\n'
MODULE = """\
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "spam", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_spam(void) { return PyModule_Create(&module); }
"""


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command in an empty folder, with its output in `out`."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: run(["convert", "--output", "out", *map(str, words)])


@pytest.fixture
def egg(tmp_path: Path) -> Path:
    path = tmp_path / "spam-1.0-py3.11.egg"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", INFO)
        archive.writestr("spam.py", "x = 1\n")
    return path


def make_project(folder: Path, *, source: str | None = None) -> Path:
    folder.mkdir()
    modules = 'ext_modules=[Extension("spam", ["spam.c"])]' if source is not None else 'py_modules=["spam"]'
    (folder / "setup.py").write_text(SETUP.format(modules))
    (folder / ("spam.py" if source is None else "spam.c")).write_text(source or "x = 1\n")
    return folder


def test_convert__egg(convert: Callable[..., int], egg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(egg) == 0

    said = capsys.readouterr()
    assert said.out == "out/spam-1.0-py311-none-any.whl\n"
    assert [path.name for path in Path("out").iterdir()] == ["spam-1.0-py311-none-any.whl"]


def test_convert__json(convert: Callable[..., int], egg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(egg, "--json") == 0

    (report,) = json.loads(capsys.readouterr().out)
    assert report["source"] == str(egg)
    assert report["wheel"] == "out/spam-1.0-py311-none-any.whl"
    assert report["platforms"] == ["any"]


def test_convert__one_bad_file_costs_itself_only(
    convert: Callable[..., int], egg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad-1-py3.11.egg"
    bad.write_text("no egg")

    assert convert(bad, egg) == 10

    said = capsys.readouterr()
    assert Path("out/spam-1.0-py311-none-any.whl").is_file()
    assert f"{bad}: is not an egg" in said.err
    assert "1 of 2 could not be converted" in said.err


def test_convert__wheel_with_an_error_is_not_left(
    convert: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    egg = tmp_path / "spam-1.0-py3.11.egg"
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", f"{INFO}Requires-Dist: not a requirement ((\n")
        archive.writestr("spam.py", "x = 1\n")

    assert convert(egg) == 9

    assert not Path("out").exists()
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "words"), [("spam-1.0-py3-none-any.whl", "wheel already"), ("x.txt", "neither")])
def test_convert__neither_egg_nor_project(
    convert: Callable[..., int], name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("x")

    assert convert(name) == 2
    assert words in capsys.readouterr().err


def test_convert__unknown_python(
    convert: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(make_project(tmp_path / "project"), "--python", "3.1415") == 2
    assert "not a build identifier" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.network
def test_convert__project_with_an_extension(
    convert: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    project = make_project(tmp_path / "project", source=MODULE)
    before = sorted(project.rglob("*"))

    assert convert(project) == 0

    (wheel,) = Path("out").glob("spam-1.0-*manylinux*.whl")
    assert capsys.readouterr().out == f"{wheel}\n"
    assert sorted(project.rglob("*")) == before
    subprocess.run([Path(sys.executable).parent / "uv", "pip", "install", "-q", "--target", "site", wheel], check=True)
    subprocess.run([sys.executable, "-c", "import spam; assert spam.__file__.endswith('.so')"], cwd="site", check=True)


@pytest.mark.slow
@pytest.mark.network
def test_convert__pure_sdist(convert: Callable[..., int], tmp_path: Path) -> None:
    project = make_project(tmp_path / "spam-1.0")
    sdist = shutil.make_archive(str(tmp_path / "spam-1.0"), "gztar", tmp_path, project.name)

    assert convert(sdist) == 0

    assert [path.name for path in Path("out").iterdir()] == ["spam-1.0-py3-none-any.whl"]


@pytest.mark.slow
@pytest.mark.network
def test_convert__project_that_does_not_compile(
    convert: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")

    assert convert(make_project(tmp_path / "project", source="#include <libnothere/api.h>\n")) == 7

    said = capsys.readouterr().err
    assert "the header `libnothere/api.h` is not there" in said
    assert not Path("out").exists()
