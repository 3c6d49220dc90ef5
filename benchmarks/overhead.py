"""What wheelhouse itself costs on a job that compiles for about a minute: must be under 3% of the job's wall time.

Run with `python benchmarks/overhead.py`. It makes an sdist whose one C file keeps the compiler busy, builds it with the
host builder and reads the record: everything outside the time of the PEP 517 back end is ours.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

#: The time grows with the square: all are inlined into one.
FUNCTIONS = 1270
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "slowpoke"
version = "1.0"
description = "A module that takes long to compile"
license = "MIT"

[tool.setuptools]
ext-modules = [{ name = "slowpoke", sources = ["slowpoke.c"], extra-compile-args = ["-O3"] }]
"""


def source() -> str:
    """Return C that takes an optimising compiler about a minute."""
    functions = "\n".join(
        f"static double f{n}(double *a, int m) {{ double s = {n};"
        f" for (int i = 0; i < m; i++) for (int j = 0; j < m; j++) {{"
        f" s += a[i] * a[j] / (s + {n}.5); if (s > {n + 7}e9) s /= a[(i + j) % m]; }} return s; }}"
        for n in range(FUNCTIONS)
    )
    calls = "\n".join(f"s += f{n}(a, 16);" for n in range(FUNCTIONS))
    return f"""
#include <Python.h>
{functions}
static PyObject *run(PyObject *self, PyObject *args) {{
    double a[16] = {{1, 2, 3, 4}}, s = 0;
    {calls}
    return PyFloat_FromDouble(s);
}}
static PyMethodDef methods[] = {{{{"run", run, METH_NOARGS, ""}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "slowpoke", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_slowpoke(void) {{ return PyModule_Create(&module); }}
"""


def sdist(folder: Path) -> Path:
    path = folder / "slowpoke-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("pyproject.toml", PYPROJECT), ("slowpoke.c", source())):
            member = tarfile.TarInfo(f"slowpoke-1.0/{name}")
            data = text.encode()
            member.size = len(data)
            member.mtime = 1_700_000_000
            archive.addfile(member, io.BytesIO(data))
    return path


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        archive = sdist(folder)
        recipe = folder / "recipes" / "slowpoke" / "recipe.toml"
        recipe.parent.mkdir(parents=True)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        recipe.write_text(
            f'[package]\nname = "slowpoke"\n[[version]]\nversion = "1.0"\nsha256 = "{digest}"\n'
            f'[source]\nurl = "{archive.as_uri()}"\n'
        )
        (folder / "wheelhouse.toml").write_text("")
        command = [sys.executable, "-m", "wheelhouse", "--registry", str(folder), "build", "slowpoke"]
        done = subprocess.run(
            [*command, "--builder", "host", "--python", PYTHON, "--json"], check=True, stdout=subprocess.PIPE
        )
        (record,) = json.loads(done.stdout)
    backend = record["details"]["back end seconds"]
    ours = record["seconds"] - backend
    print(json.dumps(record["timings"]))
    share = 100 * ours / record["seconds"]
    print(f"job {record['seconds']:.1f} s, back end {backend:.1f} s, ours {ours:.2f} s: {share:.1f}%")


if __name__ == "__main__":
    main()
