"""Tiny projects with a C extension, as sdists in a registry of their own: seconds to build, nothing to install."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
EPOCH = 1_700_000_000
_PYPROJECT = """
[build-system]
requires = ["setuptools>=77"{requires}]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "{version}"
description = "A tiny extension"
license = "MIT"

[tool.setuptools]
ext-modules = [{{ name = "{name}", sources = ["{name}.c"] }}]
"""
_SOURCE = """
#include <Python.h>
{before}
static PyObject *answer(PyObject *self, PyObject *args) {{ return PyLong_FromLong({answer}); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""
#: In front of a source that only a compiler takes that was told what CPython's own was told.
OPTIMIZED_ONLY = "#if !defined(__OPTIMIZE__) || !defined(NDEBUG)\n#error not as CPython compiles its own\n#endif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiny:
    """What is special about one of them."""

    name: str
    version: str = "1.0"
    answer: int | str = 42
    """A number, or C for one."""
    before: str = ""
    """C in front of everything, e.g. an `#include` that is not to be had."""
    requires: tuple[str, ...] = ()
    """Further build requirements."""
    setup: str = ""
    """Python that a `setup.py` runs before it hands over, with `time` imported."""
    recipe: str = ""
    """Further lines of the recipe."""

    def write_sdist(self, folder: Path) -> Path:
        requires = "".join(f', "{requirement}"' for requirement in self.requires)
        files = {
            "pyproject.toml": _PYPROJECT.format(name=self.name, version=self.version, requires=requires),
            f"{self.name}.c": _SOURCE.format(name=self.name, before=self.before, answer=self.answer),
            "LICENSE": "MIT\n",
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n",
        }
        if self.setup:
            files["setup.py"] = f"import time\nimport setuptools\n{self.setup}\nsetuptools.setup()\n"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}-{self.version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"{self.name}-{self.version}/{name}")
                member.size, member.mtime = len(text.encode()), EPOCH
                archive.addfile(member, io.BytesIO(text.encode()))
        return path


def write_registry(folder: Path, *projects: Tiny, settings: str = "") -> Path:
    """Write sdists, recipes and `wheelhouse.toml`; return the folder, which `--registry` takes."""
    for tiny in projects:
        archive = tiny.write_sdist(folder / "sdists")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        recipe = folder / "recipes" / tiny.name / "recipe.toml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        recipe.write_text(
            f'[package]\nname = "{tiny.name}"\n\n[[version]]\nversion = "{tiny.version}"\nsha256 = "{digest}"\n\n'
            f'[source]\nurl = "{archive.as_uri()}"\n\n{tiny.recipe}'
        )
    (folder / "wheelhouse.toml").write_text(settings or '[build]\nbuilder = "host"\n')
    return folder
