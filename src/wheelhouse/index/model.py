"""What the Simple API says of projects and files, the PEP beside each field; to JSON and strictly back.

A manifest is one project's whole state: a server renders pages from it and asks nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import orjson
import pydantic
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    is_normalized_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from wheelhouse.errors import IndexRefusesError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.tags import Tag
    from packaging.utils import BuildTag

API_VERSION = "1.4"
"""PEP 629; 1.4 has the project status of PEP 792."""

Sha256 = NewType("Sha256", str)
"""64 lower-case hex digits: the name of some bytes in the store."""
Policy = Literal["private", "overlay", "mirror"]
"""private: upstream is never asked; overlay: our files, then upstream's; mirror: upstream's only."""
Status = Literal["active", "archived", "quarantined", "deprecated"]
"""PEP 792."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNFIT = re.compile(r"[\x00-\x20\x7f/\\]")
_LONGEST_NAME = 255
_LONGEST_PROJECT = 200  # a store makes longer names of it
#: Tags of wheels with more dots are not remembered: each multiplies their number.
_FEW_DOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """A wheel's or an sdist's filename, parsed (PEP 427, 625)."""

    filename: str
    project: NormalizedName
    version: Version
    kind: Literal["wheel", "sdist"]
    build: BuildTag = ()
    tags: frozenset[Tag] = frozenset()

    @classmethod
    def parse(cls, filename: str) -> FileName:
        """Parse a filename. Raises IndexRefusesError."""
        if len(filename) > _LONGEST_NAME:
            raise IndexRefusesError(f"{filename[:80]}… is too long for the name of a file")
        try:
            if filename.endswith(".whl"):
                head, triple = _cut_tags(filename)
                project, version, build = _head(head)
                tags = _tags(triple) if triple.count(".") <= _FEW_DOTS else _tags.__wrapped__(triple)
                return cls(filename=filename, project=project, version=version, kind="wheel", build=build, tags=tags)
            project, version = parse_sdist_filename(filename)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
            raise IndexRefusesError(
                f"{filename!r} is the filename of neither a wheel nor an sdist",
                hint="PEP 427: name-version[-build]-python-abi-platform.whl; PEP 625: name-version.tar.gz",
            ) from error
        return cls(filename=filename, project=project, version=version, kind="sdist")

    @property
    def place(self) -> tuple[object, ...]:
        """What the name claims: equal for names that are only spelled differently, as `1.0` and `1.0.0`."""
        return (self.project, self.version, self.kind, self.build, self.tags)

    @property
    def order(self) -> tuple[object, ...]:
        """What names are sorted by, so that those of one place are one."""
        return (self.project, self.version, self.kind, self.build, sorted(map(str, self.tags)))


def _cut_tags(filename: str) -> tuple[str, str]:
    """Cut a wheel's name into what says what it is, and where it can be used: `spam-1.0` and `py3-none-any`."""
    head, *tags = filename.removesuffix(".whl").rsplit("-", 3)
    return head, "-".join(tags)


@lru_cache(maxsize=8192)  # the wheels of a release differ in their tags alone, and those of two releases hardly in them
def _head(text: str) -> tuple[NormalizedName, Version, BuildTag]:
    return parse_wheel_filename(f"{text}-py3-none-any.whl")[:3]


@lru_cache(maxsize=4096)
def _tags(text: str) -> frozenset[Tag]:
    return parse_wheel_filename(f"a-0-{text}.whl")[3]


def parse_project(text: str) -> NormalizedName:
    """Return a project's normalised name (PEP 503) for any spelling of it. Raises IndexRefusesError."""
    if len(text) > _LONGEST_PROJECT:
        raise IndexRefusesError(f"{text[:80]}… is too long for the name of a project")
    try:
        return canonicalize_name(text, validate=True)
    except ValueError as error:
        raise IndexRefusesError(
            f"{text[:80]!r} is no project's name",
            hint="letters and digits, with -, _ or . between them (PEP 508)",
        ) from error


def is_sha256(text: str) -> bool:
    """Say whether a text is a sha256 as the store names bytes."""
    return _SHA256.fullmatch(text) is not None


def parse_sha256(text: str) -> Sha256:
    """Return a sha256 in lower case. Raises IndexRefusesError."""
    lower = text.lower()
    if not is_sha256(lower):
        raise IndexRefusesError(f"{text[:80]!r} is no sha256", hint="64 hex digits")
    return Sha256(lower)


