"""A planned job in, its record out: source, requirements, build, seal, check, trial, commit.

One job's failure is a record with a cause, never an exception; only a stopped run raises.
"""

from __future__ import annotations

import shutil
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse import check, provenance, requirements, sbom, seal, source, trial
from wheelhouse.builders import BuildRequest
from wheelhouse.buildkey import build_key
from wheelhouse.errors import BuildTimeoutError, CanceledError, MachineError, WheelhouseError
from wheelhouse.facts import job_inputs
from wheelhouse.joblog import JobLog
from wheelhouse.origin import find_origin
from wheelhouse.owners import with_owners
from wheelhouse.process import Failure
from wheelhouse.record import Cause, Record, WheelFile
from wheelhouse.reproduction import Known
from wheelhouse.results import provenance_beside
from wheelhouse.wheel import SealedWheel, sha256_of
from wheelhouse.workplace import workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wheelhouse.builders import Builder
    from wheelhouse.config import Workspace
    from wheelhouse.diagnose import PackageLookup
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.joblog import Observer
    from wheelhouse.plan import Planned
    from wheelhouse.process import Processes
    from wheelhouse.record import Origin
    from wheelhouse.requirements import Lock
    from wheelhouse.results import Results
    from wheelhouse.source import SourceTree
    from wheelhouse.wheel import CheckedWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What every job of a run shares."""

    workspace: Workspace
    results: Results
    builders: Mapping[BuilderName, Builder]
    surroundings: trial.Surroundings
    lookup: PackageLookup
    processes: Processes
    observer: Observer
    index: Callable[[], str]
    """Where sources and what tests need come from."""
    resolver_index: str | None
    """Where build requirements come from; None: where uv looks by itself."""
    upgrade: bool = False
    """Resolve build requirements anew."""
    force: bool = False
    """Build although the result is there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What tells of the CI run that this is, for the provenance."""

    def run(self, entry: Planned, dependencies: Sequence[Record] = ()) -> Record:
        """Carry out one job and keep its result and record.

        Raises CanceledError when the run is stopped; everything else that goes wrong is in the record.
        """
        return _Attempt(self, entry, dependencies).run()

    def verify(self, entry: Planned, before: Record, dependencies: Sequence[Record] = ()) -> Record:
        """Build a finished job once more and compare the bytes.

        A difference gives a failed record; the result that is there stays.
        """
        assert before.wheel is not None  # noqa: S101 - a finished job has one
        wheel = self.results.wheel(before)
        return _Attempt(self, entry, dependencies).run(Known(wheel=wheel, sha256=before.wheel.sha256, record=before))

    def rebuild(
        self,
        entry: Planned,
        wheel: Path,
        *,
        dependencies: Sequence[Record] = (),
        inputs: Mapping[str, str] | None = None,
        lock: Lock | None = None,
    ) -> Record:
        """Build the job of a wheel from anywhere and compare the bytes; nothing is kept but the log.

        `inputs` are those of its build key, as its provenance has them: where this machine's differ, the record says
        in what. `lock` has the build requirements that it was built with; None: those that would be taken now.
        """
        known = Known(wheel=wheel, sha256=sha256_of(wheel), key=seal.read_key(wheel), inputs=inputs, lock=lock)
        return _Attempt(self, entry, dependencies).run(known)


class _Attempt:
    """One attempt at one job: what becomes known on the way, for the record."""

    def __init__(self, pipeline: Pipeline, entry: Planned, dependencies: Sequence[Record]) -> None:
        assert entry.builder is not None  # noqa: S101 - what cannot be built is not handed to the pipeline
        self._pipeline = pipeline
        self._entry = entry
        self._job: Job = entry.job
        self._builder = pipeline.builders[entry.builder]
        self._dependencies = dependencies
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._log = JobLog(pipeline.results.begin(entry.job.id), job=entry.job.id, observer=pipeline.observer)
        self._inputs: dict[str, str] = {}
        self._key: str | None = None
        self._epoch: int | None = None
        self._details: dict[str, object] = {}
        self._findings: tuple[check.Finding, ...] = ()

    def run(self, known: Known | None = None) -> Record:
        """Return the record of the attempt."""
        results = self._pipeline.results
        try:
            with workplace(self._job, self._log, self._go_on) as work:
                record = self._build(work, known)
        except CanceledError:
            raise
        except (WheelhouseError, Failure, OSError) as error:
            self._log.line(f"error: {error}")
            record = self._failed(error)
        except Exception as error:  # noqa: BLE001 - a defect of ours costs one job, not the batch
            self._log.line("".join(traceback.format_exception(error)))
            record = self._failed(error)
        if record.status == "failed" and known is None:
            results.note(record)
        return record

    def _build(self, work: Path, known: Known | None) -> Record:
        pipeline, job = self._pipeline, self._job
        with self._log.stage("source"):
            tree = source.prepare(
                job.source,
                cache=pipeline.workspace.cache,
                index=pipeline.index,
                destination=work / "source",
                log=self._log,
                go_on=self._go_on,
            )
        self._epoch = tree.facts.epoch
        with self._log.stage("requirements"):
            lock, gathered = self._requirements(tree, work, known.lock if known is not None else None)
        self._builder.prepare(job, self._log, timeout=self._remaining(), upgrade=pipeline.upgrade)
        depends = {record.job: record.key or "" for record in self._dependencies}
        inputs = job_inputs(job, self._builder, lock, depends)
        assert inputs is not None  # noqa: S101 - the builder is prepared
        self._inputs = inputs
        self._key = build_key(self._inputs)
        if known is not None:
            known.expect_key(self._key, self._inputs, log=self._log)
            return self._compare(self._make(tree, gathered, work, self._key), known)
        if not pipeline.force and (record := self._reusable(self._key)):
            return record
        adopted = None if pipeline.force else self._adopt(work, self._key)
        checked = self._check(adopted or self._make(tree, gathered, work, self._key), work)
        with self._log.stage("commit"):
            record = self._adopted(checked) if adopted else self._succeeded(checked, self._origin(lock, self._key))
            told = provenance.statement(record)
            pipeline.results.commit(
                record, checked.path, provenance=told.to_json() if told else self._adopted_provenance(checked)
            )
        return record

    def _make(self, tree: SourceTree, gathered: requirements.Requirements, work: Path, key: str) -> SealedWheel:
        """Build, repair and seal."""
        job = self._job
        with self._log.stage("build"):
            scratch = work / "build"
            scratch.mkdir()
            built = self._builder.build(
                BuildRequest(
                    job=job,
                    tree=tree,
                    requirements=gathered,
                    work=scratch,
                    log=self._log,
                    processes=self._pipeline.processes,
                    timeout=self._remaining(),
                )
            )
        self._details |= built.details
        grafted = check.find_grafted(check.read_contents(built.path))
        if self._builder.name == "host":
            grafted = with_owners(grafted, environment=self._pipeline.environment, processes=self._pipeline.processes)
        return seal.seal(
            built.path,
            destination=work / "sealed",
            key=key,
            epoch=tree.facts.epoch,
            build_number=job.build_number,
            note={"job": job.id, "source-sha256": job.source.sha256},
            added={sbom.PATH: sbom.make_sbom(job, key=key, epoch=tree.facts.epoch, grafted=grafted)},
        )

    def _adopt(self, work: Path, key: str) -> SealedWheel | None:
        """Take over a wheel in `dist/` that carries the key but came without its record; checked like any other."""
        carried = self._pipeline.results.carried(key)
        if carried is None:
            return None
        self._log.line(f"{carried} carries this build key: checked, not built")
        self._details["adopted"] = carried.name
        copy = work / "sealed" / carried.name
        copy.parent.mkdir()
        shutil.copyfile(carried, copy)
        return SealedWheel(path=copy, sha256=sha256_of(copy), size=copy.stat().st_size)

    def _adopted_provenance(self, wheel: CheckedWheel) -> bytes | None:
        """Return what came with a wheel that was taken over, if it is of these very bytes."""
        try:
            data = provenance_beside(self._pipeline.workspace.dist / wheel.path.name).read_bytes()
            return data if provenance.read_statement(data).is_of(wheel.path.name, wheel.sha256) else None
        except (OSError, ValueError):
            return None

    def _origin(self, lock: Lock, key: str) -> Origin:
        pipeline = self._pipeline
        return find_origin(
            self._job,
            lock,
            key=key,
            recipe=pipeline.workspace.registry / self._job.project,
            environment=pipeline.environment,
            processes=pipeline.processes,
        )

    def _requirements(self, tree: SourceTree, work: Path, given: Lock | None) -> tuple[Lock, requirements.Requirements]:
        pipeline = self._pipeline
        lock = given or requirements.resolve(
            tree.facts,
            self._job,
            state_locks=pipeline.workspace.locks,
            cache=pipeline.workspace.cache,
            index=pipeline.resolver_index,
            own_wheels=self._own_wheels(),
            log=self._log,
            processes=pipeline.processes,
            upgrade=pipeline.upgrade,
            machine=self._builder.runs_on(self._job.target),
        )
        return lock, requirements.gather(
            lock, cache=pipeline.workspace.cache, folder=work / "requirements", go_on=self._go_on
        )

    def _own_wheels(self) -> list[Path]:
        return [self._pipeline.results.wheel(record) for record in self._dependencies]

    def _reusable(self, key: str) -> Record | None:
        """Return the record of a finished result whose bytes are still right; a spoilt one is removed."""
        results = self._pipeline.results
        if not results.finished(key) or (record := results.record(key)) is None:
            return None
        if not results.intact(record):
            results.discard(key)
            return None
        results.offer(record)
        return record

    def _check(self, sealed: SealedWheel, work: Path) -> CheckedWheel:
        pipeline, job = self._pipeline, self._job
        with self._log.stage("check"):
            examination = check.examine(sealed.path, check.Expectation.of(job))
        tried = trial.try_wheel(
            sealed.path,
            target=job.target,
            test=job.test,
            interpreter=trial.choose(job.target, sealed.path, pipeline.surroundings, built_in=self._image()),
            index=pipeline.index,
            own_wheels=[wheel.parent for wheel in self._own_wheels()],
            work=work,
            log=self._log,
            processes=pipeline.processes,
            timeout=self._remaining(),
            machine_libraries=job.repair.exclude,
        )
        self._details["tested in"] = tried.environment
        self._findings = (*examination.findings, *tried.findings)
        for finding in self._findings:
            self._log.line(str(finding))
        return check.accept(sealed, examination, trial_findings=tried.findings, executed=tried.executed)

    def _image(self) -> str | None:
        """Return the image that the wheel was built in; of one that was taken over, as the recipe has it."""
        image = self._details.get("image") or self._job.image
        return image if isinstance(image, str) else None

    def _compare(self, sealed: SealedWheel, known: Known) -> Record:
        known.expect_bytes(sealed, keep_in=self._pipeline.workspace.state / "differing", log=self._log)
        return (known.record or self._record()).model_copy(update={"status": "built", "seconds": self._seconds()})

    def _go_on(self) -> None:
        """Raise CanceledError where the run is stopped, BuildTimeoutError where the job's time is over."""
        self._pipeline.processes.go_on()
        self._remaining()

    def _remaining(self) -> float:
        left = self._job.timeout - (time.monotonic() - self._clock)
        if left <= 0:
            raise BuildTimeoutError(
                f"the job took longer than {self._job.timeout:.0f} s", hint="raise resources.timeout in the recipe"
            )
        return left

    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)

    def _record(self) -> Record:
        return self._entry.failed(started=self._started, seconds=self._seconds()).model_copy(
            update={
                "key": self._key,
                "inputs": self._inputs,
                "epoch": self._epoch,
                "timings": self._log.timings,
                "findings": self._findings,
                "details": self._details,
            }
        )

    def _succeeded(self, wheel: CheckedWheel, origin: Origin | None) -> Record:
        return self._record().model_copy(
            update={
                "status": "built",
                "wheel": WheelFile(filename=wheel.path.name, sha256=wheel.sha256, size=wheel.size),
                "grafted": wheel.grafted,
                "executed": wheel.executed,
                "origin": origin,
            }
        )

    def _adopted(self, wheel: CheckedWheel) -> Record:
        """Return the record of a wheel that was taken over, with when it was built and how long that took, if known."""
        record, before = self._succeeded(wheel, None), self._pipeline.results.latest(self._job.id)
        if before is None or before.status != "built" or before.key != self._key:
            return record
        told = {"started": before.started, "seconds": before.seconds, "timings": before.timings}
        return record.model_copy(update=told)

    def _failed(self, error: Exception) -> Record:
        return self._record().model_copy(update={"cause": self._cause(error)})

    def _cause(self, error: Exception) -> Cause:
        from wheelhouse.diagnose import diagnose, read_log  # noqa: PLC0415 - only a failure needs its data

        known = error if isinstance(error, WheelhouseError) else _as_known(error)
        return diagnose(read_log(self._log.path), job=self._job, error=known, lookup=self._pipeline.lookup)


def _as_known(error: Exception) -> WheelhouseError:
    if isinstance(error, OSError):
        return MachineError(error.strerror or str(error), where=str(error.filename or "disk"))
    return WheelhouseError(f"{type(error).__name__}: {error}")
