"""A host trial with little to write: everything but the wheel has a value."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.job import TestSpec
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.target import BuildIdentifier, native_arch
from wheelhouse.trial import Host, try_wheel

if TYPE_CHECKING:
    from wheelhouse.trial import Interpreter, NotExecuted, TrialResult

PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
TARGET = f"{PYTHON}-manylinux_{native_arch()}"
TAG = f"{PYTHON}-{PYTHON}-linux_{native_arch()}"
HERE = Host(executable=Path(sys.executable).resolve(), version=sys.version.split()[0])


def no_index() -> str:
    message = "the index must not be asked"
    raise AssertionError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a trial is given beside the wheel."""

    work: Path
    target: str = TARGET
    interpreter: Interpreter | NotExecuted = HERE
    index: str | None = None
    own_wheels: tuple[Path, ...] = ()
    machine_libraries: tuple[str, ...] = ()
    timeout: float = 60.0
    processes: Processes = field(default_factory=Processes)

    @property
    def log(self) -> Path:
        return self.work / "log.txt"

    def try_it(
        self,
        wheel: Path,
        *,
        imports: tuple[str, ...] = ("spam",),
        command: str | None = None,
        requires: tuple[str, ...] = (),
    ) -> TrialResult:
        self.work.mkdir(exist_ok=True)
        index = self.index
        return try_wheel(
            wheel,
            target=BuildIdentifier.parse(self.target),
            test=TestSpec(imports=imports, command=command, requires=requires),
            interpreter=self.interpreter,
            index=no_index if index is None else lambda: index,
            own_wheels=self.own_wheels,
            work=self.work,
            log=JobLog(self.log, job="spam"),
            processes=self.processes,
            timeout=self.timeout,
            machine_libraries=self.machine_libraries,
        )
