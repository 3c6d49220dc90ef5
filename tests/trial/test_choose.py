from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
import uv
from packaging.tags import parse_tag

import trial_setting
from wheelhouse.builders.engine import Engine
from wheelhouse.builders.interpreters import Interpreters
from wheelhouse.process import Processes
from wheelhouse.target import BuildIdentifier
from wheelhouse.trial import Container, Emulated, Host, NotExecuted, choose
from wheelhouse.trial.choose import Surroundings, host_glibc, sysroot_glibc
from wheelhouse.trial.compatibility import fits, needed_glibc

if TYPE_CHECKING:
    from wheelhouse.trial import Interpreter

HERE = BuildIdentifier.parse(trial_setting.TARGET)
FOREIGN = BuildIdentifier.parse("cp311-manylinux_aarch64")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its targets are Linux's")


def surroundings(tmp_path: Path, **environment: str) -> Surroundings:
    processes = Processes()
    return Surroundings(
        pythons=Interpreters(processes, os.environ, tmp_path / "cache").all,
        engine=None,
        images={},
        environment=environment,
        processes=processes,
    )


def chosen(target: BuildIdentifier, found: Surroundings, platform: str | None = None) -> Interpreter | NotExecuted:
    platform = platform or f"manylinux_2_17_{target.arch}"
    return choose(target, Path(f"spam-1.0-{target.python_tag}-{target.abi_tag}-{platform}.whl"), found)


def a_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def an_engine(folder: Path, script: str) -> Engine:
    """Return an engine that answers with a script, and notes each call in `calls`."""
    a_program(folder / "podman", f"echo call >> {folder}/calls\n{script}")
    environment = {"PATH": f"{folder}:{os.defpath}"}
    return Engine(name="podman", version="5", arch=HERE.arch, remote=False, environment=environment)


def with_image(tmp_path: Path, script: str) -> Surroundings:
    engine = an_engine(tmp_path / "bin", script)
    return replace(surroundings(tmp_path), engine=engine, images={HERE.platform_tag: "minimal:1"})


def test_choose__host_python_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    found = chosen(HERE, surroundings(tmp_path))

    assert isinstance(found, Host)
    assert found.version.startswith(HERE.python_version)
    assert found.instead == ""


def test_choose__nothing_else_runs_it__the_image_that_it_was_built_in(tmp_path: Path) -> None:
    name = f"{HERE.python_tag}-{HERE.abi_tag}"
    script = f"echo 'libc glibc 2.36'; echo python /opt/python/{name}/bin/python /usr/lib/real/python"
    found = replace(with_image(tmp_path, script), images={}, pythons=list)
    wheel = Path(f"spam-1.0-{HERE.python_tag}-{HERE.abi_tag}-manylinux_2_17_{HERE.arch}.whl")

    assert isinstance(choose(HERE, wheel, found), NotExecuted)
    interpreter = choose(HERE, wheel, found, built_in="built-in:1")

    assert isinstance(interpreter, Container)
    assert (interpreter.image, str(interpreter.executable)) == ("built-in:1", "/usr/lib/real/python")


def test_choose__minimal_container_first_and_looks_into_it_once(tmp_path: Path) -> None:
    name = f"python{HERE.python_version}"
    found = with_image(tmp_path, f"echo 'libc glibc 2.36'; echo python /usr/bin/{name} /usr/lib/real/{name}")

    first, second = chosen(HERE, found), chosen(HERE, found)

    assert isinstance(first, Container)
    assert first.executable == PurePosixPath(f"/usr/lib/real/{name}")
    assert second == first
    assert (tmp_path / "bin/calls").read_text() == "call\n"


def test_choose__python_of_a_manylinux_image(tmp_path: Path) -> None:
    name = f"{HERE.python_tag}-{HERE.abi_tag}"
    found = chosen(
        HERE, with_image(tmp_path, f"echo 'libc glibc 2.28'; echo python /opt/python/{name}/bin/python /real")
    )

    assert isinstance(found, Container)
    assert found.executable == PurePosixPath("/real")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'libc glibc 2.36'", f"minimal:1 has no {HERE.python_tag}-{HERE.abi_tag}"),
        ("echo 'libc glibc 2.12'", "the wheel needs glibc 2.17, minimal:1 has glibc 2.12"),
        ("echo 'libc '", "the wheel needs glibc 2.17, minimal:1 has no glibc"),
        ("echo 'image not known' >&2; exit 125", "minimal:1 cannot be looked into: image not known"),
    ],
)
def test_choose__host_where_the_container_cannot_and_says_why(tmp_path: Path, script: str, why: str) -> None:
    found = chosen(HERE, with_image(tmp_path, script))

    assert isinstance(found, Host)
    assert found.instead == why
    assert why in str(found)


def test_choose__wheel_that_needs_a_newer_glibc_is_not_executed(tmp_path: Path) -> None:
    found = chosen(HERE, surroundings(tmp_path), f"manylinux_2_99_{HERE.arch}")

    assert isinstance(found, NotExecuted)
    assert "the wheel needs glibc 2.99, this machine has glibc" in found.reason


