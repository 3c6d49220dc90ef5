"""A finished wheel in, findings out: installed from the wheel alone into a clean environment, imported, its test run.

`choose` says what can run the wheel, `try_wheel` does it. The installation happens in any case, also for machines that
are elsewhere: it shows that installers take the wheel.
"""

from __future__ import annotations

import importlib.resources
import re
import shutil
import time
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import BuildTimeoutError, MachineError
from wheelhouse.finding import Finding, Severity
from wheelhouse.trial.choose import NotExecuted, Surroundings, choose
from wheelhouse.trial.codes import MEANINGS, NOT_EXECUTED, TIMED_OUT
from wheelhouse.trial.install import Installation, Published, install
from wheelhouse.trial.interpreter import Container, Emulated, Environment, Host, Interpreter
from wheelhouse.trial.libraries import system_libraries
from wheelhouse.trial.report import Expectation, Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wheelhouse.job import TestSpec
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

__all__ = [
    "MEANINGS",
    "Container",
    "Emulated",
    "Host",
    "Interpreter",
    "NotExecuted",
    "Published",
    "Surroundings",
    "TrialResult",
    "choose",
    "try_wheel",
]

#: Seconds that a process may take to end itself before it is ended from outside.
_MARGIN = 10.0
#: One shell for all: `sh trial.sh PROBE COMMAND NAME…`, in an empty folder. The command replaces the shell.
_SCRIPT = """\
probe=$1 command=$2
shift 2
folder=$(mktemp -d) && cd "$folder" || exit 125
python -I -B "$probe" "$@" || exit $?
if [ -n "$command" ]; then
  printf '\\n%s{"event": "command"}\\n' "wheelhouse-trial: "
  exec sh -c "$command"
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What a trial showed."""

    findings: tuple[Finding, ...]
    executed: bool
    """Whether the wheel ran; False: it was installed at most."""
    environment: str
    """What it ran in, for the record; empty where it did not."""


def try_wheel(
    wheel: Path,
    *,
    target: BuildIdentifier,
    test: TestSpec,
    interpreter: Interpreter | NotExecuted,
    index: Callable[[], str],
    own_wheels: Sequence[Path],
    work: Path,
    log: JobLog,
    processes: Processes,
    timeout: float,
    machine_libraries: Sequence[str] = (),
    published: Published | None = None,
) -> TrialResult:
    """Install a wheel as its users would, import it, and run the recipe's test.

    `index` is asked for the Simple API root only where something must be resolved; `own_wheels` are folders with wheels
    that come before it. All files go to `work/trial`. `timeout` (seconds) is for the whole. `machine_libraries` is what
    the recipe leaves to the user's machine (`repair.exclude`); `*` stands for anything. A wheel that is `published` is
    installed from there.

    Raises InvalidWheelError, MachineError where the interpreter does not start at all, and CanceledError.
    """
    deadline = time.monotonic() + timeout
    with log.stage("test"):
        python = interpreter.installs_for if not isinstance(interpreter, NotExecuted) else None
        environment = _prepare(work / "trial", target)
        installation = Installation(
            wheel=wheel,
            target=target,
            requires=test.requires,
            python=python,
            index=index,
            own_wheels=own_wheels,
            site=environment.site,
            published=published,
        )
        try:
            findings = install(installation, log=log, processes=processes, timeout=timeout)
        except BuildTimeoutError as error:
            findings = (Finding(code=TIMED_OUT, severity=Severity.ERROR, message=error.message, hint=error.hint),)
        if findings:
            return TrialResult(findings=findings, executed=False, environment="")
        if isinstance(interpreter, NotExecuted):
            return TrialResult(findings=(_not_executed(target, interpreter),), executed=False, environment="")
        _make_python(environment, interpreter)
        outcome = _run(environment, interpreter, test, processes, max(1.0, deadline - time.monotonic()))
        report = Report.parse(outcome.output)
        log.line(report.talk)
        if not report.started and outcome.status is not None:
            raise MachineError(
                f"{interpreter} does not start (status {outcome.status})",
                where=str(target),
                hint=f"it said: {report.talk.rsplit(chr(10), 1)[-1] or 'nothing'}",
            )
        expected = Expectation(
            site=environment.site,
            command=test.command,
            allowed_libraries=(*system_libraries(target.family), *machine_libraries) if target.is_linux else ("*",),
            extensions=_extensions(wheel),
        )
        found = tuple(report.findings(outcome, expected))
        return TrialResult(findings=found, executed=True, environment=str(interpreter))


def _extensions(wheel: Path) -> tuple[str, ...]:
    """Return the extension modules of a wheel by their paths in site-packages, sorted."""
    with zipfile.ZipFile(wheel) as archive:
        names = [re.sub(r"^[^/]+\.data/(?:plat|pure)lib/", "", name) for name in archive.namelist()]
    return tuple(sorted(name for name in names if name.endswith(".so") and ".libs/" not in name))


def _prepare(root: Path, target: BuildIdentifier) -> Environment:
    """Make the folders, where Python looks for them (PEP 405)."""
    if root.exists():
        shutil.rmtree(root)
    name = {"cp": "python", "pp": "pypy", "gp": "python"}[target.implementation]
    # Links followed: the process under trial reports real paths.
    root = root.parent.resolve() / root.name
    environment = Environment(root=root, site=root / f"env/lib/{name}{target.python_version}/site-packages")
    environment.site.mkdir(parents=True)
    environment.python.parent.mkdir()
    return environment


def _make_python(environment: Environment, interpreter: Interpreter) -> None:
    interpreter.put_into(environment)
    text = f"home = {interpreter.home}\ninclude-system-site-packages = false\n"
    (environment.prefix / "pyvenv.cfg").write_text(text, "utf-8")


def _run(
    environment: Environment, interpreter: Interpreter, test: TestSpec, processes: Processes, timeout: float
) -> Outcome:
    probe, script = environment.root / "probe.py", environment.root / "trial.sh"
    probe.write_bytes(importlib.resources.files("wheelhouse.trial").joinpath("probe.py").read_bytes())
    script.write_text(_SCRIPT, "utf-8")
    start = interpreter.start([script, probe, test.command or "", *test.imports], environment, timeout)
    output = environment.root / "output.txt"
    began = time.monotonic()
    status: int | None = None
    try:
        limit = timeout + _MARGIN if isinstance(interpreter, Container) else timeout
        status = processes.run(start.command, env=start.env, log=output, timeout=limit, check=False).returncode
    except BuildTimeoutError:
        pass
    if time.monotonic() - began >= timeout:
        status = None
    text = output.read_text("utf-8", "replace") if output.exists() else ""
    return Outcome(status=status, output=text, limit=timeout)


def _not_executed(target: BuildIdentifier, why: NotExecuted) -> Finding:
    return Finding(
        code=NOT_EXECUTED,
        severity=Severity.NOTE,
        message=f"installable for {target}, but not executed: {why.reason}",
        hint="try it on such a machine, or give wheelhouse an image (test-images) or a sysroot for it",
    )
