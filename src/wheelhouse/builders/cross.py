"""A native Python and a foreign target in; what makes that Python build extensions for the target out.

Nothing of the target runs. sysconfig reads its answers from a module that `_PYTHON_SYSCONFIGDATA_NAME` names
(CPython's own seam for cross builds); here it is the native one with the target's names and compilers. Headers need
only one more folder.
"""

from __future__ import annotations

import os
import pprint
import re
import shutil
from typing import TYPE_CHECKING

import orjson

from wheelhouse.errors import MachineError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders.interpreters import Interpreter
    from wheelhouse.builders.zigcc import ZigTarget
    from wheelhouse.process import Processes

_MODULE = "_sysconfigdata_wheelhouse"
_ASK = "import json, sysconfig; print(json.dumps(__import__(sysconfig._get_sysconfigdata_name()).build_time_vars))"
#: Flags of one architecture only, and of gcc only.
_NATIVE_ONLY = re.compile(
    r"-m(arch|tune|cpu|abi|fpmath|sse\S*|avx\S*|branch-protection)=\S+|-m(32|64)|-fcf-protection\S*"
)
#: Compilers and linkers in sysconfig, and the variable that says what stands there now.
_PROGRAMS = {
    "CC": "CC",
    "CXX": "CXX",
    "LDSHARED": "LDSHARED",
    "BLDSHARED": "LDSHARED",
    "LDCXXSHARED": "LDCXXSHARED",
    "AR": "AR",
    "RANLIB": "RANLIB",
}


def prepare(
    folder: Path,
    *,
    python: Interpreter,
    target: ZigTarget,
    compilers: Mapping[str, str],
    processes: Processes,
) -> dict[str, str]:
    """Write what a cross build reads into `folder`, and return the variables that lead there.

    `compilers` is the environment with CC and its kin. Raises MachineError where the Python does not tell its
    configuration.
    """
    folder.mkdir(parents=True)
    try:
        said = processes.run([python.executable, "-I", "-S", "-c", _ASK], timeout=20.0).output
        variables = orjson.loads(said)
    except (Failure, orjson.JSONDecodeError) as error:
        raise MachineError(
            f"{python.executable} does not tell how it was configured", hint="use another build of this Python"
        ) from error
    rewritten = rewrite(variables, python=python, target=target, compilers=compilers)
    text = f"build_time_vars = {pprint.pformat(rewritten)}\n"
    (folder / f"{_MODULE}.py").write_text(text, "utf-8")
    (folder / "meson.ini").write_text(_meson(target, compilers), "utf-8")
    (folder / "toolchain.cmake").write_text(_cmake(target, compilers), "utf-8")
    return {
        "PYTHONPATH": os.fspath(folder),
        "_PYTHON_SYSCONFIGDATA_NAME": _MODULE,
        "_PYTHON_HOST_PLATFORM": f"linux-{target.arch}",
        "CMAKE_TOOLCHAIN_FILE": os.fspath(folder / "toolchain.cmake"),
    }


def copy_headers(folder: Path, *, python: Interpreter, target: ZigTarget) -> Path:
    """Return a folder with Debian's per-architecture `pyconfig.h` under the target's name, for `-idirafter`.

    Debian's own `pyconfig.h` only includes that of the compiler's architecture; on 64-bit Linux they say the same.
    With other Pythons the folder stays empty.
    """
    theirs = python.include.parent / f"{python.arch}-linux-gnu" / python.include.name
    ours = folder / target.triplet / python.include.name
    if theirs.is_dir():
        shutil.copytree(theirs, ours)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def meson_arguments(folder: Path) -> list[str]:
    """Return the arguments of `meson setup` for the files that `prepare` wrote."""
    return [f"--cross-file={folder / 'meson.ini'}"]


def rewrite(
    variables: Mapping[str, str | int], *, python: Interpreter, target: ZigTarget, compilers: Mapping[str, str]
) -> dict[str, str | int]:
    """Return sysconfig's build-time variables as the target's Python would have them."""
    native = f"{python.arch}-linux-{'musl' if python.libc == 'musl' else 'gnu'}"
    changed: dict[str, str | int] = {}
    for name, value in variables.items():
        if name in _PROGRAMS:
            changed[name] = compilers[_PROGRAMS[name]]
        elif not isinstance(value, str) or _is_path(value):
            # Folders are where they are: headers are read from the native Python's.
            changed[name] = value
        else:
            changed[name] = _NATIVE_ONLY.sub("", value.replace(native, target.triplet))
    return changed | {"HOST_GNU_TYPE": target.triplet, "MULTIARCH": target.triplet}


def _is_path(value: str) -> bool:
    return value.startswith("/")


def _meson(target: ZigTarget, compilers: Mapping[str, str]) -> str:
    family = {"ppc64le": "ppc64"}.get(target.arch, target.arch)
    return (
        f"[binaries]\nc = '{compilers['CC']}'\ncpp = '{compilers['CXX']}'\nar = '{compilers['AR']}'\n\n"
        "[host_machine]\nsystem = 'linux'\n"
        f"cpu_family = '{family}'\ncpu = '{target.arch}'\nendian = 'little'\n"
    )


def _cmake(target: ZigTarget, compilers: Mapping[str, str]) -> str:
    return (
        "set(CMAKE_SYSTEM_NAME Linux)\n"
        f"set(CMAKE_SYSTEM_PROCESSOR {target.arch})\n"
        f'set(CMAKE_C_COMPILER "{compilers["CC"]}")\n'
        f'set(CMAKE_CXX_COMPILER "{compilers["CXX"]}")\n'
        "set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n"
    )
