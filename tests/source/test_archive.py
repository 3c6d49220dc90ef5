from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wheelhouse.errors import SourceError
from wheelhouse.source.archive import Limits, settle, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def member(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", mtime: int = 10**9) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime = kind, link, mtime
    return info


def a_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def a_zip(*members: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6))
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_unpack__every_compression__known_by_its_bytes(tmp_path: Path, compression: str) -> None:
    data = a_tar((member("spam-1/setup.py", mtime=1_600_000_000), b"x"), (member("spam-1/a/b"), b"y"))
    unpacked = unpack(written(tmp_path, COMPRESSIONS[compression](data)), tmp_path / "out")
    assert unpacked.top == tmp_path / "out/spam-1"
    assert (unpacked.top / "a/b").read_bytes() == b"y"
    assert unpacked.epoch == 1_600_000_000


def test_unpack__zip(tmp_path: Path) -> None:
    data = a_zip(
        ("spam-1/setup.py", b"x", 0o100600), ("spam-1/run", b"#!", 0o100755), ("spam-1/link", b"run", stat.S_IFLNK)
    )
    unpacked = unpack(written(tmp_path, data), tmp_path / "out")
    assert unpacked.epoch == 1580702706
    assert unpacked.top.joinpath("link").readlink().name == "run"
    assert [unpacked.top.joinpath(name).stat().st_mode & 0o777 for name in ("setup.py", "run")] == [0o644, 0o755]


def test_unpack__no_top_folder__the_destination_is_the_top(tmp_path: Path) -> None:
    data = a_tar((member("setup.py"), b"x"), (member("src/a.c"), b"y"))
    assert unpack(written(tmp_path, data), tmp_path / "out").top == tmp_path / "out"


@pytest.mark.parametrize("mtime", [0, 1])
def test_unpack__time_that_no_zip_can_say__is_1980(tmp_path: Path, mtime: int) -> None:
    assert unpack(written(tmp_path, a_tar((member("a/b", mtime=mtime), b""))), tmp_path / "out").epoch == 315532800


