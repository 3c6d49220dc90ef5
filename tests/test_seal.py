from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
import uv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installer.sources import WheelFile

from small_wheels import SmallWheel
from wheelhouse.errors import InvalidWheelError
from wheelhouse.seal import SEAL_NAME, read_key, seal
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from wheelhouse.wheel import SealedWheel

KEY = "ab" * 32
EPOCH = 1_700_000_000


def sealed(wheel: Path, destination: Path, *, build_number: int = 0, epoch: int = EPOCH) -> SealedWheel:
    return seal(
        wheel, destination=destination, key=KEY, epoch=epoch, build_number=build_number, note={"wheelhouse": "0.1"}
    )


def test_seal__writes_what_pypa_installer_validates(tmp_path: Path) -> None:
    wheel = SmallWheel(files={"spam/__init__.py": "", "spam/größe.txt": "ü"}).write(tmp_path / "in")

    result = sealed(wheel, tmp_path / "out")

    with WheelFile.open(result.path) as source:
        source.validate_record()
    assert result.sha256 == sha256_of(result.path)
    assert result.size == result.path.stat().st_size
    assert stat.S_IMODE(result.path.stat().st_mode) == 0o644


def test_seal__puts_metadata_last_and_record_at_the_very_end(tmp_path: Path) -> None:
    wheel = SmallWheel(files={"zebra.py": "", "a.py": ""}).write(tmp_path / "in")

    names = zipfile.ZipFile(sealed(wheel, tmp_path / "out").path).namelist()

    inside = "spam-1.0.dist-info"
    assert names == [
        "a.py",
        "zebra.py",
        f"{inside}/METADATA",
        f"{inside}/WHEEL",
        f"{inside}/{SEAL_NAME}",
        f"{inside}/RECORD",
    ]


def test_read_key__finds_what_seal_wrote(tmp_path: Path) -> None:
    wheel = SmallWheel().write(tmp_path / "in")

    assert read_key(wheel) is None
    assert read_key(sealed(wheel, tmp_path / "out").path) == KEY


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04" + bytes(40)])
def test_read_key__of_what_is_no_wheel_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "spam-1.0-py3-none-any.whl"
    path.write_bytes(data)

    assert read_key(path) is None
    assert read_key(tmp_path / "nothing.whl") is None


@pytest.mark.parametrize("text", ["[]", "{", '{"key": 1}', "{}"])
def test_read_key__of_a_foreign_file_of_that_name_is_none(tmp_path: Path, text: str) -> None:
    wheel = SmallWheel(files={f"spam-1.0.dist-info/{SEAL_NAME}": text}).write(tmp_path)

    assert read_key(wheel) is None


def test_seal__sets_the_build_tag_in_name_and_wheel_file(tmp_path: Path) -> None:
    wheel = SmallWheel().write(tmp_path / "in")

    first = sealed(wheel, tmp_path / "out", build_number=1)
    again = sealed(first.path, tmp_path / "out", build_number=2)

    assert first.path.name == "spam-1.0-1-py3-none-any.whl"
    assert again.path.name == "spam-1.0-2-py3-none-any.whl"
    text = zipfile.ZipFile(again.path).read("spam-1.0.dist-info/WHEEL").decode()
    assert text == "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: false\nTag: py3-none-any\nBuild: 2\n"


def test_seal__of_a_sealed_wheel_changes_nothing(tmp_path: Path) -> None:
    first = sealed(SmallWheel().write(tmp_path / "in"), tmp_path / "one")

    assert sealed(first.path, tmp_path / "two").sha256 == first.sha256


@pytest.mark.parametrize(("epoch", "year"), [(0, 1980), (EPOCH, 2023), (10**11, 2107)])
def test_seal__keeps_to_the_calendar_of_zip(tmp_path: Path, epoch: int, year: int) -> None:
    result = sealed(SmallWheel().write(tmp_path / "in"), tmp_path / "out", epoch=epoch)

    assert {info.date_time[0] for info in zipfile.ZipFile(result.path).infolist()} == {year}


