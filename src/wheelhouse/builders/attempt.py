"""One attempt at a job: a source tree, a Python and a compiler in; a repaired wheel out, or the reason why not."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wheelhouse.builders import cross
from wheelhouse.builders.environment import EnvironmentMaker
from wheelhouse.builders.flags import compiler_flags
from wheelhouse.builders.sandbox import build_environment
from wheelhouse.builders.toolchain import Attempt, Compilers, Prefixes, is_native
from wheelhouse.errors import BuildError, WheelhouseError
from wheelhouse.process import WORK_VARIABLE, Failure, show
from wheelhouse.repair import native_files, repair_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.builders.interpreters import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class RawWheel:
    """A wheel as the back end built it."""

    path: Path
    seconds: float
    """What the back end took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
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
        """Whether the wheel is for the architecture and C library that the Python itself is of."""
        return is_native(self.request.job.target, self.python)

    def wheel(self) -> RawWheel:
        """Let the back end build the wheel."""
        job = self.request.job
        self.folder.mkdir()
        self.request.log.line(f"Python {self.python.version_text}, {self.attempt.name} {self.attempt.version}")
        python = self._make_environment()
        environment = self._variables()
        raw = _call_backend(self, python, environment)
        if job.extension and not native_files(raw.path):
            raise BuildError(
                f"{raw.path.name} has no extension module: the project built without it",
                hint="the log tells what was missing; `build.extension = false` if the project has none",
            )
        return raw

    def repaired(self, raw: RawWheel) -> Path:
        """Return the repaired wheel, in a folder of its own."""
        job = self.request.job
        return repair_wheel(
            raw.path,
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
        maker = EnvironmentMaker(
            cache=self.cache,
            processes=self.request.processes,
            path=self.environment.get("PATH", os.defpath),
            work=self.request.work,
            log=self.request.log.path,
            deadline=self.deadline,
        )
        try:
            return maker.make(self.folder / "env", python=self.python, requirements=self.request.requirements)
        except Failure as failure:
            raise BuildError(f"the build environment could not be made: {failure}") from failure

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
        return _with_recipe(base, compiler_flags(job.environment))

    def settings(self) -> dict[str, str | list[str]]:
        """Return PEP 517 config settings: the recipe's, and a cross file for meson."""
        given = self.request.job.config_settings
        settings = {key: value if isinstance(value, str) else list(value) for key, value in given.items()}
        if not self.native and self.request.tree.facts.backend == "mesonpy":
            before = settings.get("setup-args", [])
            extra = cross.meson_arguments(self.folder / "cross")
            settings["setup-args"] = [*([before] if isinstance(before, str) else before), *extra]
        return settings


def _call_backend(build: Build, python: Path, environment: Mapping[str, str]) -> RawWheel:
    """Build a wheel by PEP 517's hooks in the environment that is there."""
    from build import BuildException, ProjectBuilder  # noqa: PLC0415 - start-up time
    from build._exceptions import BuildBackendException  # noqa: PLC0415 - likewise

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        where = build.root if cwd is None else build.root.__class__(cwd)
        build.run([*build.network, *cmd], env={**environment, **(extra_environ or {})}, cwd=where)

    settings = build.settings()
    begun = time.monotonic()
    try:
        project = ProjectBuilder(build.root, python_executable=os.fspath(python), runner=runner)
        if _may_want_more(build):
            _require_installed(build, project.get_requires_for_build("wheel", settings))
        path = type(python)(project.build("wheel", build.folder / "raw", settings))
        return RawWheel(path=path, seconds=time.monotonic() - begun)
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


def _may_want_more(build: Build) -> bool:
    """Say whether the back end can have build requirements of its own making.

    setuptools has those that `setup_requires` names and no others; asking it costs as much as a small build.
    """
    if not build.request.tree.facts.backend.startswith("setuptools.build_meta"):
        return True
    files = [build.root / name for name in ("setup.py", "setup.cfg", "pyproject.toml")]
    return any(b"setup_requires" in file.read_bytes() for file in files if file.is_file())


def _require_installed(build: Build, wanted: Iterable[str]) -> None:
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
            requirement.marker = None
            missing.append(str(requirement))
    if missing:
        listed = ", ".join(missing)
        raise BuildError(f"the build back end also needs {listed}", hint=f"build.requires: {listed}")


def _with_recipe(base: dict[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Let the recipe's variables win; its flags for the linker and its PATH are added to ours."""
    merged = dict(base)
    for name, value in given.items():
        if name == "LDFLAGS" and name in base:
            merged[name] = f"{base[name]} {value}"
        elif name == "PATH":
            merged[name] = f"{base['PATH']}{os.pathsep}{value}"
        else:
            merged[name] = value
    return merged
