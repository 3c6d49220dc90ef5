"""An uploaded sdist in, what it is out; refused where it is not the sdist that its filename says.

Read as a stream, unpacked to nowhere: what a tar archive claims of its members is judged as it goes by.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.changes.wheelfile import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from wheelhouse.index.changes.wheelfile import Bounds, Described
    from wheelhouse.index.model import FileName

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, RuntimeError, ValueError)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^/|^[A-Za-z]:|(^|/)\.\.(/|$)")


def read_sdist(file: BinaryIO, name: FileName, *, bounds: Bounds) -> Described:
    """Read an sdist and hold it against the filename it came with. Raises IndexRefusesError."""
    where = name.filename
    found: bytes | None = None
    tops: set[str] = set()
    file.seek(0)
    try:
        for member, data in _zip(file, bounds) if where.endswith(".zip") else _tar(file, bounds):
            if _UNSAFE.search(member):
                raise IndexRefusesError(f"{where}: a member's path leads out of the archive: {member!a}")
            top, _, rest = member.removeprefix("./").partition("/")
            tops.add(top)
            if rest == "PKG-INFO":
                found = data
    except _DAMAGED as error:
        raise IndexRefusesError(f"{where} is no archive of its kind, or a damaged one: {error}") from error
    if len(tops) != 1 or not _fits(next(iter(tops)), name):
        raise IndexRefusesError(f"{where}: an sdist has one folder, named as the file; found {sorted(tops)[:3]}")
    if found is None:
        raise IndexRefusesError(f"{where}: PKG-INFO is missing", hint="build it with `python -m build --sdist`")
    return describe(found, project=name.project, version=name.version, where=where)


def _fits(folder: str, name: FileName) -> bool:
    project, _, version = folder.rpartition("-")
    try:
        return canonicalize_name(project) == name.project and Version(version) == name.version
    except InvalidVersion:
        return False


def _tar(file: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, bytes]]:
    """Yield each member's path, and its bytes where it is a PKG-INFO."""
    total = 0
    with tarfile.open(fileobj=file, mode="r|gz") as archive:
        for number, member in enumerate(archive):
            total += member.size
            _expect_bounded(number, total, bounds)
            if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                raise IndexRefusesError(f"the archive holds a device or a pipe: {member.name!a}")
            wanted = member.isfile() and member.name.endswith("/PKG-INFO") and member.size <= bounds.text
            found = archive.extractfile(member) if wanted else None
            yield member.name, found.read() if found is not None else b""


def _zip(file: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, bytes]]:
    """Do as `_tar` for the older form."""
    total = 0
    with zipfile.ZipFile(file) as archive:
        for number, member in enumerate(archive.infolist()):
            total += member.file_size
            _expect_bounded(number, total, bounds)
            if member.header_offset < 0:
                raise zipfile.BadZipFile("a member lies before the beginning of the archive")
            wanted = member.filename.endswith("/PKG-INFO") and member.file_size <= bounds.text
            yield member.filename, archive.read(member) if wanted else b""


def _expect_bounded(members: int, unpacked: int, bounds: Bounds) -> None:
    if members >= bounds.members or unpacked > bounds.unpacked:
        raise IndexRefusesError("the archive unpacks to more than an index takes: a bomb")
