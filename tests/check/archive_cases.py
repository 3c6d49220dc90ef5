"""One fault in the archive a case (WH100s)."""

from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

from check.spoilt import Cases, Spoilt
from check.wheel_factory import Wheel, pure
from wheelhouse.check.archive import Limits
from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def renamed(path: str, data: bytes = b"x") -> Wheel:
    return pure().having(extra=((path, data),))


def mode(bits: int, path: str = "spam/__init__.py") -> Wheel:
    def change(info: zipfile.ZipInfo) -> None:
        if info.filename == path:
            info.external_attr = bits << 16

    return pure().having(infos=change)


def bzip2() -> Wheel:
    def change(info: zipfile.ZipInfo) -> None:
        if info.filename == "spam/__init__.py":
            info.compress_type = zipfile.ZIP_BZIP2

    return pure().having(infos=change)


def patched(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return change


def prefixed(path: Path, data: bytes) -> int:
    return path.write_bytes(data + path.read_bytes())


def encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")
    data[first + 8] |= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Spoil the compressed bytes of the first member."""
    data = bytearray(path.read_bytes())
    data[30 + len("spam/__init__.py")] ^= 0xFF
    path.write_bytes(data)


def name_bytes(path: Path, old: bytes, new: bytes) -> None:
    patched(old, new)(path)


CASES: Cases = {
    "traversal": (Code.UNSAFE_NAME, lambda: Spoilt.of("leads out", renamed("../evil"), Code.NOT_RECORDED)),
    "absolute": (Code.UNSAFE_NAME, lambda: Spoilt.of("leads out", renamed("/etc/evil"), Code.NOT_RECORDED)),
    "backslash": (Code.UNSAFE_NAME, lambda: Spoilt.of("leads out", renamed("..\\evil"), Code.NOT_RECORDED)),
    "drive": (Code.UNSAFE_NAME, lambda: Spoilt.of("leads out", renamed("C:evil"), Code.NOT_RECORDED)),
    "control": (Code.UNSAFE_NAME, lambda: Spoilt.of("every file system", renamed("ev\nil"), Code.NOT_RECORDED)),
    "duplicate": (Code.DUPLICATE, lambda: Spoilt.of("2 times", renamed("spam/__init__.py", b"eggs = 1\n"))),
    "symlink": (Code.SPECIAL_FILE, lambda: Spoilt.of("symbolic link", mode(stat.S_IFLNK | 0o777), Code.FILE_MODE)),
    "device": (Code.SPECIAL_FILE, lambda: Spoilt.of("special file", mode(stat.S_IFCHR | 0o644))),
    "bomb by ratio": (
        Code.BOMB,
        lambda: Spoilt.of("unpack to", renamed("spam/0", bytes(1 << 20)), limits=Limits(ratio=100, harmless=1000)),
    ),
    "bomb by total": (Code.BOMB, lambda: Spoilt.of("unpack to", pure(), limits=Limits(total=100))),
    "bomb by members": (Code.BOMB, lambda: Spoilt.of("members", pure(), limits=Limits(members=3))),
    "bytes before": (
        Code.STRAY_BYTES,
        lambda: Spoilt.of("before", pure(), afterwards=lambda path: prefixed(path, b"#!/bin/sh\n") and None),
    ),
    "bytes after": (
        Code.STRAY_BYTES,
        lambda: Spoilt.of(
            "3 bytes after", pure(), afterwards=lambda path: path.write_bytes(path.read_bytes() + b"end") and None
        ),
    ),
    "encrypted": (Code.ENCRYPTED, lambda: Spoilt.of("encrypted", pure(), afterwards=encrypted)),
    "name not UTF-8": (
        Code.NAME_ENCODING,
        lambda: Spoilt.of(
            "not marked",
            pure().with_paths({"spam/xyz.txt": b"x"}),
            Code.NOT_RECORDED,
            Code.RECORDED_MISSING,
            afterwards=lambda path: name_bytes(path, b"spam/xyz.txt", b"spam/x\xe4z.txt"),
        ),
    ),
    "case": (Code.CASE_COLLISION, lambda: Spoilt.of("only by case", pure().with_paths({"spam/__INIT__.py": b""}))),
    "damaged": (Code.UNREADABLE, lambda: Spoilt.of("cannot be read", pure(), afterwards=cut)),
    "bzip2": (Code.COMPRESSION, lambda: Spoilt.of("neither stored", bzip2())),
    "world-writable": (Code.FILE_MODE, lambda: Spoilt.of("writable by everybody", mode(stat.S_IFREG | 0o666))),
    "setuid": (Code.FILE_MODE, lambda: Spoilt.of("setuid", mode(stat.S_IFREG | 0o4755))),
    "unreadable": (Code.FILE_MODE, lambda: Spoilt.of("not readable", mode(stat.S_IFREG | 0o600))),
}
