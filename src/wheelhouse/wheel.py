"""A wheel file in, what it says of itself out; and the types of a wheel on its way through the pipeline.

`BuiltWheel -> SealedWheel -> CheckedWheel`: only `check` makes a CheckedWheel, and only that can be published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from wheelhouse.errors import InvalidWheelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from packaging.tags import Tag
    from packaging.utils import BuildTag, NormalizedName
    from packaging.version import Version

    from wheelhouse.finding import Finding
    from wheelhouse.record import Grafted


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A wheel's filename, parsed (PEP 427)."""

    filename: str
    project: NormalizedName
    version: Version
    build: BuildTag
    tags: frozenset[Tag]

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Parse a filename. Raises InvalidWheelError."""
        try:
            project, version, build, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise InvalidWheelError(
                f"{filename} is not a wheel's filename", hint="PEP 427: name-version[-build]-python-abi-platform.whl"
            ) from error
        return cls(filename=filename, project=project, version=version, build=build, tags=tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """What a builder returns: built and repaired, in a folder of its own."""

    path: Path
    details: Mapping[str, Any]
    """For the record: image, compiler, engine, Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedWheel:
    """With the build key inside, its build tag set, and its archive normalised: these are the bytes to publish."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWheel:
    """A wheel without findings of severity error."""

    path: Path
    sha256: str
    size: int
    findings: tuple[Finding, ...]
    grafted: tuple[Grafted, ...]
    executed: bool
    """Whether the import test ran on it."""


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
