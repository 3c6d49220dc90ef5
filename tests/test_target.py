from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from wheelhouse.errors import UsageError
from wheelhouse.target import BuildIdentifier, Selection, known_identifiers, matches, native_arch, native_family

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cp313-manylinux_x86_64", ("cp313", "cp313", "3.13", "manylinux_x86_64", "x86_64")),
        ("cp314t-musllinux_aarch64", ("cp314", "cp314t", "3.14t", "musllinux_aarch64", "aarch64")),
        ("pp311-macosx_arm64", ("pp311", "pp311", "3.11", "macosx_arm64", "arm64")),
        ("cp39-win32", ("cp39", "cp39", "3.9", "win32", "x86")),
        ("cp312-win_amd64", ("cp312", "cp312", "3.12", "win_amd64", "AMD64")),
    ],
)
def test_build_identifier__parts(text: str, parts: tuple[str, ...]) -> None:
    target = BuildIdentifier.parse(text)

    assert str(target) == text
    assert (target.python_tag, target.abi_tag, target.python_version, target.platform_tag, target.arch) == parts
    assert target.is_linux == ("linux" in text)


def test_build_identifier__unknown() -> None:
    with pytest.raises(UsageError) as caught:
        BuildIdentifier.parse("cp313-manylinux_x86-64")

    assert caught.value.hint == "did you mean `cp313-manylinux_x86_64`?"


def test_known_identifiers__each_is_understood() -> None:
    assert len(known_identifiers()) > 100
    assert all(text == str(target) for text, target in known_identifiers().items())


@pytest.mark.slow
def test_selection__is_what_cibuildwheel_prints(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    build, skip = "cp31{2,3}-* cp314-manylinux_*", "*-musllinux_i686 *_s390x"
    printed = subprocess.run(
        [
            sys.executable,
            "-m",
            "cibuildwheel",
            "--platform=linux",
            "--archs=all",
            "--print-build-identifiers",
            tmp_path,
        ],
        env={"CIBW_BUILD": build, "CIBW_SKIP": skip, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    selected = Selection(
        build=tuple(build.split()), skip=tuple(skip.split()), families=frozenset({"manylinux", "musllinux"})
    )

    assert [str(target) for target in selected.identifiers()] == printed


def test_selection__narrowed() -> None:
    selection = Selection(
        build=("*",), archs=frozenset({"aarch64"}), pythons=frozenset({"3.14t"}), families=frozenset({"musllinux"})
    )

    assert [str(target) for target in selection.identifiers()] == ["cp314t-musllinux_aarch64"]
    assert Selection(
        build=("cp313-*",), archs=frozenset({"riscv64"}), families=frozenset({"manylinux"})
    ).identifiers() == (BuildIdentifier.parse("cp313-manylinux_riscv64"),)


def test_matches__blanks_and_braces() -> None:
    assert matches("cp39-* cp31{2,3}-*", "cp313-manylinux_x86_64")
    assert not matches("cp39-* cp31{2,3}-*", "cp314-manylinux_x86_64")


def test_native__is_a_known_platform() -> None:
    assert any(
        target.family == native_family() and target.arch == native_arch() for target in known_identifiers().values()
    )