def test_choose__foreign_architecture_without_emulation(tmp_path: Path) -> None:
    found = chosen(FOREIGN, surroundings(tmp_path))

    assert isinstance(found, NotExecuted)
    assert "WHEELHOUSE_SYSROOT_AARCH64 is not set" in found.reason


def a_sysroot(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    root = tmp_path / "root"
    libc = root / "lib/aarch64-linux-gnu/libc.so.6"
    libc.parent.mkdir(parents=True)
    libc.write_bytes(b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n\0")
    emulator = a_program(tmp_path / "bin/qemu-aarch64-static", "")
    return root, {"WHEELHOUSE_SYSROOT_AARCH64": str(root), "PATH": str(emulator.parent)}


def test_choose__emulation_with_a_sysroot(tmp_path: Path) -> None:
    root, environment = a_sysroot(tmp_path)
    python = a_program(root / "usr/bin/python3.11", "")

    found = chosen(FOREIGN, surroundings(tmp_path, **environment))

    emulator = tmp_path / "bin/qemu-aarch64-static"
    assert found == Emulated(emulator=emulator, sysroot=root, executable=python)


def test_choose__sysroot_without_that_python(tmp_path: Path) -> None:
    root, environment = a_sysroot(tmp_path)

    found = chosen(FOREIGN, surroundings(tmp_path, **environment))

    assert isinstance(found, NotExecuted)
    assert f"{root} has no python3.11" in found.reason


def test_choose__sysroot_without_an_emulator(tmp_path: Path) -> None:
    _, environment = a_sysroot(tmp_path)

    found = chosen(FOREIGN, surroundings(tmp_path, **{**environment, "PATH": str(tmp_path)}))

    assert isinstance(found, NotExecuted)
    assert "qemu-aarch64 is not on PATH" in found.reason


def test_glibc__of_this_machine_is_what_its_library_says() -> None:
    assert host_glibc() == sysroot_glibc(Path("/"))


@pytest.mark.parametrize(
    ("tag", "target", "expected"),
    [
        ("cp311-cp311-manylinux_2_17_x86_64", "cp311-manylinux_x86_64", True),
        ("cp311-abi3-manylinux1_x86_64", "cp313-manylinux_x86_64", True),
        ("cp311-abi3-manylinux1_x86_64", "cp314t-manylinux_x86_64", False),
        ("cp314-cp314t-manylinux_2_28_x86_64", "cp314t-manylinux_x86_64", True),
        ("cp314-cp314-manylinux_2_28_x86_64", "cp314t-manylinux_x86_64", False),
        ("cp313-abi3-manylinux_2_28_x86_64", "cp311-manylinux_x86_64", False),
        ("py3-none-any", "cp311-musllinux_aarch64", True),
        ("cp311-cp311-musllinux_1_2_x86_64", "cp311-manylinux_x86_64", False),
        ("cp311-cp311-linux_x86_64", "cp311-manylinux_x86_64", True),
        ("cp311-cp311-linux_aarch64", "cp311-manylinux_x86_64", False),
        ("pp311-pypy311_pp73-manylinux_2_28_x86_64", "pp311-manylinux_x86_64", True),
        ("cp311-cp311-macosx_11_0_arm64", "cp311-macosx_arm64", True),
    ],
)
def test_fits__as_installers_decide(tag: str, target: str, *, expected: bool) -> None:
    assert fits(parse_tag(tag), BuildIdentifier.parse(target)) is expected


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        ("manylinux_2_34_x86_64", (2, 34)),
        ("manylinux2014_x86_64.manylinux_2_17_x86_64", (2, 17)),
        ("manylinux1_x86_64.manylinux_2_28_x86_64", (2, 5)),
        ("musllinux_1_2_x86_64", None),
        ("any", None),
    ],
)
def test_needed_glibc__is_the_lowest_that_a_tag_allows(platforms: str, expected: tuple[int, int] | None) -> None:
    assert needed_glibc(parse_tag(f"py3-none-{platforms}")) == expected


@pytest.mark.slow
@pytest.mark.network
def test_emulation__runs_a_real_wheel_of_another_architecture(tmp_path: Path, sysroot: Path) -> None:
    pip = [uv.find_uv_bin(), "tool", "run", "pip", "download", "--no-deps", "--only-binary=:all:"]
    where = ["--python-version=3.11", "--platform=manylinux2014_aarch64", "--dest", str(tmp_path)]
    subprocess.run([*pip, *where, "markupsafe==3.0.2"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    environment = {**os.environ, "WHEELHOUSE_SYSROOT_AARCH64": str(sysroot)}

    interpreter = choose(FOREIGN, wheel, replace(surroundings(tmp_path), environment=environment))
    setting = trial_setting.Setting(work=tmp_path / "work", target=str(FOREIGN), interpreter=interpreter)
    command = """test "$(python -c 'import markupsafe._speedups, os; print(os.uname().machine)')" = aarch64"""
    good = setting.try_it(wheel, imports=("markupsafe._speedups",), command=command)
    bad = setting.try_it(wheel, imports=("markupsafe.nothing",))

    assert isinstance(interpreter, Emulated)
    assert good.findings == ()
    assert [finding.code for finding in bad.findings] == ["WH402"]
