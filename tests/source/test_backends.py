from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


def project(folder: Path, backend: str, requires: str, tool: str, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    system = f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
    (folder / "pyproject.toml").write_text(f"{system}{PROJECT}{tool}")
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


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
    return comparable(sorted(ProjectBuilder(root, python).get_requires_for_build("wheel")))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "requires", "tool", "files"),
    [
        ("mesonpy", "meson-python", "", {"meson.build": "project('spam', 'c')\n"}),
        ("scikit_build_core.build", "scikit-build-core", "", {}),
        (
            "scikit_build_core.build",
            "scikit-build-core",
            '[tool.scikit-build]\ncmake.version = ">=3.20"\nninja.version = ">=1.10"\nbuild.requires = ["ham>=2"]\n',
            {},
        ),
        (
            "hatchling.build",
            "hatchling",
            '[tool.hatch.build]\ndependencies = ["one"]\n[tool.hatch.build.targets.wheel]\ndependencies = ["two>1"]\n',
            {"spam.py": ""},
        ),
        ("setuptools.build_meta", "setuptools", "", {"setup.py": "from setuptools import setup\nsetup()\n"}),
        (
            "setuptools.build_meta",
            "setuptools",
            "",
            {"setup.py": "from setuptools import setup\nsetup(setup_requires=['cffi>=1', 'six'])\n"},
        ),
        ("maturin", "maturin", "", {"Cargo.toml": '[package]\nname = "spam"\nversion = "1.0.0"\n'}),
        (
            "maturin",
            "maturin",
            '[tool.maturin]\nbindings = "cffi"\n',
            {"Cargo.toml": '[package]\nname = "spam"\nversion = "1.0.0"\n'},
        ),
    ],
    ids=[
        "meson",
        "scikit-build",
        "scikit-build-set",
        "hatch",
        "setuptools",
        "setup-requires",
        "maturin",
        "maturin-cffi",
    ],
)
def test_asked_for__is_what_the_back_end_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    requires: str,
    tool: str,
    files: Mapping[str, str],
) -> None:
    root = project(tmp_path / "project", backend, requires, tool, files)

    expected = asked_of_the_back_end(root, tmp_path / "env", requires, monkeypatch)

    assert asked_of_us(root) == expected
