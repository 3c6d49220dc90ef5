"""Two wheels in; how they differ, member by member, out: for `build --verify` when a rebuild gave other bytes."""

from __future__ import annotations

import difflib
import io
import itertools
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

from wheelhouse.errors import InvalidWheelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Kind = Literal["only-in-first", "only-in-second", "content", "entry", "archive"]

_CHUNK = 1 << 20
#: Larger members are compared, but not explained line by line or section by section.
_EXPLAINED = 64 << 20
_LINES = 3
_WIDTH = 100
#: What zip keeps of a member beside its content.
_ENTRY = (
    "date_time",
    "external_attr",
    "create_system",
    "compress_type",
    "compress_size",
    "extra",
    "comment",
    "flag_bits",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which two wheels differ."""

    kind: Kind
    member: str
    """Path inside the wheel; empty for the archive as a whole."""
    message: str
    details: tuple[str, ...] = ()
    """The first lines, or the ELF sections, that differ."""

    def __str__(self) -> str:
        """Return member and message, with the details below."""
        head = f"{self.member}: {self.message}" if self.member else self.message
        return "\n".join([head, *(f"  {line}" for line in self.details)])


def differences(first: Path, second: Path) -> tuple[Difference, ...]:
    """Return how two wheels differ; nothing where their bytes are equal.

    Raises InvalidWheelError.
    """
    try:
        with first.open("rb") as a, second.open("rb") as b:
            if _first_other_byte(a, b) is None:
                return ()
        with zipfile.ZipFile(first) as a_zip, zipfile.ZipFile(second) as b_zip:
            found = tuple(_compare(a_zip, b_zip))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidWheelError(f"{first} and {second} cannot be compared: {error}") from error
    if found:
        return found
    message = "the same members in the same order, but the archive around them differs"
    return (Difference(kind="archive", member="", message=message),)


def _compare(first: zipfile.ZipFile, second: zipfile.ZipFile) -> Iterator[Difference]:
    a, b = _members(first), _members(second)
    for name in sorted(a.keys() | b.keys()):
        if name not in b:
            yield Difference(
                kind="only-in-first", member=name, message=f"only in the first ({a[name].file_size} bytes)"
            )
        elif name not in a:
            message = f"only in the second ({b[name].file_size} bytes)"
            yield Difference(kind="only-in-second", member=name, message=message)
        else:
            yield from _compare_member(first, second, a[name], b[name])
    common = [[name for name in members if name in a and name in b] for members in (a, b)]
    if common[0] != common[1]:
        yield Difference(kind="archive", member="", message="the members stand in another order")


def _members(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    return {info.filename: info for info in archive.infolist()}


def _compare_member(
    first: zipfile.ZipFile, second: zipfile.ZipFile, a: zipfile.ZipInfo, b: zipfile.ZipInfo
) -> Iterator[Difference]:
    with first.open(a) as a_file, second.open(b) as b_file:
        offset = _first_other_byte(a_file, b_file)
    if offset is not None:
        sizes = f"{a.file_size} bytes" if a.file_size == b.file_size else f"{a.file_size} and {b.file_size} bytes"
        details: tuple[str, ...] = ()
        if max(a.file_size, b.file_size) <= _EXPLAINED:
            details = tuple(_explain(first.read(a), second.read(b)))
        message = f"content differs from byte {offset} on ({sizes})"
        yield Difference(kind="content", member=a.filename, message=message, details=details)
        return
    other = [
        f"{name}: {getattr(a, name)} and {getattr(b, name)}" for name in _ENTRY if getattr(a, name) != getattr(b, name)
    ]
    if other:
        message = "the same content, but another entry in the archive"
        yield Difference(kind="entry", member=a.filename, message=message, details=tuple(other))


def _first_other_byte(first: IO[bytes], second: IO[bytes]) -> int | None:
    """Return where two streams begin to differ; None: nowhere."""
    offset = 0
    while True:
        a, b = first.read(_CHUNK), second.read(_CHUNK)
        if a != b:
            same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
            return offset + same
        if not a:
            return None
        offset += len(a)


def _explain(first: bytes, second: bytes) -> Iterator[str]:
    if first.startswith(b"\x7fELF") and second.startswith(b"\x7fELF"):
        yield from _sections(first, second)
        return
    if b"\0" in first or b"\0" in second:
        return
    try:
        a, b = first.decode("utf-8").splitlines(), second.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return
    lines = difflib.unified_diff(a, b, n=0, lineterm="")
    changed = (line for line in lines if not line.startswith(("---", "+++")))
    yield from (_clip(line) for line in itertools.islice(changed, 2 * _LINES + 1))


def _clip(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _sections(first: bytes, second: bytes) -> Iterator[str]:
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - needed only when something is wrong
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - likewise

    try:
        a, b = (
            {section.name or "(no name)": section.data() for section in ELFFile(io.BytesIO(data)).iter_sections()}
            for data in (first, second)
        )
    except (ELFError, ValueError, KeyError, IndexError) as error:
        yield f"not a sound ELF file: {error}"
        return
    for name in dict.fromkeys([*a, *b]):
        if name not in a or name not in b:
            yield f"section {name}: only in the {'first' if name in a else 'second'}"
        elif a[name] != b[name]:
            offset = _first_other_byte(io.BytesIO(a[name]), io.BytesIO(b[name]))
            sizes = (
                f"{len(a[name])} bytes" if len(a[name]) == len(b[name]) else f"{len(a[name])} and {len(b[name])} bytes"
            )
            yield f"section {name}: differs from byte {offset} on ({sizes}){_text_at(a[name], b[name], offset or 0)}"


def _text_at(first: bytes, second: bytes, offset: int) -> str:
    """Return the strings around an offset, where both are text: build paths and versions show themselves so."""
    found = [_string_around(data, offset) for data in (first, second)]
    return f": {found[0]!r} and {found[1]!r}" if all(found) else ""


def _string_around(data: bytes, offset: int) -> str:
    begin = data.rfind(b"\0", 0, offset) + 1
    end = data.find(b"\0", offset)
    text = data[begin : end if end >= 0 else len(data)]
    return _clip(text.decode("ascii")) if text.isascii() and text.decode("ascii").isprintable() else ""
