"""A wheel's zip archive in; what is wrong with it as an archive, and its members read once, out.

A wheel is hostile until shown otherwise: what its directory declares is judged before one byte is unpacked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import itertools
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from wheelhouse.check.codes import Code
from wheelhouse.check.contents import Member
from wheelhouse.errors import InvalidWheelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wheelhouse.check.elf import Elf
    from wheelhouse.finding import Finding

#: What zipfile raises for bytes that are no archive, or a damaged one.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    OSError,
    IndexError,
)
_ELF = b"\x7fELF"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LOCAL_HEADER = 30
_END_RECORD, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHUNK = 1 << 20
#: Bytes of a member, or of a whole wheel, that are kept in memory.
_SMALL = 8 << 20
#: Text files that tools write paths into.
_CONFIGURATION = (".pc", ".la", ".cmake", ".json")
#: Folders in which builds run: what lies in them comes from `__FILE__`, debug information or configuration.
_BUILD_FOLDERS = (
    b"/home/",
    b"/root/",
    b"/project/",
    b"/builddir/",
    b"/workspace/",
    b"/github/workspace/",
    b"/Users/",
    b"/tmp/",
)
_BUILD_PATH = re.compile(
    rb"/(?:(?:home|Users)/\w+|root|project|builddir|workspace|github/workspace)/[\w.+@-][\w./+@-]*"
)
#: Programs speak of /tmp in earnest: only a source or object file in it is a leak.
_TEMPORARY_PATH = re.compile(rb"/tmp/[\w.+@-]+/[\w./+@-]*\.(?:cc?|cpp|cxx|h|hpp|pyx|rs|S|o|so|py)\b")
_IN_A_PATH = re.compile(rb"[\w.$}~%-]")
_MOST_PATHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an archive counts as a bomb."""

    total: int = 16 << 30
    """Bytes, unpacked."""
    ratio: int = 200
    """Unpacked to packed; real wheels stay below 40."""
    harmless: int = 128 << 20
    """Bytes, unpacked, below which the ratio does not matter."""
    members: int = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWheel:
    """A wheel's file and the archive in it: the same bytes, whatever becomes of the path meanwhile."""

    file: io.BufferedReader | io.BytesIO
    archive: zipfile.ZipFile
    size: int
    """Bytes of the file."""

    def sha256(self) -> str:
        """Return the file's sha256, hex."""
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()


@contextlib.contextmanager
def open_wheel(path: Path) -> Iterator[OpenWheel]:
    """Open a wheel. A small one is read at once: zipfile asks the system for each piece several times.

    Raises InvalidWheelError where it is no zip archive, or is not there.
    """
    with contextlib.ExitStack() as stack:
        try:
            file: io.BufferedReader | io.BytesIO = stack.enter_context(path.open("rb"))
        except (FileNotFoundError, IsADirectoryError) as error:
            raise InvalidWheelError(f"{path} is not a wheel: {error.strerror}") from error
        try:
            size = os.fstat(file.fileno()).st_size
            if size <= _SMALL:
                file = io.BytesIO(file.read())
            archive = stack.enter_context(zipfile.ZipFile(file))
        except _DAMAGED as error:
            raise InvalidWheelError(
                f"{path} is not a wheel: {error}",
                hint="a wheel is a zip archive (PEP 427); if the file was downloaded, it may be cut short",
            ) from error
        yield OpenWheel(file=file, archive=archive, size=size)


def judge(wheel: OpenWheel, limits: Limits) -> Iterator[Finding]:
    """Yield what is wrong with the archive, from its directory alone."""
    infos = wheel.archive.infolist()
    yield from _bombs(infos, wheel.size, limits)
    yield from _stray_bytes(wheel.file, infos)
    for info in infos:
        yield from _member(info)
    yield from _modes(infos)
    names = Counter(info.filename for info in infos)
    for name, count in names.items():
        if count > 1:
            yield Code.DUPLICATE.finding(f"stands in the archive {count} times", where=name)
    lowered = Counter(name.casefold() for name in names)
    for name in sorted(names) if len(lowered) < len(names) else ():
        if lowered[name.casefold()] > 1:
            yield Code.CASE_COLLISION.finding(
                "another name differs only by case", where=name, hint="file systems without case keep one of the two"
            )


def _bombs(infos: list[zipfile.ZipInfo], file_size: int, limits: Limits) -> Iterator[Finding]:
    total = sum(info.file_size for info in infos)
    packed = max(file_size, 1)
    if total > limits.total or (total > limits.harmless and total > limits.ratio * packed):
        yield Code.BOMB.finding(f"{packed} bytes unpack to {total}: nothing was unpacked")
    if len(infos) > limits.members:
        yield Code.BOMB.finding(f"{len(infos)} members: nothing was unpacked")
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, following in itertools.pairwise(ordered):
        if info.header_offset + _LOCAL_HEADER + info.compress_size > following.header_offset:
            yield Code.BOMB.finding("shares its bytes with another member: nothing was unpacked", where=info.filename)
            return


def _stray_bytes(file: IO[bytes], infos: list[zipfile.ZipInfo]) -> Iterator[Finding]:
    first = min((info.header_offset for info in infos), default=0)
    hint = "tools that read archives from the front and from the end see different wheels"
    if first > 0:
        yield Code.STRAY_BYTES.finding(f"{first} bytes before the first member", hint=hint)
    if after := _bytes_after_end(file):
        yield Code.STRAY_BYTES.finding(f"{after} bytes after the end of the archive", hint=hint)


