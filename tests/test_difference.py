from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from small_wheels import SmallWheel
from wheelhouse.difference import Difference, differences
from wheelhouse.errors import InvalidWheelError


def two(tmp_path: Path, first: dict[str, str | bytes], second: dict[str, str | bytes]) -> dict[str, Difference]:
    a, b = (SmallWheel(files=files).write(tmp_path / name) for name, files in (("a", first), ("b", second)))
    found = {item.member: item for item in differences(a, b)}
    found.pop("spam-1.0.dist-info/RECORD", None)
    return found


def test_differences__of_equal_wheels_are_none(tmp_path: Path) -> None:
    wheel = SmallWheel().write(tmp_path)

    assert differences(wheel, wheel) == ()


def test_differences__name_members_that_only_one_has(tmp_path: Path) -> None:
    found = two(tmp_path, {"one.py": "1", "both.py": ""}, {"two.py": "22", "both.py": ""})

    assert {name: item.kind for name, item in found.items()} == {"one.py": "only-in-first", "two.py": "only-in-second"}
    assert found["two.py"].message == "only in the second (2 bytes)"


def test_differences__of_text_show_the_first_lines(tmp_path: Path) -> None:
    found = two(tmp_path, {"a.py": "same\nold\nend\n"}, {"a.py": "same\nnew!\nend\n"})

    assert str(found["a.py"]) == (
        "a.py: content differs from byte 5 on (13 and 14 bytes)\n  @@ -2 +2 @@\n  -old\n  +new!"
    )


def test_differences__of_other_binaries_tell_offset_and_size_alone(tmp_path: Path) -> None:
    found = two(tmp_path, {"a.bin": b"\0" * 2_000_000 + b"\1"}, {"a.bin": b"\0" * 2_000_000 + b"\2"})

    assert found["a.bin"].details == ()
    assert found["a.bin"].message == "content differs from byte 2000000 on (2000001 bytes)"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes an ELF file of the machine")
def test_differences__of_elf_files_name_the_sections_and_the_text(tmp_path: Path) -> None:
    data = Path(sys.executable).read_bytes()
    other = data.replace(b"ld-linux", b"ld-hurry", 1)
    assert data != other, "the interpreter names its loader in .interp"

    found = two(tmp_path, {"a.so": data}, {"a.so": other})

    (detail,) = found["a.so"].details
    assert detail.startswith("section .interp: differs from byte ")
    assert "ld-hurry" in detail


def test_differences__of_a_damaged_elf_file_say_so(tmp_path: Path) -> None:
    found = two(tmp_path, {"a.so": b"\x7fELF\x01"}, {"a.so": b"\x7fELF\x02"})

    assert found["a.so"].details[0].startswith("not a sound ELF file")


def rewritten(path: Path, *, reverse: bool = False, comment: bytes = b"", date: int = 1980) -> Path:
    target = path.with_name(f"other-{path.name}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        archive.comment = comment
        names = source.namelist()
        for name in reversed(names) if reverse else names:
            archive.writestr(zipfile.ZipInfo(name, (date, 1, 1, 0, 0, 0)), source.read(name))
    return target


def test_differences__of_times_are_told_with_both(tmp_path: Path) -> None:
    a = rewritten(SmallWheel().write(tmp_path / "a"))
    b = rewritten(SmallWheel().write(tmp_path / "b"), date=2001)

    found = differences(a, b)

    assert {item.kind for item in found} == {"entry"}
    assert found[0].details == ("date_time: (1980, 1, 1, 0, 0, 0) and (2001, 1, 1, 0, 0, 0)",)


def test_differences__of_order_and_of_the_archive_itself_are_told(tmp_path: Path) -> None:
    wheel = rewritten(SmallWheel().write(tmp_path))
    copy = shutil.copy(wheel, tmp_path / "copy.whl")

    (order,) = differences(Path(copy), rewritten(wheel, reverse=True))
    (comment,) = differences(Path(copy), rewritten(wheel, comment=b"hello"))

    assert order.message == "the members stand in another order"
    assert comment.kind == "archive"


def test_differences__of_what_is_no_wheel_are_a_clear_error(tmp_path: Path) -> None:
    other = tmp_path / "x.whl"
    other.write_bytes(b"no zip")

    with pytest.raises(InvalidWheelError, match="cannot be compared"):
        differences(SmallWheel().write(tmp_path), other)
