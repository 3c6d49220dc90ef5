"""A built wheel in; the bytes to publish out: the build key inside, the build tag set, the archive normalised.

Equal members give equal bytes, whatever order, times, umask or compression the archive came with. Whether a member is
executable is kept, since installers act on it; for whom it is, is not.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import stat
import tempfile
import time
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from wheelhouse.errors import InvalidWheelError
from wheelhouse.wheel import SealedWheel, WheelName, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Lies in `.dist-info`, where installers keep files that they do not know (PEP 376).
SEAL_NAME = "wheelhouse.json"
_SEAL_PATH = re.compile(rf"[^/]+\.dist-info/{re.escape(SEAL_NAME)}")
_SEAL_LIMIT = 1 << 20
_CHUNK = 1 << 20
_LEVEL = 6
#: zip's calendar: it starts in 1980 and ends in 2107, in steps of two seconds.
_FIRST, _LAST = 315532800, 4354819198
#: Signatures of RECORD (PEP 427) sign the old one.
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The members of a wheel that matter here."""

    members: Mapping[str, zipfile.ZipInfo]
    """Files only, by name."""
    dist_info: str
    """`name-version.dist-info`."""

    def path(self, name: str) -> str:
        return f"{self.dist_info}/{name}"


def seal(
    wheel: Path,
    *,
    destination: Path,
    key: str,
    epoch: int,
    build_number: int,
    note: Mapping[str, object],
    added: Mapping[str, bytes] | None = None,
) -> SealedWheel:
    """Write the wheel, sealed, into the folder `destination`.

    `epoch` (seconds) becomes the time of every member. A `build_number` above 0 becomes the build tag (PEP 427); 0
    leaves the name as it is. `note` is put beside the key in `wheelhouse.json`; it must be JSON.
    `added` are further files, by their paths below `.dist-info`.

    Raises InvalidWheelError; `destination` then holds nothing new.
    """
    name = WheelName.parse(wheel.name)
    destination.mkdir(parents=True, exist_ok=True)
    target = destination / _filename(name, build_number)
    with closing(_open(wheel)) as source:
        layout = _layout(source, wheel)
        changed = {layout.path(path): data for path, data in (added or {}).items()}
        changed[layout.path(SEAL_NAME)] = _to_json({**note, "key": key})
        if build_number > 0:
            changed[layout.path("WHEEL")] = _with_build(source.read(layout.path("WHEEL")), build_number)
        handle, temporary = tempfile.mkstemp(dir=destination, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                _write(source, layout, changed, file, epoch)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise InvalidWheelError(f"{wheel} cannot be read: {error}") from error
        finally:
            Path(temporary).unlink(missing_ok=True)
    return SealedWheel(path=target, sha256=sha256_of(target), size=target.stat().st_size)


def read_key(path: Path) -> str | None:
    """Return the build key inside a wheel; None where there is none, or where the file is no readable wheel."""
    key = read_note(path).get("key")
    return key if isinstance(key, str) else None


def read_note(path: Path) -> Mapping[str, object]:
    """Return what `seal` put into a wheel: its key and note; nothing where there is none.

    Reads the archive's directory and one small member, so it costs the same for any size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = next((info for info in archive.infolist() if _SEAL_PATH.fullmatch(info.filename)), None)
            if found is None or found.file_size > _SEAL_LIMIT:
                return {}
            value = json.loads(archive.read(found))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _open(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, FileNotFoundError, IsADirectoryError) as error:
        raise InvalidWheelError(
            f"{wheel} is not a wheel: {error}", hint="a wheel is a zip archive (PEP 427)"
        ) from error


def _filename(name: WheelName, build_number: int) -> str:
    if build_number <= 0:
        return name.filename
    parts = name.filename.split("-")
    return "-".join([*parts[:2], str(build_number), *parts[-3:]])


def _layout(archive: zipfile.ZipFile, wheel: Path) -> _Layout:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        parts = PurePosixPath(info.filename)
        if parts.is_absolute() or ".." in parts.parts:
            raise InvalidWheelError(f"{wheel}: member `{info.filename}` leads out of the wheel")
        if info.filename in members:
            raise InvalidWheelError(f"{wheel}: member `{info.filename}` is there twice")
        members[info.filename] = info
    folders = sorted({name.split("/")[0] for name in members if re.fullmatch(r"[^/]+\.dist-info/WHEEL", name)})
    if len(folders) != 1:
        found = ", ".join(folders) or "none"
        raise InvalidWheelError(f"{wheel}: a wheel has one .dist-info folder with a WHEEL file; found {found}")
    return _Layout(members=members, dist_info=folders[0])


def _to_json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _with_build(text: bytes, number: int) -> bytes:
    """Return a WHEEL file with its Build field set."""
    head, _, rest = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line for line in head.strip().split(b"\n") if not line.lower().startswith(b"build:")]
    return b"\n".join([*lines, b"Build: %d" % number]) + b"\n" + (b"\n" + rest if rest else b"")


def _write(source: zipfile.ZipFile, layout: _Layout, changed: Mapping[str, bytes], file: IO[bytes], epoch: int) -> None:
    record = layout.path("RECORD")
    dropped = {record, *(layout.path(name) for name in _SIGNATURES)}
    rows: list[tuple[str, str, str]] = []
    moment = time.gmtime(min(max(epoch, _FIRST), _LAST))[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as target:
        for name in _order(layout, changed, dropped):
            content = changed.get(name)
            old = layout.members.get(name)
            info = _info(name, moment, executable=content is None and old is not None and _is_executable(old))
            with closing(io.BytesIO(content) if content is not None else source.open(name)) as data:
                info.file_size = len(content) if content is not None else layout.members[name].file_size
                digest, size = _copy(data, target, info)
            rows.append((name, f"sha256={digest}", str(size)))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        target.writestr(_info(record, moment, executable=False), text.getvalue().encode(), compresslevel=_LEVEL)


def _order(layout: _Layout, changed: Mapping[str, bytes], dropped: set[str]) -> Iterator[str]:
    """Yield the members but RECORD: the package, then `.dist-info`, as PEP 427 recommends."""
    names = (layout.members.keys() | changed.keys()) - dropped
    inside = f"{layout.dist_info}/"
    yield from sorted(names, key=lambda name: (name.startswith(inside), name))


def _info(name: str, moment: tuple[int, ...], *, executable: bool) -> zipfile.ZipInfo:
    year, month, day, hour, minute, second = moment
    info = zipfile.ZipInfo(name, (year, month, day, hour, minute, second))
    info.create_system = 3  # Unix: the machine that seals leaves no trace
    info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _is_executable(info: zipfile.ZipInfo) -> bool:
    return bool((info.external_attr >> 16) & 0o111)


def _copy(data: IO[bytes], target: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[str, int]:
    """Stream a member into the archive and return its hash as RECORD has it, and its size."""
    digest = hashlib.sha256()
    size = 0
    with target.open(info, "w") as sink:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            sink.write(chunk)
            size += len(chunk)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode(), size
