"""A source tree in, a repaired wheel out, without a container: with PyPA build and the Pythons and compilers here.

The build environment holds the resolved build requirements and nothing else, and is offline. The tag is what
auditwheel proves. For another architecture the same Python builds, with zig as compiler and sysconfig telling the
target's answers.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from wheelhouse.builders import Unavailable
from wheelhouse.builders.dpkg import ask_dpkg, with_dependencies
from wheelhouse.builders.interpreters import Interpreters
from wheelhouse.builders.sandbox import Network
from wheelhouse.builders.toolchain import Attempt, Compilers, is_native
from wheelhouse.builders.versions import tool_version
from wheelhouse.errors import BuildError, BuildTimeoutError, MachineError
from wheelhouse.target import native_arch, native_family, replace_platform
from wheelhouse.wheel import BuiltWheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.builders.attempt import Build, RawWheel
    from wheelhouse.builders.dpkg import Installed
    from wheelhouse.builders.interpreters import Interpreter
    from wheelhouse.config import Config
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

_LINUX = frozenset({"manylinux", "musllinux"})
#: Tools whose version can change the bytes of a wheel.
_TOOLS = ("auditwheel", "build", "patchelf")


class HostBuilder:
    """Builds on this machine itself."""

    def __init__(
        self,
        processes: Processes,
        config: Config,  # noqa: ARG002 - builders are made alike; jobs carry what this one needs of it
        environment: Mapping[str, str],
        cache: Path,
        *,
        compilers: Compilers | None = None,
    ) -> None:
        self._processes = processes
        self._environment = environment
        self._cache = cache
        self._interpreters = Interpreters(processes, environment, cache)
        self._compilers = compilers or Compilers(processes, environment, cache)
        self._network = Network(processes, environment)
        self._answers: dict[BuildIdentifier, Interpreter | Unavailable] = {}
        self._packages: Mapping[str, Installed] | None = None

    @property
    def name(self) -> BuilderName:
        """`host`."""
        return "host"

    def unavailable(self, target: BuildIdentifier) -> Unavailable | None:
        """Say why `target` cannot be built here; None: it can."""
        answer = self._python(target)
        return answer if isinstance(answer, Unavailable) else None

    def runs_on(self, target: BuildIdentifier) -> BuildIdentifier:
        """Return the identifier of this machine with the target's Python: back ends run natively, always."""
        return replace_platform(target, f"{native_family()}_{native_arch()}")

    def prepare(self, job: Job, log: JobLog, *, timeout: float, upgrade: bool = False) -> None:
        """Do nothing: this machine is as it is."""

    def inputs(self, job: Job) -> Mapping[str, str]:
        """Return what this machine contributes to the build key.

        Raises MachineError.
        """
        python = self._required_python(job.target)
        attempts = self._compilers.attempts(job, python)
        inputs = {f"tool.{tool}": tool_version(tool) for tool in _TOOLS}
        inputs["python.version"] = python.build
        inputs["toolchain.order"] = ",".join(attempt.name for attempt in attempts)
        for attempt in attempts:
            inputs[f"toolchain.{attempt.name}"] = attempt.version
            if attempt.name == "zig":
                inputs["toolchain.zig.target"] = attempt.target.text
        if is_native(job.target, python):
            inputs |= {f"system.{name}": number for name, number in self._system_versions(job).items()}
        return inputs

    def build(self, request: BuildRequest) -> BuiltWheel:
        """Build and repair.

        Raises BuildError, BuildTimeoutError, MachineError and CanceledError.
        """
        from wheelhouse.builders.attempt import Build  # noqa: PLC0415 - most runs have little or nothing to build

        job, log = request.job, request.log
        python = self._required_python(job.target)
        attempts = self._compilers.attempts(job, python)
        missing = self._missing_packages(job, python)
        if missing:
            log.line(f"not installed here: {' '.join(missing)}")
        deadline = time.monotonic() + request.timeout
        failure: BuildError | None = None
        for number, attempt in enumerate(attempts):
            last = number == len(attempts) - 1
            build = Build(
                request=request,
                python=python,
                attempt=attempt,
                compilers=self._compilers,
                environment=self._environment,
                cache=self._cache,
                network=self._network.prefix,
                deadline=deadline,
                # The first attempt may leave anything behind, so it works on a copy.
                root=request.tree.root if last else _copy(request.tree.root, request.work / f"source-{attempt.name}"),
            )
            try:
                with log.stage("build"):
                    raw = build.wheel()
                with log.stage("repair"):
                    path = build.repaired(raw)
            except BuildTimeoutError:
                raise
            except BuildError as error:
                failure = error
                log.line(f"with the {attempt.name} compiler: {error}")
                continue
            return BuiltWheel(path=path, details=_details(build, raw, failed=attempts[:number]))
        assert failure is not None  # noqa: S101 - there is at least one attempt
        if missing and failure.hint is None:
            failure.hint = f"apt-get install {' '.join(missing)}"
        raise failure

    def _python(self, target: BuildIdentifier) -> Interpreter | Unavailable:
        if target not in self._answers:
            self._answers[target] = self._find_python(target)
        return self._answers[target]

    def _find_python(self, target: BuildIdentifier) -> Interpreter | Unavailable:
        if target.family not in _LINUX:
            return Unavailable(
                reason=f"the host builder makes Linux wheels, not {target.family}",
                hint="use --builder cibuildwheel on that platform",
            )
        if target.implementation != "cp":
            return Unavailable(reason="the host builder builds for CPython only", hint="use --builder cibuildwheel")
        python = self._interpreters.find(target)
        if isinstance(python, Unavailable):
            return python
        return self._compilers.unavailable(target, python) or python

    def _required_python(self, target: BuildIdentifier) -> Interpreter:
        answer = self._python(target)
        if isinstance(answer, Unavailable):
            raise MachineError(f"{target} cannot be built here: {answer.reason}", hint=answer.hint)
        return answer

    def _missing_packages(self, job: Job, python: Interpreter) -> list[str]:
        if not is_native(job.target, python):
            return []
        versions = self._system_versions(job)
        return [name for name in job.system_packages.debian if versions and not versions[name]]

    def _system_versions(self, job: Job) -> Mapping[str, str]:
        """Return the versions of the job's system packages and of what they need; nothing where this is no Debian."""
        names = job.system_packages.debian
        return with_dependencies(names, self._installed()) if names and self._installed() else {}

    def _installed(self) -> Mapping[str, Installed]:
        if self._packages is None:
            self._packages = ask_dpkg(self._processes, self._environment)
        return self._packages


def _details(build: Build, raw: RawWheel, *, failed: Sequence[Attempt]) -> dict[str, object]:
    attempt = build.attempt
    details: dict[str, object] = {
        "python": build.python.version_text,
        "toolchain": attempt.name,
        "compiler": f"zig {attempt.version} ({attempt.target.text})" if attempt.name == "zig" else attempt.version,
        "back end seconds": round(raw.seconds, 3),
        "network": "denied" if build.network else "not denied: this machine offers no way to",
    }
    if failed:
        details["toolchain-failed"] = ", ".join(attempt.name for attempt in failed)
    if not build.native:
        details["cross"] = f"built on {build.python.arch}"
    return details


def _copy(root: Path, destination: Path) -> Path:
    return shutil.copytree(root, destination, symlinks=True)