def _filename(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME or _UNFIT.search(text) or text.startswith("."):
        raise ValueError("not fit for a file's name in a URL and on a disk")
    return text


def _digest(text: str) -> str:
    if not is_sha256(text):
        raise ValueError("a sha256 is 64 lower-case hex digits")
    return text


def _name(text: str) -> str:
    if not is_normalized_name(text):
        raise ValueError("not a normalised name (PEP 503)")
    return text


@lru_cache(maxsize=1024)  # few texts on very many files
def _specifiers(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError("not a version specifier (PEP 440)") from error
    return text


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)


_Digest = Annotated[Sha256, pydantic.AfterValidator(_digest)]
_SafeName = Annotated[str, pydantic.AfterValidator(_filename)]
_Project = Annotated[NormalizedName, pydantic.AfterValidator(_name)]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class File(_Table):
    """One file of a project."""

    filename: _SafeName
    """PEP 503, the anchor's text; PEP 691 `filename`."""
    version: str
    """Normalised (PEP 440): what PEP 700 `versions` is made of, and the only field that no PEP has on a file."""
    sha256: _Digest
    """PEP 503, the URL's fragment; PEP 691 `hashes`. Also where the store keeps the bytes."""
    size: Annotated[int, pydantic.Field(ge=0)]
    """PEP 700: bytes."""
    upload_time: Annotated[datetime, pydantic.AfterValidator(_utc)]
    """PEP 700: UTC. Always there: clients with a minimum age refuse files that do not say how old they are."""
    hashes: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """PEP 691: further hashes by hashlib's name, hex."""
    requires_python: Annotated[str, pydantic.AfterValidator(_specifiers)] | None = None
    """PEP 503 `data-requires-python`; PEP 691 `requires-python`."""
    yanked: bool | str = False
    """PEP 592: False, True, or why."""
    core_metadata: _Digest | None = None
    """PEP 658 and 714: sha256 of the METADATA file, served at the file's URL + `.metadata`."""
    provenance: _Digest | None = None
    """PEP 740: sha256 of the provenance object, served at the file's URL + `.provenance`."""
    extra: Mapping[str, Any] = pydantic.Field(default_factory=dict)
    """Keys of an upstream's JSON that we do not know, as they were."""

    @property
    def blobs(self) -> tuple[Sha256, ...]:
        """All bytes in the store that this file stands on."""
        found = (self.sha256, self.core_metadata, self.provenance)
        return tuple(digest for digest in found if digest is not None)


class Manifest(_Table):
    """All that the index knows of one project."""

    format: Literal[1] = 1
    name: _Project
    """PEP 503."""
    generation: Annotated[int, pydantic.Field(ge=1)] = 1
    """How many times it was written. The store takes a manifest only if the one before it is the one it has."""
    policy: Policy = "private"
    status: Status = "active"
    """PEP 792."""
    status_reason: str | None = None
    """PEP 792."""
    files: tuple[File, ...] = ()
    """By version, then filename."""
    deleted: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Filename -> sha256 of what was once published: the name is never given to other bytes."""

    def file(self, filename: str) -> File | None:
        """Return a file by its exact name."""
        return next((file for file in self.files if file.filename == filename), None)

    @property
    def versions(self) -> tuple[str, ...]:
        """PEP 700: every version that has a file, oldest first."""
        return tuple(dict.fromkeys(file.version for file in self.files))

    @property
    def offered(self) -> tuple[File, ...]:
        """The files that pages list: none of a quarantined project (PEP 792)."""
        return () if self.status == "quarantined" else self.files

    def changed(self, **fields: Any) -> Manifest:
        """Return the next generation, with these fields."""
        return self.model_copy(update={**fields, "generation": self.generation + 1})

    def with_files(self, files: Iterable[File]) -> Manifest:
        """Return the next generation with exactly these files, in order."""
        return self.changed(files=in_order(files))

    def to_json(self) -> bytes:
        """Return the manifest as one line of JSON."""
        return orjson.dumps(self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format})

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a manifest. Raises ValueError where the bytes are none."""
        return cls.model_validate_json(data)


def in_order(files: Iterable[File]) -> tuple[File, ...]:
    """Sort files as a manifest has them: by version, then filename."""
    return tuple(sorted(files, key=lambda file: (_order(file.version), file.filename)))


@lru_cache(maxsize=8192)  # a manifest is sorted and searched at each of its changes
def parse_version(text: str) -> Version | None:
    """Return a file's version; None: an upstream's that is none by PEP 440."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _order(version: str) -> tuple[bool, Version]:
    parsed = parse_version(version)
    return (parsed is not None, parsed or Version("0"))