MEMBERS = SmallWheel(files={"spam/__init__.py": "ANSWER = 42\n", "spam/data.bin": bytes(range(256)) * 40}).members()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(sorted(MEMBERS)),
    date=st.datetimes().filter(lambda moment: 1980 <= moment.year <= 2107),
    permissions=st.integers(0, 0o777).map(lambda mode: mode & ~0o111),
    compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    system=st.sampled_from([0, 3]),
    folders=st.booleans(),
)
def test_seal__equal_members_give_equal_bytes(
    *,
    tmp_path: Path,
    order: list[str],
    date: datetime,
    permissions: int,
    compression: int,
    system: int,
    folders: bool,
) -> None:
    path = tmp_path / "in" / SmallWheel().filename
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        if folders:
            archive.mkdir("spam")
        for name in order:
            info = zipfile.ZipInfo(name, date.timetuple()[:6])
            info.external_attr = permissions << 16
            info.create_system = system
            archive.writestr(info, MEMBERS[name], compression)

    result = sealed(path, tmp_path / "out")

    reference = sealed(
        SmallWheel(
            files={"spam/__init__.py": "ANSWER = 42\n", "spam/data.bin": bytes(range(256)) * 40},
        ).write(tmp_path / "reference"),
        tmp_path / "reference-out",
    )
    assert result.sha256 == reference.sha256


def test_seal__keeps_the_executable_bit_and_nothing_else_of_a_mode(tmp_path: Path) -> None:
    path = tmp_path / SmallWheel().filename
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in SmallWheel().members().items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o700 if name.endswith("__init__.py") else 0o600) << 16
            archive.writestr(info, data)

    infos = zipfile.ZipFile(sealed(path, tmp_path / "out").path).infolist()

    modes = {info.filename: stat.S_IMODE(info.external_attr >> 16) for info in infos}
    assert modes.pop("spam/__init__.py") == 0o755
    assert set(modes.values()) == {0o644}


def write_with(path: Path, *extra: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in SmallWheel().members().items():
            archive.writestr(name, data)
        for name in extra:
            archive.writestr(name, b"x")
    return path


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "other-2.dist-info/WHEEL"])
def test_seal__refuses_a_member_that_has_no_place_in_a_wheel(tmp_path: Path, name: str) -> None:
    path = write_with(tmp_path / SmallWheel().filename, name)

    with pytest.raises(InvalidWheelError):
        sealed(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []  # noqa: PTH208 - nothing, hidden files included


def test_seal__refuses_a_member_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write_with(tmp_path / SmallWheel().filename, "spam/__init__.py")

    with pytest.raises(InvalidWheelError, match="twice"):
        sealed(path, tmp_path / "out")


def test_seal__of_a_damaged_wheel_leaves_nothing(tmp_path: Path) -> None:
    path = SmallWheel(files={"spam/data": b"A" * 1000}).write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"A" * 1000, b"B" * 1000))

    with pytest.raises(InvalidWheelError, match="CRC"):
        sealed(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []  # noqa: PTH208 - nothing, hidden files included


@pytest.mark.parametrize("data", [b"", b"no zip"])
def test_seal__of_what_is_no_zip_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / SmallWheel().filename
    path.write_bytes(data)

    with pytest.raises(InvalidWheelError, match="is not a wheel"):
        sealed(path, tmp_path / "out")


def test_seal__gives_what_uv_and_twine_take(tmp_path: Path) -> None:
    wheel = SmallWheel(metadata="Description-Content-Type: text/plain\n\nA description.\n").write(tmp_path / "in")
    path = sealed(wheel, tmp_path / "out", build_number=3).path

    install = [uv.find_uv_bin(), "pip", "install", "--python", sys.executable, "--no-cache", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(path)], check=True)
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(path)], check=True, capture_output=True, text=True
    )

    assert "PASSED" in checked.stdout
    assert (tmp_path / "site/spam-1.0.dist-info" / SEAL_NAME).is_file()


@pytest.mark.network
def test_seal__of_a_real_wheel_gives_what_pip_takes_and_checks(tmp_path: Path) -> None:
    pip = [uv.find_uv_bin(), "tool", "run", "pip"]
    download = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(tmp_path / "in"), "markupsafe==3.0.2"]
    subprocess.run([*pip, *download], check=True)
    (wheel,) = (tmp_path / "in").iterdir()

    path = sealed(wheel, tmp_path / "out", build_number=3).path

    subprocess.run([*pip, "install", "--no-index", "--target", str(tmp_path / "site"), str(path)], check=True)
    assert list((tmp_path / "site").glob(f"*.dist-info/{SEAL_NAME}"))
    with WheelFile.open(path) as source:
        source.validate_record()
