"""An uploaded wheel in, what it is out; refused where it is not the wheel that its filename says.

The archive is hostile: what its directory declares is judged before anything is unpacked, and then every member is
read once, within bounds, and held against RECORD. This is what an index must not serve; the finer points of a wheel
are `wheelhouse check`'s.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.model import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from packaging.tags import Tag
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.index.model import FileName

#: What zipfile raises for bytes that are no archive, or a damaged one.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_END_RECORD, _END_SIZE, _LOCAL_HEADER = b"PK\x05\x06", 22, 30
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^/|^[A-Za-z]:|(^|/)\.\.?(/|$)|//")
_CHUNK = 1 << 20
_SIGNATURES = {"RECORD", "RECORD.jws", "RECORD.p7s"}
_LONGEST_TAG = 200
_STRONG = {"sha256", "sha384", "sha512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When an archive counts as a bomb."""

    unpacked: int = 16 << 30
    """Bytes of all members together."""
    ratio: int = 200
    """How many times its packed size a member of more than `small` bytes may have."""
    small: int = 16 << 20
    text: int = 4 << 20
    """Bytes of METADATA, WHEEL or RECORD, or of PKG-INFO; RECORD of a huge wheel has 1 MB."""
    members: int = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a distribution says of itself, where that agrees with its filename."""

    project: NormalizedName
    version: Version
    requires_python: str | None
    metadata: bytes | None
    """METADATA as it is in the wheel (PEP 658); None for an sdist."""


def get_ready() -> None:
    """Load what the first wheel would have to wait for."""
    import packaging.metadata  # noqa: F401, PLC0415 - likewise


def read_wheel(file: BinaryIO, name: FileName, *, bounds: Bounds) -> Described:
    """Read a wheel, to its last byte, and hold it against the filename it came with. Raises IndexRefusesError."""
    try:
        _expect_plain_end(file)
        with zipfile.ZipFile(file) as archive:
            return _read(archive, name, bounds)
    except _DAMAGED as error:
        raise IndexRefusesError(f"{name.filename} is no zip archive, or a damaged one: {error}") from error


def _read(archive: zipfile.ZipFile, name: FileName, bounds: Bounds) -> Described:
    members = archive.infolist()
    for problem in _archive_problems(archive, bounds):
        raise IndexRefusesError(f"{name.filename}: {problem}", hint="build the wheel anew")
    folder = _dist_info(members, name)
    texts = {
        text: _text(archive, f"{folder}/{text}", name.filename, bounds) for text in ("METADATA", "WHEEL", "RECORD")
    }
    described = describe(texts["METADATA"], project=name.project, version=name.version, where=name.filename)
    tags = _tags(texts["WHEEL"])
    if tags != name.tags:
        raise IndexRefusesError(
            f"{name.filename}: WHEEL has other tags: {', '.join(sorted(map(str, tags))) or 'none'}",
            hint="rename with `wheel tags`, which changes both",
        )
    for problem in _record_problems(archive, {f"{folder}/{text}": data for text, data in texts.items()}, folder):
        raise IndexRefusesError(f"{name.filename}: {problem}", hint="build the wheel anew, or pack it with `wheel`")
    return described


def read_metadata(path: Path, name: FileName, *, bounds: Bounds) -> bytes:
    """Return METADATA of a wheel that `read_wheel` has found to be one. Raises IndexRefusesError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _text(archive, f"{_dist_info(archive.infolist(), name)}/METADATA", name.filename, bounds)
    except _DAMAGED as error:
        raise IndexRefusesError(f"{name.filename} is no zip archive, or a damaged one: {error}") from error


def describe(data: bytes, *, project: NormalizedName, version: Version, where: str) -> Described:
    """Parse core metadata and hold them against name and version. Raises IndexRefusesError."""
    from packaging.metadata import InvalidMetadata, Metadata, parse_email  # noqa: PLC0415 - a server starts without

    try:
        metadata = Metadata.from_raw(parse_email(data)[0], validate=False)
        said = (canonicalize_name(metadata.name), metadata.version)
        requires_python = metadata.requires_python
    except (InvalidMetadata, ValueError, TypeError) as error:
        raise IndexRefusesError(f"{where}: its metadata are not valid: {error}") from error
    if said != (project, version):
        raise IndexRefusesError(
            f"{where}: its metadata are of {said[0]} {said[1]}, the filename of {project} {version}",
            hint="do not rename distributions by hand",
        )
    return Described(
        project=project,
        version=version,
        requires_python=None if requires_python is None else str(requires_python),
        metadata=data,
    )


