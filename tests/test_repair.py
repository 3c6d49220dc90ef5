from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from installer.sources import WheelFile as InstallerWheel

from host_projects import make_wheel
from wheelhouse.errors import BuildError, InvalidWheelError
from wheelhouse.job import RepairSpec
from wheelhouse.process import Processes
from wheelhouse.repair import native_files, newest_member, repair_wheel, wheel_arch
from wheelhouse.repair_process import search_path
from wheelhouse.wheel import WheelName, sha256_of

MACHINE = os.uname().machine
EXTENSION = "#include <string.h>\nint f(const char *text) { return (int)strlen(text); }\n"


def repaired(wheel: Path, destination: Path, spec: RepairSpec | None = None, **env: str) -> Path:
    return repair_wheel(
        wheel,
        destination=destination,
        spec=spec or RepairSpec(),
        arch=MACHINE,
        log=None,
        processes=Processes(),
        env={"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1700000000", **env},
    )


def compiled(folder: Path, text: str = EXTENSION, *flags: str, name: str = "spam.so") -> bytes:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = folder / "spam.c"
    source.write_text(text)
    output = folder / name
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(output), *flags], check=True)
    return output.read_bytes()


def a_native_wheel(folder: Path, binary: bytes, platform: str = f"linux_{MACHINE}") -> Path:
    return make_wheel(folder, f"spam-1.0-py3-none-{platform}.whl", {"spam/spam.so": binary})


def search_path_of(wheel: Path, member: str = "spam/spam.so") -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return list(search_path(ELFFile(BytesIO(archive.read(member)))))


def test_repair_wheel__tags_what_is_proven(tmp_path: Path) -> None:
    wheel = a_native_wheel(tmp_path, compiled(tmp_path))
    before = sha256_of(wheel)

    path = repaired(wheel, tmp_path / "out")

    assert "manylinux" in path.name
    assert [file.name for file in (tmp_path / "out").iterdir()] == [path.name]
    assert sha256_of(wheel) == before


def test_repair_wheel__removes_the_builders_folders(tmp_path: Path) -> None:
    wheel = a_native_wheel(tmp_path, compiled(tmp_path, EXTENSION, "-Wl,-rpath,/opt/secret/lib"))
    assert search_path_of(wheel) == ["/opt/secret/lib"]

    path = repaired(wheel, tmp_path / "out")

    assert search_path_of(path) == []
    with zipfile.ZipFile(path) as archive:
        assert b"/opt/secret" not in archive.read("spam/spam.so")
    with InstallerWheel.open(path) as source:
        source.validate_record()


def test_repair_wheel__keeps_the_way_to_a_sister_package(tmp_path: Path) -> None:
    wheel = a_native_wheel(tmp_path, compiled(tmp_path, EXTENSION, "-Wl,-rpath,/opt/secret:$ORIGIN/../sister.libs"))

    assert search_path_of(repaired(wheel, tmp_path / "out")) == ["$ORIGIN/../sister.libs"]


@pytest.fixture
def with_library(tmp_path: Path) -> Path:
    """Return a wheel whose extension needs a library of this machine only, `libeggs.so.1`."""
    compiled(tmp_path, "int eggs(void) { return 2; }\n", "-Wl,-soname,libeggs.so.1", name="libeggs.so.1")
    text = "int eggs(void);\nint f(void) { return eggs(); }\n"
    return a_native_wheel(tmp_path, compiled(tmp_path, text, "-L.", f"-L{tmp_path}", "-l:libeggs.so.1"))


def test_repair_wheel__grafts(tmp_path: Path, with_library: Path) -> None:
    path = repaired(with_library, tmp_path / "out", LD_LIBRARY_PATH=str(tmp_path))

    with zipfile.ZipFile(path) as archive:
        grafted = [name for name in archive.namelist() if name.startswith("spam.libs/libeggs")]
    assert len(grafted) == 1
    assert search_path_of(path) == ["$ORIGIN/../spam.libs"]


