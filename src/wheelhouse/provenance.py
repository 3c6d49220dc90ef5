"""A record in, its provenance out: an in-toto Statement (v1) with SLSA's provenance (v1) as predicate; and read back.

docs/provenance.md says what stands in the parameters, as SLSA asks of whoever names a build type.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import pydantic
from pydantic.alias_generators import to_camel

from wheelhouse.buildkey import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.record import Origin, Pinned, Record

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "pkg:pypi/wheelhouse#build/v1"
_SHA256 = "sha256"


class _Part(pydantic.BaseModel):
    """A part of a statement. Keys that are not known here are let pass: the standards grow."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,  # only the whole validates by itself
    )


class Descriptor(_Part):
    """in-toto's ResourceDescriptor: something, and the hash of it."""

    name: str | None = None
    uri: str | None = None
    digest: Mapping[str, str] = pydantic.Field(default_factory=dict)
    download_location: str | None = None
    annotations: Mapping[str, Any] | None = None


class Builder(_Part):
    """Who is trusted to have carried out the build as it says."""

    id: str
    version: Mapping[str, str] | None = None


class Metadata(_Part):
    """Of this very build."""

    invocation_id: str | None = None
    started_on: str | None = None
    finished_on: str | None = None


class BuildDefinition(_Part):
    """What was asked for, and all that went in."""

    build_type: str
    external_parameters: Mapping[str, Any]
    internal_parameters: Mapping[str, Any] | None = None
    resolved_dependencies: tuple[Descriptor, ...] = ()


class RunDetails(_Part):
    """Who built, and when."""

    builder: Builder
    metadata: Metadata | None = None


class Predicate(_Part):
    """SLSA provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(_Part):
    """An in-toto statement about a build."""

    type: Literal["https://in-toto.io/Statement/v1"] = pydantic.Field(
        default="https://in-toto.io/Statement/v1", alias="_type"
    )
    subject: tuple[Descriptor, ...]
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = "https://slsa.dev/provenance/v1"
    predicate: Predicate

    def to_json(self) -> bytes:
        """Return the statement as indented JSON, sorted, with a newline at its end."""
        import orjson  # noqa: PLC0415 - start-up time

        options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps(self.model_dump(mode="json", by_alias=True, exclude_none=True), option=options)

    @property
    def definition(self) -> BuildDefinition:
        """What went in."""
        return self.predicate.build_definition

    def is_of(self, filename: str, sha256: str) -> bool:
        """Say whether a file is a subject of it: by its bytes and its name."""
        return any(one.name == filename and one.digest.get(_SHA256) == sha256 for one in self.subject)

    def digests(self, role: str) -> tuple[str, ...]:
        """Return the hashes of what went in as `source`, `patch`, `recipe`, `image`, `build-requirement`, `grafted`."""
        return tuple(
            digest
            for one in self.definition.resolved_dependencies
            if (one.annotations or {}).get("role") == role
            for digest in one.digest.values()
        )

    def internal(self, name: str) -> Any:
        """Return one of our internal parameters; None where another builder's statement has none."""
        return (self.definition.internal_parameters or {}).get(name)


def read_statement(data: bytes) -> Statement:
    """Read a statement of any builder. Raises ValueError where it is none."""
    return Statement.model_validate_json(data)


def statement(record: Record) -> Statement | None:
    """Return the provenance of a built wheel; None where nothing is known of its origin: it was not built here."""
    if record.wheel is None or record.origin is None:
        return None
    origin = record.origin
    finished = record.started + timedelta(seconds=record.seconds)
    tools = {name.removeprefix("tool."): value for name, value in record.inputs.items() if name.startswith("tool.")}
    return Statement(
        subject=(Descriptor(name=record.wheel.filename, digest={_SHA256: record.wheel.sha256}),),
        predicate=Predicate(
            build_definition=BuildDefinition(
                build_type=BUILD_TYPE,
                external_parameters={
                    "project": record.project,
                    "version": record.version,
                    "buildNumber": record.build_number,
                    "target": record.target,
                    "builder": record.builder,
                },
                internal_parameters={
                    "key": record.key,
                    "keyFormat": FORMAT,
                    "sourceDateEpoch": record.epoch,
                    "inputs": dict(record.inputs),
                },
                resolved_dependencies=tuple(_dependencies(record, origin)),
            ),
            run_details=RunDetails(
                builder=Builder(id=origin.builder, version={"wheelhouse": origin.wheelhouse, **tools}),
                metadata=Metadata(
                    invocation_id=origin.invocation,
                    started_on=record.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
                    finished_on=finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
                ),
            ),
        ),
    )


def _dependencies(record: Record, origin: Origin) -> Iterator[Descriptor]:
    """Yield all that went in and has a hash: source, patches, recipe, image, build requirements, grafted libraries."""
    yield _pinned(origin.source, role="source")
    for patch in origin.patches:
        yield Descriptor(name=patch.name, digest={_SHA256: patch.sha256}, annotations={"role": "patch"})
    if origin.recipe is not None:
        yield Descriptor(
            name=origin.recipe.path,
            uri=origin.recipe.url,
            digest={"gitCommit": origin.recipe.commit},
            annotations={"role": "recipe", **({"uncommittedChanges": True} if origin.recipe.changed else {})},
        )
    if digest := record.inputs.get("image.digest"):
        algorithm, _, value = digest.partition(":")
        yield Descriptor(
            name=str(record.details.get("image", "image")), digest={algorithm: value}, annotations={"role": "image"}
        )
    for requirement in origin.requirements:
        yield _pinned(requirement, role="build-requirement")
    for library in record.grafted:
        if library.sha256:
            yield Descriptor(
                name=library.name,
                uri=library.purl,
                digest={_SHA256: library.sha256},
                annotations={"role": "grafted", "path": library.path},
            )


def _pinned(one: Pinned, *, role: str) -> Descriptor:
    return Descriptor(
        name=one.name,
        uri=f"pkg:pypi/{quote(one.name)}@{quote(one.version)}",
        digest={_SHA256: one.sha256},
        download_location=one.url,
        annotations={"role": role},
    )
