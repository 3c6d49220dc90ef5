from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes import a_job
from wheelhouse.builders.interpreters import Interpreter
from wheelhouse.builders.toolchain import Compilers, Prefixes, is_native
from wheelhouse.builders.zigcc import Zig
from wheelhouse.errors import MachineError
from wheelhouse.process import Processes
from wheelhouse.recipe import SystemPackages
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from wheelhouse.config import Toolchain
    from wheelhouse.job import Job

ZIG = Zig(executable=Path("/zig"), version="0.99")
PYTHON = Interpreter(
    executable=Path("/usr/bin/python3.11"),
    implementation="cpython",
    version=(3, 11, 2),
    release="final0",
    build="",
    freethreaded=False,
    debug=False,
    platform="linux-x86_64",
    suffix=".cpython-311-x86_64-linux-gnu.so",
    host="x86_64-pc-linux-gnu",
    include=Path("/usr/include/python3.11"),
    headers=True,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a PATH of one folder, with a compiler that only tells its version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cc", "c++", "ar"):
        program = folder / name
        program.write_text("#!/bin/sh\necho cc 99.1\necho more\n")
        program.chmod(0o755)
    return folder


def compilers(tmp_path: Path, path: Path | None, zig: Zig | None = ZIG) -> Compilers:
    environment = {"PATH": str(path or tmp_path / "nothing")}
    return Compilers(Processes(), environment, tmp_path / "cache", find_zig=lambda: zig)


def a_native_job(toolchain: Toolchain = "auto", *, debian: tuple[str, ...] = ()) -> Job:
    return replace(a_job(), toolchain=toolchain, system_packages=SystemPackages(debian=debian))


@pytest.mark.parametrize(
    ("job", "order"),
    [
        (a_native_job(), ["zig", "system"]),
        (a_native_job(debian=("libpq-dev",)), ["system", "zig"]),
        (a_native_job("zig"), ["zig"]),
        (a_native_job("system"), ["system"]),
        (a_job(target="cp311-manylinux_aarch64"), ["zig"]),
    ],
)
def test_attempts__order(tmp_path: Path, path: Path, job: Job, order: list[str]) -> None:
    assert [attempt.name for attempt in compilers(tmp_path, path).attempts(job, PYTHON)] == order


def test_attempts__only_the_system_compiler_is_here(tmp_path: Path, path: Path) -> None:
    (attempt,) = compilers(tmp_path, path, zig=None).attempts(a_native_job(), PYTHON)

    assert (attempt.name, attempt.version) == ("system", "cc 99.1")


@pytest.mark.parametrize(
    ("job", "hint"),
    [
        (a_native_job(), "wheelhouse[zig]"),
        (a_native_job("zig"), "wheelhouse[zig]"),
        (a_native_job("system"), "apt-get install gcc g++"),
        (a_job(target="cp311-manylinux_aarch64"), "wheelhouse[zig]"),
    ],
)
def test_attempts__nothing_is_here(tmp_path: Path, job: Job, hint: str) -> None:
    with pytest.raises(MachineError) as caught:
        compilers(tmp_path, None, zig=None).attempts(job, PYTHON)

    assert hint in str(caught.value.hint)


def test_attempts__system_compiler_asked_for_another_architecture(tmp_path: Path, path: Path) -> None:
    job = replace(a_native_job("system"), target=BuildIdentifier.parse("cp311-manylinux_aarch64"))

    with pytest.raises(MachineError, match="this machine's own compiler"):
        compilers(tmp_path, path).attempts(job, PYTHON)


@pytest.mark.parametrize(
    ("target", "native"),
    [
        ("cp311-manylinux_x86_64", True),
        ("cp311-manylinux_aarch64", False),
        ("cp311-musllinux_x86_64", False),
    ],
)
def test_is_native(target: str, native: bool) -> None:  # noqa: FBT001 - a parameter of the case
    assert is_native(BuildIdentifier.parse(target), PYTHON) is native


def test_prepare__system(tmp_path: Path, path: Path) -> None:
    found = compilers(tmp_path, path)
    (attempt,) = found.attempts(a_native_job("system"), PYTHON)
    prefixes = Prefixes(work=Path("/w"), source=Path("/s"), python=Path("/p"))

    environment = found.prepare(attempt, programs=tmp_path / "programs", prefixes=prefixes, strip=True)

    for variable, name in (("CC", "cc"), ("CXX", "c++")):
        assert environment[variable] == name  # no path: some builds write into the wheel what compiled it
        text = (tmp_path / "programs" / name).read_text()
        assert f"export PATH={path}\n" in text  # ccache would find this program there, and call it
        assert str(path / name) in text
        assert "-ffile-prefix-map=/w=/work" in text.split()
    assert not {"CFLAGS", "CXXFLAGS"} & environment.keys()  # they would take the place of the optimization
    assert environment["LDFLAGS"] == "-Wl,--build-id=none -Wl,-s"


def test_prepare__zig_programs_carry_the_flags(tmp_path: Path, path: Path) -> None:
    found = compilers(tmp_path, path)
    (attempt,) = found.attempts(a_native_job("zig"), PYTHON)
    prefixes = Prefixes(work=tmp_path / "w", source=Path("/s"), python=Path("/p"))

    environment = found.prepare(attempt, programs=tmp_path / "zigbin", prefixes=prefixes, strip=True)

    text = Path(environment["CC"]).read_text()
    assert "x86_64-linux-gnu.2.17" in text
    assert "-ffile-prefix-map=/s=/source" in text
    assert environment["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "cache" / "zig")
    assert environment["ZIG_LOCAL_CACHE_DIR"].startswith(str(tmp_path / "w"))


def test_unavailable__riscv_needs_zig(tmp_path: Path, path: Path) -> None:
    target = BuildIdentifier.parse("cp311-manylinux_riscv64")

    without = compilers(tmp_path, path, zig=None).unavailable(target, PYTHON)

    assert without is not None
    assert "needs zig" in without.reason
    assert compilers(tmp_path, path).unavailable(target, PYTHON) is None
