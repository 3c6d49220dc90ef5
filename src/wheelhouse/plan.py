"""Jobs and what is known of them in; the jobs to run, in dependency order, each with the reason why, out.

Pure: everything that has to be looked up comes through `Facts`, so a plan can be made of facts that a test invents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal, Protocol

from wheelhouse.builders import Unavailable
from wheelhouse.buildkey import build_key, changes
from wheelhouse.errors import InvalidFileError
from wheelhouse.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from wheelhouse.job import BuilderName, Job

Action = Literal["build", "reuse", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderChoice:
    """Who builds a job, and why."""

    name: BuilderName
    reason: str


class Facts(Protocol):
    """What is known before anything is done."""

    def builder(self, job: Job) -> BuilderChoice | Unavailable:
        """Say who can build the job here."""
        ...

    def inputs(self, job: Job, builder: BuilderName, depends: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return all inputs of the job; None: its source, requirements, dependencies or image were never seen.

        `depends` is build key by id of the jobs that it depends on.
        """
        ...

    def finished(self, key: str) -> bool:
        """Say whether the result of this build key is there."""
        ...

    def latest(self, job: Job) -> Record | None:
        """Return the last record of the job, whatever its outcome."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One job of a plan."""

    job: Job
    action: Action
    reason: str
    builder: BuilderName | None = None
    builder_reason: str = ""
    key: str | None = None
    """None: not known before the source is fetched, build requirements are resolved, system packages installed."""
    changes: tuple[str, ...] = ()
    """Inputs that differ from the last successful build."""
    depends: tuple[str, ...] = ()
    """Ids of the jobs that must be finished first."""
    serves: tuple[str, ...] = ()
    """Build identifiers that this job's wheel serves too: an abi3 one, or one without an extension."""
    hint: str | None = None

    def failed(self, *, started: datetime, seconds: float) -> Record:
        """Return a record of the job with nothing done yet; what was done comes over it."""
        job = self.job
        return Record(
            job=job.id,
            project=job.project,
            version=str(job.version),
            build_number=job.build_number,
            target=str(job.target),
            status="failed",
            builder=self.builder,
            started=started,
            seconds=seconds,
        )

    def to_json(self) -> dict[str, object]:
        """Return what `plan --json` prints."""
        return {
            "job": self.job.id,
            "project": self.job.project,
            "version": str(self.job.version),
            "target": str(self.job.target),
            "action": self.action,
            "reason": self.reason,
            "builder": self.builder,
            "builder_reason": self.builder_reason,
            "key": self.key,
            "changes": list(self.changes),
            "depends": list(self.depends),
            "serves": list(self.serves),
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Jobs in an order in which each comes after those it depends on."""

    entries: tuple[Planned, ...]

    def having(self, action: Action) -> tuple[Planned, ...]:
        """Return the entries with this action."""
        return tuple(entry for entry in self.entries if entry.action == action)

    def with_nothing_reused(self, reason: str) -> Plan:
        """Return the plan with all that is there already to be looked into again, because of what may have changed."""
        again = (replace(e, action="build", reason=reason) if e.action == "reuse" else e for e in self.entries)
        return Plan(tuple(again))


def make_plan(jobs: Iterable[Job], facts: Facts, *, force: bool = False) -> Plan:
    """Decide what to do with each job.

    With `force`, jobs whose result is there are built again. Raises InvalidFileError for a circle of
    dependencies.
    """
    entries = _collapse([_assign(job, facts) for job in jobs])
    # A dependency is needed for the Python and platform of the job itself, or from an abi3 wheel that serves it.
    providers: dict[tuple[str, str], list[Planned]] = {}
    for entry in entries:
        for target in (str(entry.job.target), *entry.serves):
            providers.setdefault((entry.job.project, target), []).append(entry)
    keys: dict[str, str | None] = {}
    finished: dict[str, Planned] = {}
    for entry in _in_order(entries, providers):
        needed = [dep for name in entry.job.depends for dep in providers.get((name, str(entry.job.target)), [])[:1]]
        done = _decide(entry, [finished[dep.job.id] for dep in needed], keys, facts, force=force)
        id_ = done.job.id
        keys[id_] = done.key
        finished[id_] = done
    return Plan(tuple(finished.values()))


def _assign(job: Job, facts: Facts) -> Planned:
    chosen = facts.builder(job)
    if isinstance(chosen, Unavailable):
        return Planned(job=job, action="unavailable", reason=chosen.reason, hint=chosen.hint)
    return Planned(job=job, action="build", reason="", builder=chosen.name, builder_reason=chosen.reason)


def _collapse(entries: list[Planned]) -> list[Planned]:
    """Keep, of the targets that one wheel serves, the lowest Python that can be built for."""
    groups: dict[tuple[str, ...], list[Planned]] = {}
    kept: list[Planned] = []
    for entry in entries:
        shared = _shared_wheel(entry)
        if shared is None:
            kept.append(entry)
        else:
            groups.setdefault(shared, []).append(entry)
    for group in groups.values():
        group.sort(key=lambda entry: entry.job.target.python)
        chosen = next((entry for entry in group if entry.builder), None)
        if chosen is None:
            kept += group
        else:
            kept.append(replace(chosen, serves=tuple(str(e.job.target) for e in group if e is not chosen)))
    return kept


def _shared_wheel(entry: Planned) -> tuple[str, ...] | None:
    """Return what names the wheel that this job and others would make alike; None: its wheel serves no other."""
    job, target = entry.job, entry.job.target
    if not job.extension:  # for any Python on any platform, even those that nothing can be built for here
        return (job.project, str(job.version))
    if job.abi3 and target.implementation == "cp" and not target.freethreaded and entry.builder:
        return (job.project, str(job.version), target.platform_tag)
    return None


def _in_order(entries: list[Planned], providers: Mapping[tuple[str, str], list[Planned]]) -> list[Planned]:
    if not any(entry.job.depends for entry in entries):
        return entries
    by_id = {entry.job.id: entry for entry in entries}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for entry in entries:
        target = str(entry.job.target)
        before = [dep.job.id for name in entry.job.depends for dep in providers.get((name, target), [])[:1]]
        sorter.add(entry.job.id, *before)
    try:
        return [by_id[id_] for id_ in sorter.static_order()]
    except CycleError as error:
        circle = " -> ".join(by_id[id_].job.project for id_ in error.args[1])
        raise InvalidFileError(
            f"recipes depend on each other in a circle: {circle}", hint="take one of them out of depends.build"
        ) from None


def _decide(
    entry: Planned, needed: list[Planned], keys: Mapping[str, str | None], facts: Facts, *, force: bool
) -> Planned:
    if entry.builder is None:
        return entry
    if needed:
        entry = replace(entry, depends=tuple(dep.job.id for dep in needed))
    if missing := next((dep for dep in needed if dep.action == "unavailable"), None):
        reason = f"needs {missing.job.id}: {missing.reason}"
        return replace(entry, action="unavailable", builder=None, reason=reason, hint=missing.hint)
    depends = {dep.job.id: key for dep in needed if (key := keys[dep.job.id]) is not None}
    inputs = facts.inputs(entry.job, _builder(entry), depends) if len(depends) == len(needed) else None
    key = None if inputs is None else build_key(inputs)
    if key is not None and facts.finished(key) and not force:
        return replace(entry, key=key, action="reuse", reason="same inputs")
    reason, differing = _why(facts.latest(entry.job), key, inputs or {})
    return replace(entry, key=key, changes=differing, reason="asked to build again" if force else reason)


def _builder(entry: Planned) -> BuilderName:
    assert entry.builder is not None  # noqa: S101 - the caller looked
    return entry.builder


def _why(last: Record | None, key: str | None, inputs: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Say why a job is built, and which inputs changed since its last record."""
    if last is None:
        return "never built", ()
    differing = tuple(changes(last.inputs, inputs)) if key is not None and last.inputs and last.key != key else ()
    if last.status == "failed":
        return f"failed last time: {last.cause.message if last.cause else 'no cause known'}", differing
    if key is None:
        return "inputs not known before its source, requirements and system packages are fetched", ()
    return ("inputs changed" if differing else "its result is gone"), differing