HOSTILE = {
    "dots": a_tar((member("a/../../evil"), b"x")),
    "absolute": a_tar((member("/etc/evil"), b"x")),
    "symlink out": a_tar((member("a/link", kind=tarfile.SYMTYPE, link="../../evil"), b"")),
    "symlink absolute": a_tar((member("a/link", kind=tarfile.SYMTYPE, link="/etc"), b"")),
    "through a symlink": a_tar((member("a", kind=tarfile.SYMTYPE, link="b"), b""), (member("a/evil"), b"x")),
    "hard link out": a_tar((member("a/link", kind=tarfile.LNKTYPE, link="../evil"), b"")),
    "device": a_tar((member("a/null", kind=tarfile.CHRTYPE), b"")),
    "pipe": a_tar((member("a/pipe", kind=tarfile.FIFOTYPE), b"")),
    "zip dots": a_zip(("../evil", b"x", 0)),
    "zip absolute": a_zip(("/evil", b"x", 0)),
    "zip backslash": a_zip(("a\\..\\..\\evil", b"x", 0)),
    "zip symlink out": a_zip(("a/link", b"../../evil", stat.S_IFLNK)),
    "zip through a symlink": a_zip(("a/l", b"b", stat.S_IFLNK), ("a/l/evil", b"x", 0)),
    "zip device": a_zip(("a/null", b"", stat.S_IFCHR)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_unpack__hostile_member__refused_and_nothing_kept(tmp_path: Path, kind: str) -> None:
    good = tmp_path / "good"
    good.mkdir()
    archive = written(tmp_path, HOSTILE[kind])
    with pytest.raises(SourceError, match="archive") as caught:
        unpack(archive, good / "out")
    assert caught.value.hint is not None
    assert [path.name for path in good.rglob("*")] == ["out"]
    assert {path.name for path in tmp_path.iterdir()} == {"good", "archive"}


@pytest.mark.parametrize("data", [gzip.compress(a_tar((member("a/z"), bytes(10**7)))), a_zip(("a/z", bytes(10**7), 0))])
def test_unpack__bomb__refused_before_it_is_on_disk(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SourceError, match="far more"):
        unpack(written(tmp_path, data), tmp_path / "out", limits=Limits(free=10**6, ratio=20))
    assert list((tmp_path / "out").iterdir()) == []


def test_unpack__too_many_members(tmp_path: Path) -> None:
    data = a_tar(*((member(f"a/{number}"), b"") for number in range(20)))
    with pytest.raises(SourceError, match="far more"):
        unpack(written(tmp_path, data), tmp_path / "out", limits=Limits(members=10))


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_unpack__truncated__says_damaged(tmp_path: Path, compression: str) -> None:
    data = a_tar((member("a/b"), bytes(range(256)) * 500))
    whole = COMPRESSIONS[compression](data)
    with pytest.raises(SourceError, match="damaged"):
        unpack(written(tmp_path, whole[: len(whole) // 2]), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"", b"PK\x03\x04 and no more", b"\x1f\x8b\x08"])
def test_unpack__no_archive(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SourceError, match="archive"):
        unpack(written(tmp_path, data), tmp_path / "out")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compression=st.sampled_from(["gz", "xz", "tar", "zip"]))
def test_unpack__any_damage__is_a_clear_error_or_none(tmp_path: Path, data: st.DataObject, compression: str) -> None:
    parts = [(member("a/b"), bytes(range(256))), (member("a/c", kind=tarfile.SYMTYPE, link="b"), b"")]
    whole = bytearray(
        a_zip(("a/b", bytes(range(256)), 0o644), ("a/c", b"b", stat.S_IFLNK))
        if compression == "zip"
        else COMPRESSIONS[compression](a_tar(*parts))
    )
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=8)):
        whole[at] = data.draw(st.integers(0, 255))
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    try:
        unpack(written(tmp_path, bytes(whole)), tmp_path / "out")
    except SourceError:
        assert list((tmp_path / "out").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}


def test_unpack__zip_that_points_before_its_beginning__is_damaged(tmp_path: Path) -> None:
    data = bytearray(a_zip(("a/b", b"spam", 0o644)))
    data[-6] += 4  # the directory is said to lie further on than it does, so that all members lie before it
    with pytest.raises(SourceError, match="damaged"):
        unpack(written(tmp_path, bytes(data)), tmp_path / "out")


def test_settle__modes_and_times_are_the_same_everywhere(tmp_path: Path) -> None:
    for name, mode in (("a", 0o600), ("b", 0o777), ("c", 0o664)):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("nowhere")
    settle(tmp_path, epoch=10**9)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"] == [0o644, 0o755, 0o644]
    assert {path.lstat().st_mtime for path in [tmp_path, *tmp_path.iterdir()]} == {10**9}


def test_unpack__python_without_filters__refuses_the_same(tmp_path: Path) -> None:
    """Python before 3.11.4, as Debian 12 has it, is imitated by taking the filters out of its standard library."""
    (tmp_path / "good.tar").write_bytes(a_tar((member("a-1.0/setup.py"), b"")))
    (tmp_path / "bad.tar").write_bytes(a_tar((member("a-1.0/out", kind=tarfile.SYMTYPE, link="../../out"), b"")))
    program = f"""if True:
        import tarfile
        for name in ("data_filter", "FilterError"):
            delattr(tarfile, name)
        from pathlib import Path
        from wheelhouse.errors import SourceError
        from wheelhouse.source.archive import unpack
        print(unpack(Path({str(tmp_path / "good.tar")!r}), Path({str(tmp_path / "good")!r})).top.name)
        try:
            unpack(Path({str(tmp_path / "bad.tar")!r}), Path({str(tmp_path / "bad")!r}))
        except SourceError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    top, refusal = done.stdout.splitlines()
    assert top == "a-1.0"
    assert "leads out" in refusal
