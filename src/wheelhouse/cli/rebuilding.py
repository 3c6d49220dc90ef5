"""A wheel that wheelhouse built in; whether this machine builds the same bytes from the registry out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from wheelhouse.cli.build import make_pipeline
from wheelhouse.cli.selecting import Selected, make_builders, plan_for
from wheelhouse.errors import InvalidFileError, MachineError, UsageError
from wheelhouse.seal import read_note
from wheelhouse.verify import Code

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.cli.session import Session
    from wheelhouse.config import BuilderChoice
    from wheelhouse.finding import Finding
    from wheelhouse.plan import Planned
    from wheelhouse.provenance import Statement
    from wheelhouse.record import Record
    from wheelhouse.requirements import Lock
    from wheelhouse.results import Results


def rebuild(session: Session, wheel: Path, told: Statement | None) -> Finding:
    """Build the job that a wheel names, and say what came of it.

    `told` is its provenance: it has the builder, and the build requirements by their hashes.
    """
    from dataclasses import replace  # noqa: PLC0415 - start-up time
    from datetime import UTC, datetime  # noqa: PLC0415 - likewise

    from wheelhouse.cli.display import Display  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise
    from wheelhouse.workplace import sweep  # noqa: PLC0415 - likewise

    job = read_note(wheel).get("job")
    if not isinstance(job, str):
        return Code.NOT_REBUILT.finding("it names no job: wheelhouse did not build it")
    selected = Selected(
        packages=(), everything=False, all_versions=False, pythons=(), archs=(), only=(), builder=_builder(told)
    )
    processes, results = Processes(), Results(session.workspace)
    try:
        builders = make_builders(session, selected, processes)
        plan = plan_for(session, selected, builders=builders, results=results, job_ids=(job,))
        entry = next(one for one in plan.entries if one.job.id == job)
        dependencies = _dependencies(entry, results)
    except (UsageError, InvalidFileError, MachineError) as error:
        return Code.NOT_REBUILT.finding(str(error), hint=error.hint)
    if entry.action == "unavailable":
        return Code.NOT_REBUILT.finding(f"it cannot be built here: {entry.reason}", hint=entry.hint)
    sweep()
    display = Display(session.talk, begun=datetime.now(UTC))
    pipeline = make_pipeline(session, display, results=results, builders=builders, processes=processes)
    inputs = told.internal("inputs") if told is not None else None
    record = pipeline.rebuild(
        replace(entry, action="build"),
        wheel,
        dependencies=dependencies,
        inputs=inputs if isinstance(inputs, dict) else None,
        lock=_lock(told),
    )
    if record.cause is None:
        return Code.SAME_BYTES.finding(f"built again by the {entry.builder} builder: the same bytes")
    kind = Code.OTHER_BYTES if record.cause.kind == "not-reproducible" else Code.NOT_REBUILT
    return kind.finding(record.cause.message, hint=next(iter(record.cause.mend), None))


def _builder(told: Statement | None) -> BuilderChoice | None:
    """Return the builder that built it; None: this machine's choice."""
    said = told.definition.external_parameters.get("builder") if told is not None else None
    return next((name for name in _BUILDERS if name == said), None)


_BUILDERS: tuple[BuilderChoice, ...] = ("host", "cibuildwheel")


def _dependencies(entry: Planned, results: Results) -> list[Record]:
    """Return the results that the job builds on. Raises UsageError where one is not there."""
    records = [results.latest(id_) for id_ in entry.depends]
    missing = [id_ for id_, record in zip(entry.depends, records, strict=True) if record is None or not record.wheel]
    if missing:
        raise UsageError(f"it builds on {', '.join(missing)}, not built here", hint="`wheelhouse build` them first")
    return [record for record in records if record is not None]


def _lock(told: Statement | None) -> Lock | None:
    """Return the build requirements as they were; None where the provenance does not say where each is to be had."""
    from wheelhouse.requirements.lock import Lock, Pin  # noqa: PLC0415 - start-up time

    pins = []
    for one in told.definition.resolved_dependencies if told is not None else ():
        if (one.annotations or {}).get("role") != "build-requirement":
            continue
        url, name, digest = one.download_location, one.name, one.digest.get("sha256")
        if not url or not name or not digest or urlsplit(url).scheme not in {"http", "https"}:
            return None
        filename = unquote(urlsplit(url).path.rpartition("/")[2])
        version = unquote((one.uri or "").rpartition("@")[2])
        pins.append(Pin(name=name, version=version, filename=filename, sha256=digest, url=url))
    return Lock(pins=tuple(pins)) if told is not None else None
