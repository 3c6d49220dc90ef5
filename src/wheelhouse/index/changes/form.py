"""The body of an upload in, its fields and one file out: multipart/form-data as it streams in.

The fields, which are few and short, are kept in memory, and so is a small file: it may be refused before it has cost
the disk anything. A large one goes to the disk as it comes, and is hashed on its way.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from wheelhouse.errors import IndexRefusesError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import BinaryIO

#: The field that holds the file, in the upload API that twine speaks.
CONTENT = "content"
SMALL = 256 * 1024
"""Bytes of a file that is kept in memory; of a larger one, so many go to the disk at once."""
_PIECE = 1 << 20
_MOST_FIELDS = 2_000
_FIELD_BYTES = 4 << 20
"""Of all fields together: a description can be long, `Requires-Dist` can be many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form, read to its end."""

    fields: Mapping[str, tuple[str, ...]]
    filename: str
    """As the client said it; nothing has looked at it yet."""
    size: int
    file: BinaryIO
    """The file, on the disk where it is large."""
    hashes: dict[str, _Hash]
    """Those that were made on the way, and since."""
    refused: IndexRefusesError | None = None
    """Why the file is not there, in a form of many."""

    @property
    def small(self) -> bytes | None:
        """The file, if it is in memory."""
        return self.file.getvalue() if isinstance(self.file, BytesIO) else None

    def first(self, name: str) -> str | None:
        """Return a field's first value."""
        return next(iter(self.fields.get(name, ())), None)

    def digest(self, kind: str) -> str:
        """Return a hash of the file, in hex, by the names that the fields of the upload API have."""
        made = self.hashes.get(kind)
        if made is None:
            made = self.hashes[kind] = HASHES[kind]()
            self.file.seek(0)
            while data := self.file.read(_PIECE):
                made.update(data)
        return made.hexdigest()


async def read_form(
    body: AsyncIterator[bytes], *, content_type: str, spill: Callable[[], BinaryIO], limit: int
) -> Form:
    """Read a form with one file in it; one that is too large for memory is written to what `spill` opens.

    Raises IndexRefusesError for what is no such form, and for a file of more than `limit` bytes.
    """
    parts = _Parts(limit=limit, spill=spill)
    await _parse(body, content_type, parts)
    if parts.file is not None:
        await asyncio.to_thread(parts.write)
    return parts.form()


async def read_forms(
    body: AsyncIterator[bytes], *, content_type: str, limit: int, most: int, most_bytes: int
) -> list[Form]:
    """Read a form with up to `most` files in it, all of which stay in memory; the fields before a file are the file's.

    A file of more than `limit` bytes is refused by itself. Raises IndexRefusesError for what is no such form, and for
    more than `most_bytes` together.
    """
    parts = _ManyParts(limit=limit, spill=None, most=most)
    await _parse(_bounded(body, most_bytes), content_type, parts)
    return parts.all()