def test_repair_wheel__excluded_library_stays_out(tmp_path: Path, with_library: Path) -> None:
    path = repaired(with_library, tmp_path / "out", RepairSpec(exclude=("libeggs.so.1",)))

    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if "libeggs" in name]


def test_repair_wheel__library_that_is_nowhere(tmp_path: Path, with_library: Path) -> None:
    with pytest.raises(BuildError, match=r"libeggs\.so\.1") as caught:
        repaired(with_library, tmp_path / "out")

    assert "repair.exclude" in str(caught.value.hint)
    assert list((tmp_path / "out").iterdir()) == []


def test_repair_wheel__twice_gives_the_same_bytes(tmp_path: Path) -> None:
    wheel = a_native_wheel(tmp_path, compiled(tmp_path, EXTENSION, "-Wl,-rpath,/opt/x"))

    first = repaired(wheel, tmp_path / "a")
    second = repaired(wheel, tmp_path / "b")

    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("strip", [True, False])
def test_repair_wheel__strips_if_asked(tmp_path: Path, strip: bool) -> None:  # noqa: FBT001 - a parameter of the case
    if shutil.which("strip") is None:
        pytest.skip("no strip")
    wheel = a_native_wheel(tmp_path, compiled(tmp_path, EXTENSION, "-g"))

    path = repaired(wheel, tmp_path / "out", RepairSpec(strip=strip))

    with zipfile.ZipFile(path) as archive:
        elf = ELFFile(BytesIO(archive.read("spam/spam.so")))
    assert (elf.get_section_by_name(".symtab") is None) is strip


def test_repair_wheel__without_binaries(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam-1.0-py3-none-any.whl", {"spam.py": b""})

    path = repaired(wheel, tmp_path / "out")

    assert path.read_bytes() == wheel.read_bytes()


def test_repair_wheel__platform_tag_without_binaries(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, f"spam-1.0-py3-none-linux_{MACHINE}.whl", {"spam.py": b""})

    with pytest.raises(BuildError, match="no binary inside"):
        repaired(wheel, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100])
def test_repair_wheel__file_that_is_no_wheel(tmp_path: Path, data: bytes) -> None:
    wheel = tmp_path / f"spam-1.0-py3-none-linux_{MACHINE}.whl"
    wheel.write_bytes(data)

    with pytest.raises(InvalidWheelError, match="cannot be read as a wheel"):
        repaired(wheel, tmp_path / "out")


def test_repair_wheel__name_that_is_no_wheels(tmp_path: Path) -> None:
    with pytest.raises(InvalidWheelError, match="not a wheel's filename"):
        repaired(tmp_path / "spam.zip", tmp_path / "out")


def test_native_files__finds_what_the_interpreter_is(tmp_path: Path) -> None:
    program = Path(sysconfig.get_config_var("BINDIR")) / "python3"
    wheel = make_wheel(
        tmp_path, "spam-1.0-py3-none-any.whl", {"spam.data/scripts/spam": program.read_bytes()[:4096], "a.py": b""}
    )

    assert native_files(wheel) == ("spam.data/scripts/spam",)


@pytest.mark.parametrize(
    ("filename", "arch"),
    [
        ("spam-1.0-cp313-cp313-linux_aarch64.whl", "aarch64"),
        ("spam-1.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "x86_64"),
        ("spam-1.0-cp313-cp313-musllinux_1_2_armv7l.whl", "armv7l"),
        ("spam-1.0-py3-none-any.whl", MACHINE),
    ],
)
def test_wheel_arch(filename: str, arch: str) -> None:
    assert wheel_arch(WheelName.parse(filename)) == arch


def test_newest_member(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam-1.0-py3-none-any.whl", {"spam.py": b""})

    assert newest_member(wheel) == 1672531200  # 2023-01-01, make_wheel's
