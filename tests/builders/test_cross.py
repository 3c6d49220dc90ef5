from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from wheelhouse.builders import cross
from wheelhouse.builders.interpreters import Interpreter, Interpreters
from wheelhouse.builders.zigcc import ZigTarget
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = os.uname().machine
FOREIGN = "aarch64" if MACHINE == "x86_64" else "x86_64"
TARGET = ZigTarget(arch=FOREIGN, libc="glibc")
COMPILERS = {
    "CC": "/bin/our-cc",
    "CXX": "/bin/our-c++",
    "LDSHARED": "/bin/our-cc -shared",
    "LDCXXSHARED": "/bin/our-c++ -shared",
    "AR": "/bin/our-ar",
    "RANLIB": "/bin/our-ranlib",
}


@pytest.fixture
def python(tmp_path: Path) -> Interpreter:
    return Interpreters(Processes(), {"PATH": str(tmp_path)}, tmp_path / "cache").all()[0]


def test_prepare__python_answers_as_the_targets_would(tmp_path: Path, python: Interpreter) -> None:
    folder = tmp_path / "cross"
    variables = cross.prepare(folder, python=python, target=TARGET, compilers=COMPILERS, processes=Processes())

    code = (
        "import sysconfig as s; v = s.get_config_vars();"
        "print(s.get_platform(), v['EXT_SUFFIX'], v['CC'], v['LDSHARED'], v['MULTIARCH'], s.get_paths()['include'])"
    )
    said = subprocess.run(
        [python.executable, "-S", "-c", code], env=variables, capture_output=True, check=True, text=True
    ).stdout.strip()

    suffix = f".cpython-3{sys.version_info[1]}-{FOREIGN}-linux-gnu.so"
    expected = f"linux-{FOREIGN} {suffix} /bin/our-cc /bin/our-cc -shared {FOREIGN}-linux-gnu {python.include}"
    assert said == expected


def test_rewrite__flags_of_this_architecture_go(python: Interpreter) -> None:
    before: dict[str, str | int] = {
        "CFLAGS": f"-O2 -m64 -march={MACHINE} -mtune=generic -fcf-protection=full -Wall",
        "SIZEOF_LONG": 8,
    }

    after = cross.rewrite(before, python=python, target=TARGET, compilers=COMPILERS)

    assert str(after["CFLAGS"]).split() == ["-O2", "-Wall"]
    assert after["SIZEOF_LONG"] == 8


def test_rewrite__folders_stay_where_they_are(python: Interpreter) -> None:
    place = f"/usr/lib/{MACHINE}-linux-gnu/python3"

    after = cross.rewrite({"LIBPL": place}, python=python, target=TARGET, compilers=COMPILERS)

    assert after["LIBPL"] == place


def test_copy_headers__debian(tmp_path: Path, python: Interpreter) -> None:
    include = tmp_path / "usr" / "include"
    theirs = include / f"{python.arch}-linux-gnu" / "python3.11"
    theirs.mkdir(parents=True)
    (theirs / "pyconfig.h").write_text("#define SIZEOF_LONG 8\n")
    debian = python.model_copy(update={"include": include / "python3.11"})

    folder = cross.copy_headers(tmp_path / "ours", python=debian, target=TARGET)

    assert (folder / TARGET.triplet / "python3.11" / "pyconfig.h").is_file()


def test_copy_headers__other_pythons_need_none(tmp_path: Path, python: Interpreter) -> None:
    elsewhere = python.model_copy(update={"include": tmp_path / "include" / "python3.11"})

    assert list(cross.copy_headers(tmp_path / "ours", python=elsewhere, target=TARGET).iterdir()) == []


def test_prepare__cmake_reads_the_toolchain_file(tmp_path: Path, python: Interpreter) -> None:
    cmake = shutil.which("cmake")
    cross.prepare(tmp_path / "cross", python=python, target=TARGET, compilers=COMPILERS, processes=Processes())
    text = (tmp_path / "cross" / "toolchain.cmake").read_text()

    assert f"set(CMAKE_SYSTEM_PROCESSOR {FOREIGN})" in text
    if cmake is None:
        pytest.skip("cmake is not installed: its own reading of the file is not tested")
    subprocess.run([cmake, "-P", tmp_path / "cross" / "toolchain.cmake"], check=True)


def test_is_the_python_that_was_asked(python: Interpreter) -> None:
    assert str(python.include) == sysconfig.get_paths(vars={"base": sys.base_prefix})["include"]