def _bytes_after_end(file: IO[bytes]) -> int:
    size = file.seek(0, 2)
    start = file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = file.read()
    found = tail.rfind(_END_RECORD)
    if found < 0 or len(tail) < found + _END_SIZE:
        return 0
    comment: int = struct.unpack_from("<H", tail, found + _END_SIZE - 2)[0]
    return max(0, size - (start + found + _END_SIZE + comment))


def _member(info: zipfile.ZipInfo) -> Iterator[Finding]:
    name = info.orig_filename
    where = info.filename
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or _DRIVE.match(name):
        yield Code.UNSAFE_NAME.finding(f"`{name}` leads out of the wheel", where=where)
    elif _CONTROL.search(name) or not name or "" in parts[:-1] or "." in parts:
        yield Code.UNSAFE_NAME.finding(f"{name!r} is not a name that every file system takes", where=where)
    kind = stat.S_IFMT(_mode(info))
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        what = "a symbolic link" if kind == stat.S_IFLNK else "a special file"
        yield Code.SPECIAL_FILE.finding(f"is {what}; wheels hold files only", where=where)
    if info.flag_bits & _ENCRYPTED:
        yield Code.ENCRYPTED.finding("is encrypted", where=where)
    if not info.flag_bits & _UTF8 and not name.isascii():
        yield Code.NAME_ENCODING.finding(
            "the name is not marked as UTF-8", where=where, hint="PEP 427: names in a wheel are UTF-8"
        )
    if info.compress_type not in _METHODS:
        yield Code.COMPRESSION.finding("is neither stored nor deflated", where=where)


def _modes(infos: list[zipfile.ZipInfo]) -> Iterator[Finding]:
    """Yield one finding for each kind of odd mode: a build with a wrong umask has it on every file."""
    files = [(info.filename, stat.S_IMODE(_mode(info))) for info in infos if not info.is_dir() and _mode(info)]
    kinds = {
        "writable by everybody": [name for name, mode in files if mode & stat.S_IWOTH],
        "setuid or setgid": [name for name, mode in files if mode & (stat.S_ISUID | stat.S_ISGID)],
        "not readable by others": [name for name, mode in files if not mode & stat.S_IROTH],
    }
    for what, names in kinds.items():
        if names:
            more = f", and {len(names) - 1} more" if len(names) > 1 else ""
            yield Code.FILE_MODE.finding(f"{what}{more}", where=names[0], hint="build with umask 022")


def _mode(info: zipfile.ZipInfo) -> int:
    return info.external_attr >> 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A member as read: itself, what was wrong on the way, and its bytes where they were asked for."""

    member: Member | None
    findings: tuple[Finding, ...]
    data: bytes | None


def read_members(
    archive: zipfile.ZipFile, algorithms: dict[str, str], *, keep: str, known: Mapping[str, bytes]
) -> Iterator[Reading]:
    """Read every file once.

    `algorithms` is the hash that RECORD uses, by name (sha256 is always computed); `known` is what was read already, by
    name. Bytes are handed on for small files under `keep`, for damaged files never.
    """
    for info in {info.filename: info for info in archive.infolist()}.values():
        if info.is_dir() or info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            continue
        wanted = {"sha256", algorithms.get(info.filename, "sha256")}
        data = known.get(info.filename)
        if data is None:
            try:
                data = archive.read(info)
            except _DAMAGED as error:
                finding = Code.UNREADABLE.finding(f"cannot be read: {error}", where=info.filename)
                yield Reading(member=None, findings=(finding,), data=None)
                continue
        yield _reading(info, data, wanted, keep=keep)


def read_text(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """Return a small file's bytes; None where it is not there, too big or damaged."""
    try:
        info = archive.getinfo(name)
        return archive.read(info) if info.file_size <= _SMALL and info.compress_type in _METHODS else None
    except (KeyError, *_DAMAGED):
        return None


def _reading(info: zipfile.ZipInfo, data: bytes, wanted: set[str], *, keep: str) -> Reading:
    name = info.filename
    elf, findings = _binary(data, name) if data.startswith(_ELF) else (None, ())
    scanned = elf is not None or (name.endswith(_CONFIGURATION) and len(data) <= _SMALL)
    member = Member(
        name=name,
        size=len(data),
        mode=_mode(info),
        digests={algorithm: _digest(algorithm, data) for algorithm in wanted},
        elf=elf,
        build_paths=_build_paths(data) if scanned else (),
    )
    return Reading(
        member=member,
        findings=findings,
        data=data if name.startswith(keep) and len(data) <= _SMALL else None,
    )


def _binary(data: bytes, where: str) -> tuple[Elf | None, tuple[Finding, ...]]:
    from wheelhouse.check.elf import MalformedElfError, read_elf  # noqa: PLC0415 - start-up time, for binaries only

    try:
        return read_elf(data), ()
    except MalformedElfError as error:
        return None, (Code.MALFORMED_BINARY.finding(f"is no sound ELF file: {error}", where=where),)


def _digest(algorithm: str, data: bytes) -> str:
    """Return a digest as RECORD has it (PEP 376: urlsafe base64, no padding)."""
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _build_paths(data: bytes) -> tuple[str, ...]:
    found: dict[bytes, None] = {}
    for folder in _BUILD_FOLDERS:
        pattern = _TEMPORARY_PATH if folder == b"/tmp/" else _BUILD_PATH
        # A plain search from hit to hit: ten times quicker than the expression on a library of some megabytes.
        start = data.find(folder)
        while start >= 0 and len(found) < _MOST_PATHS:
            match = pattern.match(data, start)
            if match is not None and not (start and _IN_A_PATH.match(data, start - 1)):
                found.setdefault(match[0])
            start = data.find(folder, start + 1)
    return tuple(path.decode("utf-8", "replace") for path in found)
