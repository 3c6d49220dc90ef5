"""Fakes of our own protocols, and short ways to values that tests need."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from wheelhouse.builders import Unavailable
from wheelhouse.job import Job, SourceSpec
from wheelhouse.plan import BuilderChoice
from wheelhouse.record import Cause, Record, WheelFile
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.job import BuilderName

HASH = "0" * 64


def a_job(
    project: str = "spam",
    version: str = "1.0",
    target: str = "cp311-manylinux_x86_64",
    *,
    depends: tuple[str, ...] = (),
    abi3: bool = False,
) -> Job:
    name = canonicalize_name(project)
    return Job(
        project=name,
        version=Version(version),
        build_number=0,
        target=BuildIdentifier.parse(target),
        source=SourceSpec(project=name, version=Version(version), sha256=HASH, url=None),
        abi3=abi3,
        depends=tuple(canonicalize_name(depend) for depend in depends),
    )


def a_record(
    job: Job, *, key: str | None = None, status: str = "built", inputs: Mapping[str, str] | None = None
) -> Record:
    built = status == "built"
    return Record(
        job=job.id,
        project=job.project,
        version=str(job.version),
        target=str(job.target),
        status="built" if built else "failed",
        key=key,
        inputs=inputs or {},
        started=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1.0,
        wheel=WheelFile(filename=f"{job.project}-{job.version}-py3-none-any.whl", sha256=HASH, size=1)
        if built
        else None,
        executed=True if built else None,
        cause=None if built else Cause(kind="unknown", message="it broke"),
    )


@dataclass
class FakeFacts:
    """Facts that a test invents."""

    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Inputs by job id; a job that is not in it was never seen."""
    results: frozenset[str] = frozenset()
    """Keys whose results are there."""
    records: Mapping[str, Record] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Why, by build identifier."""

    def builder(self, job: Job) -> BuilderChoice | Unavailable:
        if reason := self.cannot.get(str(job.target)):
            return Unavailable(reason=reason)
        return BuilderChoice(name="host", reason="it is a test")

    def inputs(self, job: Job, builder: BuilderName, depends: Mapping[str, str]) -> Mapping[str, str] | None:
        own = self.known.get(job.id)
        return None if own is None else {**own, **{f"depends.{id_}": key for id_, key in depends.items()}}

    def finished(self, key: str) -> bool:
        return key in self.results

    def latest(self, job: Job) -> Record | None:
        return self.records.get(job.id)

    def with_results(self, *keys: str | None) -> FakeFacts:
        return replace(self, results=self.results | {key for key in keys if key is not None})