async def _bounded(body: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    left = most
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise IndexRefusesError(f"the form has more than {most} bytes", hint="send the files in several requests")
        yield chunk


async def _parse(body: AsyncIterator[bytes], content_type: str, parts: _Parts) -> None:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise IndexRefusesError("an upload is multipart/form-data", hint="twine and `uv publish` send it so")
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        async for chunk in body:
            parser.write(chunk)
            if parts.spill is not None and len(parts.waiting) > SMALL:
                await asyncio.to_thread(parts.write)
        parser.finalize()
    except FormParserError as error:
        raise IndexRefusesError("the form is damaged: no multipart/form-data of this boundary") from error
    if not parts.finished:
        raise IndexRefusesError("the form breaks off before its end")


class _Hash(Protocol):
    """What all hashes of hashlib can do."""

    def update(self, data: bytes | bytearray, /) -> None: ...
    def hexdigest(self) -> str: ...


HASHES: Mapping[str, Callable[[], _Hash]] = {
    "sha256": hashlib.sha256,
    "md5": partial(hashlib.md5, usedforsecurity=False),
    "blake2_256": partial(hashlib.blake2b, digest_size=32),
}
"""What a client may say of its file, in the field of this name with `_digest` at its end."""


@dataclass(slots=True, kw_only=True)
class _Parts:
    """What the parser has told so far."""

    limit: int
    spill: Callable[[], BinaryIO] | None
    """Opens a file on the disk; None: all stays in memory."""
    waiting: bytearray = field(default_factory=bytearray)
    """Bytes of the file that are not on the disk."""
    file: BinaryIO | None = None
    """Where the file is, if it is large."""
    finished: bool = False
    _fields: dict[str, list[str]] = field(default_factory=dict)
    _filename: str | None = None
    _size: int = 0
    _field_bytes: int = 0
    _values: int = 0
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)
    _in_file: bool = False
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _disposition: bytes = b""
    _hashes: dict[str, _Hash] = field(default_factory=dict)

    def begin(self) -> None:
        self._name, self._disposition, self._in_file = "", b"", False
        self._value.clear()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def headers_end(self) -> None:
        name, filename = _named(self._disposition)
        if not name:
            raise IndexRefusesError("a part of the form has no name")
        self._name = name
        if name == CONTENT:
            if self._filename is not None:
                raise IndexRefusesError("the form holds more than one file")
            self._filename, self._in_file = filename, True

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._size += end - start
            if self._size <= self.limit:
                self.waiting += data[start:end]
            else:
                self.too_large()
            return
        self._field_bytes += end - start
        if self._field_bytes > _FIELD_BYTES:
            raise IndexRefusesError(f"the fields of the form have more than {_FIELD_BYTES} bytes")
        self._value += data[start:end]

    def end(self) -> None:
        if self._in_file:
            return
        self._fields.setdefault(self._name, []).append(_text(bytes(self._value)))
        self._values += 1
        if self._values > _MOST_FIELDS:
            raise IndexRefusesError(f"the form has more than {_MOST_FIELDS} fields")

    def finish(self) -> None:
        self.finished = True

    def too_large(self) -> None:
        raise self.of_limit()

    def of_limit(self) -> IndexRefusesError:
        return IndexRefusesError(
            f"the file has more than {self.limit} bytes", hint="`serve.max-upload` in wheelhouse.toml sets the limit"
        )

    def write(self) -> None:
        """Bring what is in memory to the disk. Hashes are made of it that are claimed, as far as that is known."""
        if self.file is None:
            assert self.spill is not None  # noqa: S101 - else nobody asks
            self.file = self.spill()
            claimed = (kind for kind in HASHES if f"{kind}_digest" in self._fields)
            self._hashes = {kind: HASHES[kind]() for kind in dict.fromkeys(("sha256", *claimed))}
        self.file.write(self.waiting)
        for digest in self._hashes.values():
            digest.update(self.waiting)
        self.waiting.clear()

    def form(self) -> Form:
        if self._filename is None:
            raise IndexRefusesError(f"the form has no file: the field `{CONTENT}` is missing")
        return Form(
            fields={name: tuple(values) for name, values in self._fields.items()},
            filename=self._filename,
            size=self._size,
            file=BytesIO(bytes(self.waiting)) if self.file is None else self.file,
            hashes={**self._hashes},
            refused=self.of_limit() if self._size > self.limit else None,
        )


@dataclass(slots=True, kw_only=True)
class _ManyParts(_Parts):
    """The same of a form with many files: what is told of one is set aside at its end."""

    most: int
    _forms: list[Form] = field(default_factory=list)

    def too_large(self) -> None:
        """Take no more of this one; the others can do nothing for it."""
        self.waiting.clear()

    def end(self) -> None:
        _Parts.end(self)
        if not self._in_file:
            return
        if len(self._forms) == self.most:
            raise IndexRefusesError(f"the form holds more than {self.most} files", hint="send them in several requests")
        self._forms.append(self.form())
        self._fields, self._filename = {}, None
        self._size = 0
        self.waiting = bytearray()

    def all(self) -> list[Form]:
        if self._fields:
            raise IndexRefusesError("the form ends with fields that belong to no file")
        if not self._forms:
            raise IndexRefusesError(f"the form has no file: the field `{CONTENT}` is missing")
        return self._forms


@lru_cache(maxsize=256)  # every upload has the same fields
def _named(disposition: bytes) -> tuple[str, str]:
    """Return the name of a part, and the filename that it has."""
    _, options = parse_options_header(disposition)
    return _text(options.get(b"name", b"")), _text(options.get(b"filename", b""))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise IndexRefusesError("the form is not in UTF-8") from None
