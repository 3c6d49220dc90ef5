"""Where wheels can be tried here; and any wheel in, its trial out, by a Python that takes it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from wheelhouse.check import fits
from wheelhouse.errors import MachineError
from wheelhouse.finding import errors

if TYPE_CHECKING:
    from types import TracebackType

    from wheelhouse.check import Examination
    from wheelhouse.cli.session import Session
    from wheelhouse.config import Workspace
    from wheelhouse.job import Job
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.trial import Interpreter, Published, Surroundings, TrialResult

_SECONDS = 300.0
_LOG_LINES = 15


def surroundings(workspace: Workspace, processes: Processes) -> Surroundings:
    """Look around for Pythons, and for a container engine only where an image for tests is configured."""
    from wheelhouse import trial  # noqa: PLC0415 - start-up time
    from wheelhouse.builders.engine import Engine, find_engine  # noqa: PLC0415 - likewise
    from wheelhouse.builders.interpreters import Interpreters  # noqa: PLC0415 - likewise

    images = workspace.config.test_images
    engine = find_engine(processes, os.environ) if images else None
    return trial.Surroundings(
        pythons=Interpreters(processes, os.environ, workspace.cache).all,
        engine=engine if isinstance(engine, Engine) else None,
        images=images,
        environment=os.environ,
        processes=processes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Where a wheel is tried from that is on a stage."""

    index: str
    """The stage's Simple API root."""
    published: Published


class Trials:
    """Trials of many wheels. A context manager: its work folder goes when it ends."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stack = contextlib.ExitStack()
        self._surroundings: Surroundings | None = None
        self._work: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(
        self,
        path: Path,
        examination: Examination,
        job: Job | None,
        *,
        staged: Staged | None = None,
        python: tuple[int, int] | None = None,
    ) -> TrialResult | None:
        """Try a wheel; None where nothing here can run it. What went wrong is shown with the end of its log."""
        from wheelhouse import trial  # noqa: PLC0415 - start-up time
        from wheelhouse.config import index_url  # noqa: PLC0415 - likewise
        from wheelhouse.job import TestSpec  # noqa: PLC0415 - likewise
        from wheelhouse.joblog import JobLog  # noqa: PLC0415 - likewise

        around, work = self._prepare()
        found = self._choose(path, examination, around, python)
        if found is None:
            return None
        target, interpreter = found
        log = JobLog(work / f"{path.name}.log", job=path.name)
        session = self._session
        try:
            result = trial.try_wheel(
                path,
                target=target,
                test=job.test if job is not None else TestSpec(imports=examination.imports),
                interpreter=interpreter,
                index=lambda: staged.index if staged else index_url(session.workspace.config, os.environ),
                own_wheels=[] if staged else [path.parent.absolute()],
                published=staged.published if staged else None,
                work=work,
                log=log,
                processes=around.processes,
                timeout=_SECONDS,
                machine_libraries=job.repair.exclude if job is not None else (),
            )
        except MachineError as error:
            click.echo(f"{path.name}: not tried: {error}", err=True)
            return None
        if errors(result.findings):
            for line in log.path.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]:
                click.echo(f"  | {line}", err=True)
        return result

    def _prepare(self) -> tuple[Surroundings, Path]:
        """Look around once, and only when there is a wheel to try."""
        from wheelhouse.process import Processes  # noqa: PLC0415 - start-up time

        if self._surroundings is None or self._work is None:
            self._surroundings = surroundings(self._session.workspace, Processes())
            self._work = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wheelhouse-check-")))
        return self._surroundings, self._work

    @staticmethod
    def _choose(
        path: Path, examination: Examination, around: Surroundings, python: tuple[int, int] | None
    ) -> tuple[BuildIdentifier, Interpreter] | None:
        """Return the first target that takes the wheel and has a Python here; the running Python's comes first."""
        from wheelhouse import trial  # noqa: PLC0415 - start-up time
        from wheelhouse.target import known_identifiers  # noqa: PLC0415 - likewise

        targets = [target for target in known_identifiers().values() if fits(examination.name, target)]
        if python is not None:
            targets = [target for target in targets if target.python == python]
        targets.sort(key=lambda target: (target.python != sys.version_info[:2], target.freethreaded))
        for target in targets:
            interpreter = trial.choose(target, path, around)
            if not isinstance(interpreter, trial.NotExecuted):
                return target, interpreter
        return None