def _expect_plain_end(file: BinaryIO) -> None:
    """Refuse bytes behind the archive: two readers could take them for two archives."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_SIZE))
    end = file.read()
    if not end.startswith(_END_RECORD):
        raise zipfile.BadZipFile("it does not end where an archive ends")


def _archive_problems(archive: zipfile.ZipFile, bounds: Bounds) -> Iterator[str]:
    members = archive.infolist()
    if len(members) > bounds.members:
        yield f"holds {len(members)} members, more than {bounds.members}"
    for member in members:
        yield from _member_problems(member, bounds)
    twice = [name for name, count in Counter(m.filename.casefold() for m in members).items() if count > 1]
    if twice:
        yield f"holds a member twice: {', '.join(sorted(twice)[:3])}"
    if sum(member.file_size for member in members) > bounds.unpacked:
        yield f"unpacks to more than {bounds.unpacked} bytes"
    spans = sorted((m.header_offset, m.header_offset + _LOCAL_HEADER + m.compress_size) for m in members)
    if spans and spans[0][0] != 0:
        yield "has bytes in front of the archive"
    if any(first[1] > second[0] for first, second in pairwise(spans)):
        yield "its members lie over each other: a bomb"


def _member_problems(member: zipfile.ZipInfo, bounds: Bounds) -> Iterator[str]:
    if member.orig_filename != member.filename or _UNSAFE.search(member.filename.removesuffix("/")):
        yield f"a member's path leads out of the archive: {member.orig_filename!a}"
    if stat.S_IFMT(member.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        yield f"{member.filename} is no plain file"
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        yield f"{member.filename} is encrypted, or compressed in a way that installers cannot read"
    if member.file_size > bounds.small and member.file_size > bounds.ratio * member.compress_size:
        yield f"{member.filename} unpacks to {member.file_size} bytes: a bomb"


def _dist_info(members: list[zipfile.ZipInfo], name: FileName) -> str:
    folders = {m.filename.partition("/")[0] for m in members if m.filename.partition("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        found = ", ".join(sorted(folders)) or "none"
        raise IndexRefusesError(f"{name.filename}: a wheel has one .dist-info folder; found {found}")
    folder = folders.pop()
    project, _, version = folder.removesuffix(".dist-info").partition("-")
    if canonicalize_name(project) != name.project or parse_version(version.replace("_", "-")) != name.version:
        raise IndexRefusesError(f"{name.filename}: {folder} does not fit the filename")
    return folder


def _text(archive: zipfile.ZipFile, member: str, where: str, bounds: Bounds) -> bytes:
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise IndexRefusesError(f"{where}: {member} is missing") from None
    if info.file_size > bounds.text:
        raise IndexRefusesError(f"{where}: {member} has {info.file_size} bytes, more than {bounds.text}")
    return archive.read(info)


def _tags(wheel: bytes) -> frozenset[Tag]:
    lines = (line.partition(":") for line in wheel.decode("utf-8").splitlines())
    return frozenset(tag for key, _, text in lines if key.lower() == "tag" for tag in _tag(text.strip()))


@lru_cache(maxsize=1024)  # few tags on very many wheels
def _tag(text: str) -> frozenset[Tag]:
    if len(text) > _LONGEST_TAG:  # each dot multiplies their number
        raise IndexRefusesError(f"WHEEL has a tag that no filename has room for: {text[:80]}…")
    return parse_tag(text)


def _record_problems(archive: zipfile.ZipFile, known: Mapping[str, bytes], folder: str) -> Iterator[str]:
    """Yield what RECORD says otherwise; `known` are the members that have been read already."""
    from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file  # noqa: PLC0415 - likewise

    exempt = {f"{folder}/{name}" for name in _SIGNATURES}
    try:
        rows = [
            RecordEntry.from_elements(*row)
            for row in parse_record_file(known[f"{folder}/RECORD"].decode("utf-8").splitlines())
            if row[0] not in exempt
        ]
    except InvalidRecordEntry as error:
        yield f"RECORD is not valid: {error}"
        return
    entries = {row.path: row for row in rows}
    members = {m.filename: m for m in archive.infolist() if not m.is_dir() and m.filename not in exempt}
    if odd := sorted(entries.keys() ^ members.keys()):
        yield f"RECORD and the archive do not list the same files: {', '.join(odd[:3])}"
        return
    for path, member in members.items():
        entry = entries[path].hash_
        if entry is None or entry.name not in _STRONG:
            yield f"{path} has no sha256 in RECORD"
            return
        if entry.value != _digest(_pieces(archive, member, known.get(path)), entry.name):
            yield f"{path} is not what RECORD says"


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, known: bytes | None) -> Iterator[bytes]:
    if known is not None:
        yield known
    elif member.file_size <= _CHUNK:
        yield archive.read(member)
    else:
        with archive.open(member) as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def _digest(pieces: Iterable[bytes], algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    for piece in pieces:
        digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
