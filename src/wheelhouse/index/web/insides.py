"""A wheel in the store in, the libraries that were grafted into it out, and whose they are by its SBOM.

Only the archive's directory and the SBOMs are read, by ranges, within bounds: a wheel may be large, hostile or damaged.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from wheelhouse.errors import NotOnIndexError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.stores.store import Store

#: auditwheel: `<project>.libs/`, formerly `<package>/.libs/`; delocate: `.dylibs/`.
_FOLDER = re.compile(r"(^|/)[^/]*\.(?:libs|dylibs)/[^/]+$")
#: auditwheel puts eight hex digits of the library's hash into its name, delvewheel more.
_HASH = re.compile(r"-(?:[0-9a-f]{8}|[0-9a-f]{32,64})(?=\.)")
_SBOM = re.compile(r"[^/]+\.dist-info/sboms/[^/]+\.json")
_MOST_READ = 8 << 20
_MOST_SBOM = 1 << 20
_MOST_SBOMS = 8
_BUFFER = 64 << 10
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One shared library inside one wheel."""

    name: str
    """As it was on the machine that built, without auditwheel's hash."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Something that an SBOM says is in the wheel."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Insides:
    """What was found in one wheel."""

    libraries: tuple[Library, ...] = ()
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grafted:
    """A library over all wheels of a version."""

    name: str
    wheels: tuple[str, ...]
    """Filenames of those that have it."""
    smallest: int
    largest: int
    """Bytes."""


def look_inside(opened: Callable[[], IO[bytes]]) -> Insides | None:
    """Read what was grafted into a wheel; None: its bytes are not here, or no archive that can be read."""
    try:
        with opened() as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            libraries = [
                Library(name=_HASH.sub("", member.filename.rpartition("/")[2]), size=member.file_size)
                for member in members
                if _FOLDER.search(member.filename)
            ]
            sboms = [m for m in members if _SBOM.fullmatch(m.filename) and m.file_size <= _MOST_SBOM][:_MOST_SBOMS]
            components = {component for sbom in sboms for component in parse_sbom(archive.read(sbom))}
    except (*_DAMAGED, NotOnIndexError, FileNotFoundError):
        return None
    return Insides(
        libraries=tuple(sorted(libraries, key=lambda library: library.name)),
        components=tuple(sorted(components, key=lambda component: (component.name, component.version))),
    )


def grafted_in(found: Mapping[str, Insides]) -> tuple[Grafted, ...]:
    """Put together what several wheels, by filename, have in them."""
    places: dict[str, dict[str, int]] = {}
    for filename, insides in found.items():
        for library in insides.libraries:
            places.setdefault(library.name, {})[filename] = library.size
    return tuple(
        Grafted(name=name, wheels=tuple(wheels), smallest=min(wheels.values()), largest=max(wheels.values()))
        for name, wheels in sorted(places.items())
    )


def parse_sbom(data: bytes) -> Iterator[Component]:
    """Yield the libraries that a CycloneDX document names (PEP 770); nothing for what is none."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    listed = document.get("components") if isinstance(document, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            version = entry.get("version")
            yield Component(
                name=entry["name"],
                version=version if isinstance(version, str) else "",
                licence=" AND ".join(_licences(entry.get("licenses"))),
            )


def _licences(listed: Any) -> Iterable[str]:
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict):
            continue
        inner = entry.get("license")
        text = entry.get("expression") or (isinstance(inner, dict) and (inner.get("id") or inner.get("name")))
        if isinstance(text, str) and text:
            yield text


def open_blob(store: Store, sha256: Sha256, size: int) -> IO[bytes]:
    """Open a blob of a store as a file."""
    path = store.local_path(sha256)
    if path is not None:
        return path.open("rb")
    return io.BufferedReader(_Stored(store, sha256, size), _BUFFER)


class _Stored(io.RawIOBase):
    """A blob of a store as a file that can be read anywhere, up to a bound on the whole."""

    def __init__(self, store: Store, sha256: Sha256, size: int) -> None:
        self._store, self._sha256, self._size = store, sha256, size
        self._at = 0
        self._left = _MOST_READ

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        self._left -= end - self._at
        if self._left < 0:
            raise ValueError("more would have to be read than this page is worth")
        data = b"".join(self._store.open_range(self._sha256, self._at, end))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
