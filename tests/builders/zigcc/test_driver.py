from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wheelhouse.builders.zigcc import ZigTarget, driver, find_zig, write_programs

SETTINGS: driver.Settings = {
    "zig": "/zig",
    "target": "x86_64-linux-gnu.2.17",
    "triplet": "x86_64-linux-gnu",
    "always": ["-g0"],
    "linking": ["-s", "-L/usr/lib/x86_64-linux-gnu"],
}
PREFIX = ["-target", "x86_64-linux-gnu.2.17"]


def translated(*arguments: str) -> list[str]:
    """Return what becomes of the arguments themselves, in a compilation."""
    words = driver.translate(["-c", *arguments], SETTINGS)
    assert words[:3] == [*PREFIX, "-c"]
    assert words[-1] == "-g0"
    return words[3:-1]


@pytest.mark.parametrize(
    "flag",
    [
        "-Wl,--exclude-libs,ALL",
        "-Wl,--exclude-libs=ALL",
        "-Wl,-Bsymbolic-functions",
        "-Wl,-Map=out.map",
        "-Wl,-Map,out.map",
        "-Wl,--warn-common",
        "-Wl,--unresolved-symbols=ignore-all",
        "-Wl,-z,pack-relative-relocs",
        "-Wl,-z,text",
        "-Wl,-ztext",
        "-Wl,--dynamic-list=symbols",
        "-Wl,-plugin-opt=O3",
        "-Wl,--push-state",
        "-Wl,--pop-state",
        "-mtune=generic",
        "-march=native",
        "-specs=/usr/lib/rpm/redhat/redhat-hardened-cc1",
    ],
)
def test_translate__flag_that_zig_refuses(flag: str) -> None:
    assert translated(flag, "a.c") == ["a.c"]


@pytest.mark.parametrize(
    ("flag", "becomes"),
    [
        ("-flto=auto", ["-flto"]),
        ("-flto=thin", ["-flto=thin"]),
        ("-Wl,-h,libx.so.1", ["-Wl,-soname,libx.so.1"]),
        ("-Wl,-hlibx.so.1", ["-Wl,-soname,libx.so.1"]),
        ("-Wl,-L/opt/lib", ["-L/opt/lib"]),
        ("-Wp,-DX=1", ["-DX=1"]),
        ("-Wp,-D_FORTIFY_SOURCE=2,-DY", ["-D_FORTIFY_SOURCE=2", "-DY"]),
        ("-march=x86-64-v2", ["-mcpu=x86_64_v2"]),
        ("-march=x86-64", ["-mcpu=x86_64"]),
        ("-Wl,-O1,--exclude-libs,ALL,-z,now", ["-Wl,-O1,-z,now"]),
        ("-Wl,-rpath,/x", ["-Wl,-rpath,/x"]),
        ("-l:libnothere.so.3", ["-l:libnothere.so.3"]),
    ],
)
def test_translate__flag_that_zig_spells_otherwise(flag: str, becomes: list[str]) -> None:
    assert translated(flag) == becomes


def test_translate__value_of_a_dropped_flag_in_a_word_of_its_own() -> None:
    assert translated("-Wl,--exclude-libs", "-Wl,ALL", "-Xlinker", "-Map", "-Xlinker", "out.map", "a.o") == ["a.o"]


def test_translate__a_dropped_flag_without_its_value_keeps_the_next_flag() -> None:
    assert translated("-Wl,-Map", "-Wl,-O1") == ["-Wl,-O1"]


def test_translate__library_by_file_name(tmp_path: Path) -> None:
    library = tmp_path / "libx.so.3"
    library.touch()

    assert translated(f"-L{tmp_path}", "-l:libx.so.3") == [f"-L{tmp_path}", str(library)]


def test_translate__link_gets_the_flags_for_links() -> None:
    words = driver.translate(["-shared", "a.o", "-o", "a.so"], SETTINGS)

    assert words == [*PREFIX, "-shared", "a.o", "-o", "a.so", "-g0", "-s", "-L/usr/lib/x86_64-linux-gnu"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("-dumpversion", "12"),
        ("-dumpmachine", "x86_64-linux-gnu"),
        ("-print-multiarch", "x86_64-linux-gnu"),
        ("-print-search-dirs", "install: \nprograms: =\nlibraries: =/usr/lib/x86_64-linux-gnu"),
    ],
)
def test_answers__what_gcc_says_of_itself(question: str, answer: str) -> None:
    assert driver.answers([question], SETTINGS) == answer


def test_answers__compilation() -> None:
    assert driver.answers(["-c", "a.c"], SETTINGS) is None


def test_is_cxx() -> None:
    assert driver.is_cxx(["-c", "a.cpp"])
    assert not driver.is_cxx(["-c", "a.c", "-DX.cpp"])


@pytest.mark.parametrize(
    ("arch", "libc", "text", "triplet"),
    [
        ("x86_64", "glibc", "x86_64-linux-gnu.2.17", "x86_64-linux-gnu"),
        ("aarch64", "glibc", "aarch64-linux-gnu.2.17", "aarch64-linux-gnu"),
        ("riscv64", "glibc", "riscv64-linux-gnu.2.31", "riscv64-linux-gnu"),
        ("ppc64le", "glibc", "powerpc64le-linux-gnu.2.17", "ppc64le-linux-gnu"),
        ("i686", "glibc", "x86-linux-gnu.2.17", "i386-linux-gnu"),
        ("x86_64", "musl", "x86_64-linux-musl", "x86_64-linux-musl"),
    ],
)
def test_zig_target__spellings(arch: str, libc: str, text: str, triplet: str) -> None:
    target = ZigTarget(arch=arch, libc=libc)

    assert (target.text, target.triplet) == (text, triplet)


def test_write_programs__answer_without_zig(tmp_path: Path) -> None:
    zig = find_zig()
    if zig is None:
        pytest.skip("ziglang is not installed")

    write_programs(tmp_path / "a folder", zig=zig, target=ZigTarget(arch="aarch64", libc="glibc"))
    said = subprocess.run([tmp_path / "a folder" / "cc", "-dumpmachine"], capture_output=True, check=True, text=True)

    assert said.stdout == "aarch64-linux-gnu\n"


@pytest.mark.slow
def test_write_programs__compile_for_another_architecture(tmp_path: Path) -> None:
    zig = find_zig()
    if zig is None:
        pytest.skip("ziglang is not installed")
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return 1; }\n")
    write_programs(tmp_path / "bin", zig=zig, target=ZigTarget(arch="aarch64", libc="glibc"), always=["-g0"])

    environment = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "zig"), "PATH": "/usr/bin:/bin"}
    command = [str(tmp_path / "bin" / "cc"), "-O2", "-march=native", "-c", str(source), "-o", str(tmp_path / "a.o")]
    subprocess.run(command, env=environment, check=True)

    header = (tmp_path / "a.o").read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64


def test_driver__imports_nothing_but_os() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(driver.__file__).parent)!r}); import os; before = set(sys.modules)\n"
        "import driver; print(sorted(set(sys.modules) - before - {'driver', '__future__'}))"
    )
    said = subprocess.run([sys.executable, "-ISE", "-c", code], capture_output=True, check=True, text=True)

    assert said.stdout == "[]\n"
