"""What a workspace remembers in, the planner's `Facts` out: no process for what is known, no network at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse import requirements, source
from wheelhouse.builders import Unavailable
from wheelhouse.plan import BuilderChoice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders import Builder
    from wheelhouse.config import BuilderChoice as BuilderSetting
    from wheelhouse.config import Workspace
    from wheelhouse.job import BuilderName, Job, SourceSpec
    from wheelhouse.record import Record
    from wheelhouse.requirements import Lock
    from wheelhouse.results import Results
    from wheelhouse.source import SourceFacts
    from wheelhouse.target import BuildIdentifier

#: Why a builder was chosen that the user named.
ASKED_FOR = "asked for"
_NO_PURE_WHEELS = Unavailable(
    reason="cibuildwheel makes no wheels without an extension", hint="build with --builder host"
)


class KnownFacts:
    """Facts of a workspace and this machine."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        results: Results,
        builders: Mapping[BuilderName, Builder],
        setting: BuilderSetting,
        index: str | None,
    ) -> None:
        """Take what to look at: `setting` is `--builder`, `index` the configured index or None for the default one."""
        self._workspace = workspace
        self._results = results
        self._builders = builders
        self._setting = setting
        self._index = index
        self._sources: dict[str, SourceFacts | None] = {}
        self._choices: dict[tuple[BuildIdentifier, bool], BuilderChoice | Unavailable] = {}
        self._recorded = results.recorded()

    def builder(self, job: Job) -> BuilderChoice | Unavailable:
        """Choose the builder: what was asked for, else containers where they can be had, else the host."""
        asked = (job.target, job.extension)
        if asked not in self._choices:
            self._choices[asked] = self._choose(*asked)
        return self._choices[asked]

    def _choose(self, target: BuildIdentifier, extension: bool) -> BuilderChoice | Unavailable:  # noqa: FBT001 - as asked
        pure = None if extension else _NO_PURE_WHEELS
        if self._setting != "auto":
            problem = pure if self._setting == "cibuildwheel" else None
            return (
                problem
                or self._builders[self._setting].unavailable(target)
                or BuilderChoice(name=self._setting, reason=ASKED_FOR)
            )
        container = pure or self._builders["cibuildwheel"].unavailable(target)
        if container is None:
            return BuilderChoice(name="cibuildwheel", reason="a container engine and an image are here")
        host = self._builders["host"].unavailable(target)
        if host is None:
            return BuilderChoice(name="host", reason=container.reason)
        return Unavailable(
            reason=f"no container: {container.reason}; not on this machine itself: {host.reason}",
            hint=host.hint or container.hint,
        )

    def inputs(self, job: Job, builder: BuilderName, depends: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the job's inputs, where its source and its requirements have been seen before."""
        facts = self._source(job.source)
        wheels = self.wheels(depends)
        if facts is None or wheels is None:
            return None
        lock = requirements.remembered(
            facts,
            job,
            state_locks=self._workspace.locks,
            index=self._index,
            own_wheels=wheels,
            machine=self._builders[builder].runs_on(job.target),
        )
        return None if lock is None else job_inputs(job, self._builders[builder], lock, depends)

    def _source(self, spec: SourceSpec) -> SourceFacts | None:
        """Return what is remembered of a source: looked up once for all targets of a version."""
        digest = spec.digest
        if digest not in self._sources:
            self._sources[digest] = source.remembered_facts(spec, cache=self._workspace.cache)
        return self._sources[digest]

    def wheels(self, depends: Mapping[str, str]) -> list[Path] | None:
        """Return the wheels of the jobs with these keys; None where one is not there."""
        records = [self._results.record(key) for key in depends.values()]
        if any(record is None or record.wheel is None for record in records):
            return None
        return [self._results.wheel(record) for record in records if record is not None]

    def finished(self, key: str) -> bool:
        """Say whether the result of this build key is there."""
        return self._results.finished(key)

    def latest(self, job: Job) -> Record | None:
        """Return the last record of the job."""
        return self._results.latest(job.id) if job.id in self._recorded else None


def job_inputs(job: Job, builder: Builder, lock: Lock, depends: Mapping[str, str]) -> dict[str, str] | None:
    """Return everything that determines the job's output, name by name; None: not known before `builder.prepare`."""
    machine = builder.inputs(job)
    if machine is None:
        return None
    return {
        "target": str(job.target),
        "builder": builder.name,
        **job.recipe_inputs(),
        **machine,
        **lock.inputs(),
        **{f"depends.{id_}": key for id_, key in depends.items()},
    }
