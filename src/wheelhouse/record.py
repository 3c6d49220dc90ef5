"""The JSON account of one job: written atomically, read back strictly.

Inputs, key, tools, timings, grafted libraries, findings, hashes: what `plan`, `log`, pages and provenance read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson
import pydantic

from wheelhouse.finding import Finding

SCHEMA = 1
FILE_NAME = "record.json"
LOG_NAME = "log.txt"
PROVENANCE_NAME = "provenance.json"


class _Table(pydantic.BaseModel):
    # Most are parts of a record and never validate by themselves.
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Grafted(_Table):
    """A shared library that auditwheel copied into the wheel."""

    name: str
    """As it was on the machine, without auditwheel's hash, e.g. `libpq.so.5.15`."""
    path: str
    """Where it is inside the wheel."""
    size: int
    """Bytes, uncompressed."""
    package: str | None = None
    """The system package it came from, where a SBOM or the package manager knows."""
    licence: str | None = None
    purl: str | None = None
    """The package as scanners name it, e.g. `pkg:deb/debian/libpq5@15.8-0`."""
    sha256: str | None = None
    """Of the library as it is in the wheel."""


class Pinned(_Table):
    """Something that went into a build, by its hash."""

    name: str
    version: str = ""
    sha256: str
    url: str | None = None
    """Where it came from, where that is an address that others can reach."""


class Recipe(_Table):
    """The recipe in its git repository."""

    commit: str
    path: str
    """From the repository's root."""
    url: str | None = None
    """The repository's address."""
    changed: bool = False
    """The folder had changes that were not committed."""


class Origin(_Table):
    """Where a wheel came from, beyond the inputs that its key is made of: what its provenance says."""

    source: Pinned
    patches: tuple[Pinned, ...] = ()
    requirements: tuple[Pinned, ...] = ()
    """Build requirements as resolved."""
    recipe: Recipe | None = None
    """None: it is in no git repository."""
    builder: str
    """Who built, as a URI: what SLSA calls the builder's id."""
    invocation: str
    """This very build: the address of a CI run; else the build key."""
    wheelhouse: str
    """Its version."""


class WheelFile(_Table):
    """A finished wheel."""

    filename: str
    sha256: str
    size: int
    """Bytes."""


class Cause(_Table):
    """Why a job failed, in words, and what would mend it."""

    kind: str
    """E.g. `missing-header`, `timeout`, `no-python`, `check`; `unknown` where nothing was recognised."""
    message: str
    mend: tuple[str, ...] = ()
    """Lines for the recipe or commands, best first, e.g. `system-packages.debian: libldap-dev`."""
    evidence: str | None = None
    """The line of the log that told."""


class Record(_Table):
    """The account of one job, whatever its outcome."""

    format: int = SCHEMA
    job: str
    project: str
    version: str
    build_number: int = 0
    target: str
    status: Literal["built", "failed"]
    key: str | None = None
    """None where the job failed before its inputs were known."""
    inputs: Mapping[str, str] = pydantic.Field(default_factory=dict)
    builder: str | None = None
    epoch: int | None = None
    """SOURCE_DATE_EPOCH of the build, seconds."""
    started: datetime
    """UTC."""
    seconds: float
    timings: Mapping[str, float] = pydantic.Field(default_factory=dict)
    """Seconds a stage, in order."""
    wheel: WheelFile | None = None
    grafted: tuple[Grafted, ...] = ()
    findings: tuple[Finding, ...] = ()
    executed: bool | None = None
    """Whether the import test ran; False: built for a machine that is not here, and not executed."""
    cause: Cause | None = None
    origin: Origin | None = None
    """None: built elsewhere, or not built."""
    details: Mapping[str, Any] = pydantic.Field(default_factory=dict)
    """What else a builder wants known: image, compiler, engine."""

    def to_json(self) -> bytes:
        """Return the record as indented JSON with a newline at its end."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read_record(path: Path) -> Record | None:
    """Read a record; None where there is none, or where it is not one (a torn or foreign file counts as not there)."""
    with suppress(OSError, pydantic.ValidationError):
        return Record.model_validate_json(path.read_bytes())
    return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old bytes or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
