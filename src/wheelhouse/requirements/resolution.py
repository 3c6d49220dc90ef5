"""A job and its source's facts in, its build requirements as hashed wheels out: uv resolves, packaging picks."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from wheelhouse.errors import RequirementsError
from wheelhouse.locking import holding
from wheelhouse.process import show
from wheelhouse.requirements.lock import Lock, Pin, read_lock, write_lock
from wheelhouse.requirements.question import Question, ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.pylock import Package, PackageWheel

    from wheelhouse.job import Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.source import SourceFacts
    from wheelhouse.target import BuildIdentifier

#: From this version on setuptools makes wheels itself; older ones answer `wheel` when asked what they need.
_SETUPTOOLS_WITH_WHEEL = Version("70.1")
#: How many releases back to look for one with a wheel, where uv could not look at the wheels' platforms itself.
_STEPS_BACK = 25
#: uv's settings that say how to reach an index; all others would change what it answers.
_KEPT = (
    "UV_CACHE_DIR",
    "UV_CONCURRENT_",
    "UV_EXCLUDE_NEWER",
    "UV_HTTP_",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_OFFLINE",
    "UV_REQUEST_TIMEOUT",
    "UV_SYSTEM_CERTS",
)
_MESSAGE_LENGTH = 700
#: What a lock says of its index where none was configured.
_DEFAULT = "uv's default"


def remembered(
    facts: SourceFacts,
    job: Job,
    *,
    state_locks: Path,
    index: str | None,
    own_wheels: Sequence[Path],
    machine: BuildIdentifier | None = None,
) -> Lock | None:
    """Return the lock that answered this question before; None: it was never asked, or of another index.

    `index` None accepts the answer of any index. No process, no network.
    """
    question = ask(facts, job, own_wheels=own_wheels, machine=machine)
    return read_lock(_place(state_locks, question), index=None if index is None else _shown(index))


def resolve(
    facts: SourceFacts,
    job: Job,
    *,
    state_locks: Path,
    cache: Path,
    index: str | None,
    own_wheels: Sequence[Path],
    log: JobLog,
    processes: Processes,
    upgrade: bool = False,
    machine: BuildIdentifier | None = None,
) -> Lock:
    """Resolve build requirements to hashed wheels, or return what they were resolved to before.

    `index` is a Simple API root; None: where uv looks by itself. A lock stays until `upgrade`, which asks anew once a
    run for each question. `machine` is where the build runs, where that is not the target (cross-building); its Python
    is that of the target. `cache` takes uv's cache where the environment names none. Raises RequirementsError.
    """
    question = ask(facts, job, own_wheels=own_wheels, machine=machine)
    place = _place(state_locks, question)
    place.parent.mkdir(parents=True, exist_ok=True)
    with holding(place.with_suffix(".lock"), processes.go_on):
        if (not upgrade or _is_of_this_run(place)) and (lock := read_lock(place, index=None)):
            return lock
        with tempfile.TemporaryDirectory(prefix="wheelhouse-requirements-") as folder:
            resolver = _Resolver(question, Path(folder), index=index, cache=cache, log=log, processes=processes)
            lock = resolver.lock()
        write_lock(place, lock, question=question.table(), index=_shown(index))
    return lock


def _place(state_locks: Path, question: Question) -> Path:
    return state_locks / f"{question.digest}.json"


@functools.cache
def _shown(index: str | None) -> str:
    if index is None:
        return _DEFAULT
    from wheelhouse.download import without_secrets  # noqa: PLC0415 - start-up time

    return without_secrets(index).rstrip("/")


def _is_of_this_run(path: Path) -> bool:
    import psutil  # noqa: PLC0415 - only for an upgrade

    try:
        return path.stat().st_mtime >= psutil.Process().create_time()
    except FileNotFoundError:
        return False


class _NoWheelError(Exception):
    """A package of the resolution has no wheel for the platform."""

    def __init__(self, package: Package) -> None:
        super().__init__(package.name)
        self.package = package


class _Resolver:
    """Asks uv one question, more than once where its answer turns out to need more."""

    def __init__(
        self, question: Question, folder: Path, *, index: str | None, cache: Path, log: JobLog, processes: Processes
    ) -> None:
        self._question = question
        self._folder = folder
        self._index = index
        self._cache = cache
        self._log = log
        self._processes = processes
        self._own = {wheel.name.project: wheel for wheel in question.own}
        self._wheels = folder / "own"
        self._wheels.mkdir()
        for wheel in question.own:
            shutil.copyfile(wheel.path, self._wheels / wheel.name.filename)

    def lock(self) -> Lock:
        pins = self._pins(self._question.requires)
        setuptools = next((Version(pin.version) for pin in pins if pin.name == "setuptools"), None)
        old = setuptools is not None and setuptools < _SETUPTOOLS_WITH_WHEEL
        if self._question.setuptools and old and not any(pin.name == "wheel" for pin in pins):
            pins = self._pins((*self._question.requires, "wheel"))
        return Lock(pins=tuple(sorted(pins, key=lambda pin: pin.name)))

    def _pins(self, requires: Sequence[str]) -> list[Pin]:
        older: list[str] = []
        for _ in range(_STEPS_BACK):
            packages = self._compile(requires, older)
            try:
                return [self._pin(package) for package in packages]
            except _NoWheelError as error:
                older.append(f"{error.package.name}<{error.package.version}")
                missing = error.package
        raise RequirementsError(
            f"no release of {missing.name} has a wheel for {self._where()} (looked back to {missing.version})",
            hint=f"add a recipe for {missing.name} and name it in depends.build, or bound it with build.constraints",
        )

    def _compile(self, requires: Sequence[str], older: Sequence[str]) -> list[Package]:
        """Return the packages to install, as uv resolves them."""
        from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415 - start-up time

        result = self._folder / "pylock.toml"
        result.unlink(missing_ok=True)
        self._run(requires, older, result)
        try:
            lock = Pylock.from_dict(tomllib.loads(result.read_text("utf-8")))
        except (PylockValidationError, tomllib.TOMLDecodeError, OSError) as error:
            raise RequirementsError(f"uv's answer cannot be read: {error}", hint="update uv") from error
        environment = cast("dict[str, str | frozenset[str]]", dict(self._question.platform.environment))
        environment |= {"extras": frozenset(), "dependency_groups": frozenset()}
        return [
            package
            for package in lock.packages
            if package.marker is None or package.marker.evaluate(environment, context="lock_file")
        ]

    def _run(self, requires: Sequence[str], older: Sequence[str], result: Path) -> None:
        from uv import find_uv_bin  # noqa: PLC0415 - start-up time

        wanted, bounds = self._folder / "requirements.in", self._folder / "constraints.txt"
        wanted.write_text("\n".join(requires) + "\n", "utf-8")
        own = [f"{name}=={wheel.name.version}" for name, wheel in self._own.items()]
        bounds.write_text("\n".join([*self._question.constraints, *own, *older]) + "\n", "utf-8")
        platform = self._question.platform
        command = [
            find_uv_bin(),
            *("pip", "compile", wanted.name, "--constraints", bounds.name),
            *("--format", "pylock.toml", "--output-file", result.name),
            *("--only-binary", ":all:", "--python-version", self._question.python.rstrip("t")),
            *(("--python-platform", platform.uv) if platform.uv else ("--universal",)),
            *(("--find-links", self._wheels.name) if self._own else ()),
            # Any Python does for asking; it is the one that is surely there.
            *("--python", sys.executable, "--no-python-downloads"),
            *("--no-header", "--no-annotate", "--no-progress", "--quiet"),
        ]
        completed = self._processes.run(command, cwd=self._folder, env=self._environment(), check=False)
        self._log.line(f"$ {show(completed.command)}\n{completed.output}".rstrip())
        if completed.returncode != 0:
            raise self._unsolved(completed.output)

    def _environment(self) -> Mapping[str, str]:
        # The index goes by environment: its address may hold a password, and the command line is logged.
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_KEPT) or not name.startswith(("UV_", "VIRTUAL_ENV", "CONDA_"))
        }
        index = {} if self._index is None else {"UV_DEFAULT_INDEX": self._index}
        return {"UV_CACHE_DIR": os.fspath(self._cache / "uv"), **kept, **index}

    def _unsolved(self, output: str) -> RequirementsError:
        text = " ".join(output.replace("error: ", "").replace("cause: ", "").split())
        if any(word in text.lower() for word in ("failed to fetch", "error sending request", "dns error", "connect")):
            hint = "check the network, HTTPS_PROXY and index.url; a lock made before needs no network"
        else:
            hint = "bound them with build.constraints, or name recipes that build the missing wheels in depends.build"
        if len(text) > _MESSAGE_LENGTH:
            text = f"{text[:_MESSAGE_LENGTH]}… (the log has the rest)"
        return RequirementsError(f"no wheels for the build requirements on {self._where()}: {text}", hint=hint)

    def _where(self) -> str:
        return f"{self._question.interpreter}, {self._question.platform.name}"

    def _pin(self, package: Package) -> Pin:
        version = str(package.version)
        if own := self._own.get(package.name):
            return Pin(
                name=package.name,
                version=str(own.name.version),
                filename=own.name.filename,
                sha256=own.sha256,
                url=own.path.absolute().as_uri(),
            )
        wheel = self._best(package)
        sha256 = wheel.hashes.get("sha256")
        if wheel.url is None or sha256 is None:
            raise RequirementsError(
                f"the index gives no sha256 of {wheel.filename}", hint="index.url must be an index with hashes"
            )
        return Pin(name=package.name, version=version, filename=wheel.filename, sha256=sha256, url=wheel.url)

    def _best(self, package: Package) -> PackageWheel:
        from packaging.tags import create_compatible_tags_selector  # noqa: PLC0415 - start-up time

        if not package.wheels and package.archive is not None:
            raise RequirementsError(
                f"the build requirement {package.name} is given by address, not by version",
                hint="patch pyproject.toml so that it asks for a version",
            )
        select = create_compatible_tags_selector(self._question.platform.tags)
        fitting = select((wheel, parse_wheel_filename(wheel.filename)[-1]) for wheel in package.wheels or ())
        best = next(fitting, None)
        if best is None:
            raise _NoWheelError(package)
        return best
