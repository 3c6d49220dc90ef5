"""What a fleet wants in, the files of each of its targets out: uv resolves or reads a lock, packaging picks the wheels.

Nothing is built for it: what has no wheel for a target is told as a problem of that target, and the rest is found.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from wheelhouse.errors import RequirementsError, UsageError
from wheelhouse.requirements.platforms import platform_of
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.pylock import Package, Pylock
    from packaging.utils import NormalizedName

    from wheelhouse.process import Processes
    from wheelhouse.requirements.platforms import Platform

_FAMILIES = {"glibc": "manylinux", "musl": "musllinux"}
#: Settings of uv that say how to reach an index; all others would change what it answers.
_KEPT = ("UV_CONCURRENT_", "UV_EXCLUDE_NEWER", "UV_HTTP_", "UV_REQUEST_TIMEOUT")
_MESSAGE_LENGTH = 500
#: A proxy that is none.
_NOWHERE = "http://127.0.0.1:9"
_ELSEWHERE = "no other index or address may be asked, as a requirements file can want it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetTarget:
    """One kind of machine of a fleet."""

    identifier: BuildIdentifier
    platform: Platform

    @classmethod
    def parse(cls, *, python: str, arch: str, libc: str, glibc: int) -> FleetTarget:
        """Take `3.13`, `aarch64`, `glibc` or `musl`, and the minor version of the oldest glibc. Raises UsageError."""
        try:
            identifier = BuildIdentifier.parse(f"cp{python.replace('.', '')}-{_FAMILIES[libc]}_{arch}")
        except UsageError as error:
            raise UsageError(
                f"there is no Python {python} for {arch} with {libc}",
                hint="Pythons are as 3.13 or 3.13t, architectures as x86_64 or aarch64",
            ) from error
        return cls(identifier=identifier, platform=platform_of(identifier, image=f"manylinux_2_{glibc}"))

    def __str__(self) -> str:
        """Return e.g. `3.13 aarch64 glibc`."""
        libc = "musl" if self.identifier.family == "musllinux" else "glibc"
        return f"{self.identifier.python_version} {self.identifier.arch} {libc}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Requirements to resolve anew for each target."""

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """`requirements.txt`."""
    dependencies: bool = True
    """What they need in turn."""

    @property
    def parts(self) -> tuple[Asked, ...]:
        """Each requirement and each file for itself."""
        alone = [replace(self, requirements=(text,), files=()) for text in self.requirements]
        return (*alone, *(replace(self, requirements=(), files=(file,)) for file in self.files))

    def __str__(self) -> str:
        """Return what is asked for."""
        return ", ".join([*self.requirements, *map(str, self.files)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What somebody resolved before: `pylock.toml` (PEP 751) or `uv.lock`."""

    file: Path


Wish: TypeAlias = Asked | Locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One wheel (or, where a lock has no other, one sdist) that a target installs."""

    project: NormalizedName
    version: str
    filename: str
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one target installs."""

    target: FleetTarget
    files: tuple[Chosen, ...]
    problems: tuple[str, ...]
    """One a project for which nothing fits, or why nothing could be resolved at all."""


def choose(wishes: Sequence[Wish], targets: Sequence[FleetTarget], *, index: str, processes: Processes) -> list[Choice]:
    """Say what each target has to install to get its wishes. `index` alone is asked, the root of a Simple API.

    Raises RequirementsError where a lock cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="wheelhouse-") as name:
        uv = _Uv(Path(name), index, processes)
        locks = [uv.read(wish.file) for wish in wishes if isinstance(wish, Locked)]
        asked = [wish for wish in wishes if isinstance(wish, Asked)]
        return [_choose(target, locks, asked, uv) for target in targets]


def _choose(target: FleetTarget, locks: Sequence[Pylock], asked: Sequence[Asked], uv: _Uv) -> Choice:
    files: dict[str, Chosen] = {}
    problems: list[str] = []
    for lock in locks:
        _select(lock, target, files, problems)
    for wish in asked:
        _resolve(wish, target, uv, files, problems)
    return Choice(target=target, files=tuple(files.values()), problems=tuple(dict.fromkeys(problems)))


def _resolve(wish: Asked, target: FleetTarget, uv: _Uv, files: dict[str, Chosen], problems: list[str]) -> None:
    """Resolve all together, as an installer would; where that cannot be, each alone, so that one hides no other."""
    try:
        _select(uv.resolve(wish, target), target, files, problems)
    except RequirementsError as error:
        parts = wish.parts
        if len(parts) == 1:
            problems.append(f"{wish}: {error.message}")
            return
        for part in parts:
            _resolve(part, target, uv, files, problems)
        if not problems:
            problems.append(f"each was resolved for itself, as all together cannot be: {error.message}")


def _select(lock: Pylock, target: FleetTarget, files: dict[str, Chosen], problems: list[str]) -> None:
    """Add what a lock has for a target, each package for itself: one that fits nowhere hides no other."""
    from packaging.pylock import PackageSdist, PackageWheel, PylockSelectError  # noqa: PLC0415 - start-up time

    for package in lock.packages:
        alone = replace(lock, packages=[package])
        try:
            for _, found in alone.select(environment=target.platform.environment, tags=target.platform.tags):
                if not isinstance(found, PackageWheel | PackageSdist):
                    problems.append(f"{package.name} is given by address or folder, and is not from an index")
                    continue
                files[found.filename] = Chosen(
                    project=package.name,
                    version=str(package.version),
                    filename=found.filename,
                    sha256=found.hashes.get("sha256"),
                )
        except PylockSelectError as error:
            problems.append(_sentence(error, package))


def _sentence(error: Exception, package: Package) -> str:
    text = str(error)
    if "No wheel found matching" in text:
        return f"{package.name} {package.version} has no wheel that fits, and no sdist in the lock"
    return text


class _Uv:
    """Asks uv, in a folder of its own."""

    def __init__(self, folder: Path, index: str, processes: Processes) -> None:
        self._folder = folder
        self._index = index
        self._processes = processes
        self._answers = 0

    def resolve(self, wish: Asked, target: FleetTarget) -> Pylock:
        """Resolve for one target. Raises RequirementsError."""
        wanted = self._folder / "requirements.in"
        wanted.write_text("".join(f"{text}\n" for text in wish.requirements), "utf-8")
        platform = target.platform.uv
        command = [
            *("pip", "compile", wanted.name, *(os.fspath(path.absolute()) for path in wish.files)),
            *("--only-binary", ":all:", "--python-version", target.identifier.python_version.rstrip("t")),
            *(("--python-platform", platform) if platform else ("--universal",)),
            *(() if wish.dependencies else ("--no-deps",)),
            # Any Python does for asking; it is the one that is surely there.
            *("--python", sys.executable, "--no-python-downloads", "--no-header", "--no-annotate"),
        ]
        return self._run(command)

    def read(self, file: Path) -> Pylock:
        """Read a lock; what is uv's own is turned into the standard's form by uv. Raises RequirementsError."""
        if file.name != "uv.lock":
            return _parse(file)
        if not (file.parent / "pyproject.toml").is_file():
            raise RequirementsError(
                "uv reads its lock only beside the project's pyproject.toml",
                where=str(file),
                hint="or give what `uv export --format pylock.toml` prints",
            )
        command = ["export", "--frozen", "--no-emit-workspace", "--project", os.fspath(file.parent.absolute())]
        return self._run([*command, "--no-python-downloads", "--no-header"])

    def _run(self, command: Sequence[str]) -> Pylock:
        from uv import find_uv_bin  # noqa: PLC0415 - start-up time

        self._answers += 1
        result = self._folder / f"pylock.{self._answers}.toml"
        completed = self._processes.run(
            [find_uv_bin(), *command, "--format", "pylock.toml", "--output-file", result, "--no-progress", "--quiet"],
            cwd=self._folder,
            env=self._environment(),
            check=False,
        )
        if completed.returncode != 0:
            text = " ".join(_lines(completed.output))
            why = f"{_ELSEWHERE}: " if "client error (Connect)" in text else ""
            raise RequirementsError(why + text[:_MESSAGE_LENGTH] or "uv gave no reason")
        return _parse(result)

    def _environment(self) -> Mapping[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_KEPT) or not name.startswith(("UV_", "PIP_", "VIRTUAL_ENV", "CONDA_"))
        }
        # By environment: the address holds what keeps others on this machine out.
        ours = {"UV_DEFAULT_INDEX": self._index, "UV_CACHE_DIR": os.fspath(self._folder / "uv"), "UV_NO_CONFIG": "1"}
        # The index alone is asked: a requirements file could name others, which would hear of every private name.
        host = urlsplit(self._index).hostname or ""
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE) | {"NO_PROXY": host}
        return {**kept, **ours, **proxies, **{name.lower(): value for name, value in proxies.items()}}


def _lines(output: str) -> Iterator[str]:
    """Return what uv has to say, on one line, without its drawing."""
    for word in output.split():
        if word not in {"error:", "×", "╰─▶", "│", "cause:"}:  # noqa: RUF001 - uv's own
            yield word


def _parse(file: Path) -> Pylock:
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415 - start-up time

    try:
        return Pylock.from_dict(tomllib.loads(file.read_text("utf-8")))
    except FileNotFoundError as error:
        raise RequirementsError("there is no such file", where=str(file)) from error
    except (PylockValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequirementsError(f"not a lock that can be read: {error}", where=str(file)) from error


def merged(choices: Iterable[Choice]) -> list[tuple[Chosen, tuple[FleetTarget, ...]]]:
    """Return each file once, with the targets that install it."""
    wanted: dict[Chosen, list[FleetTarget]] = {}
    for choice in choices:
        for chosen in choice.files:
            wanted.setdefault(chosen, []).append(choice.target)
    ordered = sorted(wanted.items(), key=lambda item: (item[0].project, item[0].filename))
    return [(chosen, tuple(targets)) for chosen, targets in ordered]
