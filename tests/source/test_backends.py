from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import tomli
from build import ProjectBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from wheelhouse.source.backends import asked_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROJECT = '[project]\nname = "spam"\nversion = "1.0"\n'
SETUP = "from setuptools import setup\nsetup({})\n"
CARGO = {"Cargo.toml": '[package]\nname = "spam"\nversion = "1.0.0"\n'}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A project of one back end."""

    backend: str
    requires: str
    tool: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        folder.mkdir()
        system = f'[build-system]\nrequires = ["{self.requires}"]\nbuild-backend = "{self.backend}"\n'
        (folder / "pyproject.toml").write_text(f"{system}{PROJECT}{self.tool}")
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return folder


CASES = {
    "meson": Case(backend="mesonpy", requires="meson-python", files={"meson.build": "project('spam', 'c')\n"}),
    "scikit-build": Case(backend="scikit_build_core.build", requires="scikit-build-core"),
    "scikit-build, set": Case(
        backend="scikit_build_core.build",
        requires="scikit-build-core",
        tool='[tool.scikit-build]\ncmake.version = ">=3.20"\nninja.version = ">=1.10"\nbuild.requires = ["ham>=2"]\n',
    ),
    "hatch": Case(
        backend="hatchling.build",
        requires="hatchling",
        tool='[tool.hatch.build]\ndependencies = ["one"]\n[tool.hatch.build.targets.wheel]\ndependencies = ["two>1"]\n',
        files={"spam.py": ""},
    ),
    "setuptools": Case(backend="setuptools.build_meta", requires="setuptools", files={"setup.py": SETUP.format("")}),
    "setuptools, setup_requires": Case(
        backend="setuptools.build_meta",
        requires="setuptools",
        files={"setup.py": SETUP.format("setup_requires=['cffi>=1', 'six']")},
    ),
    "maturin": Case(backend="maturin", requires="maturin", files=CARGO),
    "maturin, cffi": Case(
        backend="maturin", requires="maturin", tool='[tool.maturin]\nbindings = "cffi"\n', files=CARGO
    ),
}


def asked_of_us(root: Path) -> set[tuple[str, str]]:
    pyproject = tomli.loads((root / "pyproject.toml").read_text())
    texts = asked_for(pyproject["build-system"]["build-backend"], root, pyproject)
    return comparable([text for text in texts if applies(text)])


def applies(text: str) -> bool:
    marker = Requirement(text).marker
    return marker is None or marker.evaluate()


def comparable(texts: Sequence[str]) -> set[tuple[str, str]]:
    parsed = [Requirement(text) for text in texts]
    return {(canonicalize_name(entry.name), str(entry.specifier)) for entry in parsed}


def asked_of_the_back_end(
    root: Path, folder: Path, requires: str, monkeypatch: pytest.MonkeyPatch
) -> set[tuple[str, str]]:
    """Install the back end and let PyPA's build ask it, on a machine that has no tools."""
    python = folder / "bin/python"
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", python, requires], check=True)
    shell = folder / "tools"
    shell.mkdir()
    (shell / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    monkeypatch.setenv("PATH", os.fspath(shell))
    return comparable(sorted(ProjectBuilder(root, os.fspath(python)).get_requires_for_build("wheel")))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_asked_for__is_what_the_back_end_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    root = case.write(tmp_path / "project")

    expected = asked_of_the_back_end(root, tmp_path / "env", case.requires, monkeypatch)

    assert asked_of_us(root) == expected
