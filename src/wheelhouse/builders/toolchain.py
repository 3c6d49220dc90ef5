"""A job and this machine's compilers in; which of them to try, and the environment that makes a build use one, out.

zig first where nothing binds the wheel to this machine: it links against an old glibc, so the wheel runs on more
systems. Where the recipe needs system packages, those libraries set the floor whatever compiles the rest, and C++
ones need the system's C++ library: the system's compiler first. With `auto` the other is tried when the first fails.
"""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wheelhouse.builders import Unavailable
from wheelhouse.builders.zigcc import Zig, ZigTarget, find_zig, write_programs
from wheelhouse.errors import MachineError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wheelhouse.builders.interpreters import Interpreter
    from wheelhouse.job import Job
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

CompilerName = Literal["zig", "system"]

#: Where zig can build for with another machine's Python: its `pyconfig.h` is the same on all of these.
CROSS_ARCHS = frozenset({"x86_64", "aarch64", "riscv64", "ppc64le"})
_NO_COMPILER_HINT = "pip install 'wheelhouse[zig]', or install gcc (Debian: apt-get install gcc g++)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCompiler:
    """The machine's own compiler."""

    cc: Path
    cxx: Path | None
    version: str
    """First line of `--version`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way to compile a job."""

    name: CompilerName
    version: str
    target: ZigTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """Folders of this build, whose names must not get into the wheel."""

    work: Path
    source: Path
    python: Path

    def flags(self) -> list[str]:
        """Return compiler flags: no debug information, and neutral names for our folders in the rest (`__FILE__`)."""
        names = {self.work: "/work", self.source: "/source", self.python: "/python"}
        return ["-g0", *(f"-ffile-prefix-map={path}={name}" for path, name in names.items())]


class Compilers:
    """The compilers of this machine. One object a run: it looks once."""

    def __init__(
        self,
        processes: Processes,
        environment: Mapping[str, str],
        cache: Path,
        *,
        find_zig: Callable[[], Zig | None] = find_zig,
    ) -> None:
        self._processes = processes
        self._find_zig = find_zig
        self._environment = environment
        self._cache = cache
        self._zig: list[Zig | None] = []
        self._system: list[SystemCompiler | None] = []

    @property
    def zig(self) -> Zig | None:
        """The zig that is installed beside us."""
        if not self._zig:
            self._zig.append(self._find_zig())
        return self._zig[0]

    @property
    def system(self) -> SystemCompiler | None:
        """The compiler that PATH has as `cc` or `gcc`, or that CC names."""
        if not self._system:
            self._system.append(self._find_system())
        return self._system[0]

    def unavailable(self, target: BuildIdentifier, python: Interpreter) -> Unavailable | None:
        """Say why nothing here compiles for `target`; None: something does."""
        if is_native(target, python):
            if self.zig is None and self.system is None:
                return Unavailable(reason="there is no C compiler", hint=_NO_COMPILER_HINT)
            return None
        if (python.libc == "musl") != (target.family == "musllinux"):
            return Unavailable(
                reason=f"{target.family} wheels cannot be built with a Python for {python.libc}",
                hint="use --builder cibuildwheel, or a machine with that C library",
            )
        if target.arch not in CROSS_ARCHS or python.arch not in CROSS_ARCHS:
            return Unavailable(
                reason=f"{target.arch} cannot be built on {python.arch} without a container",
                hint="use --builder cibuildwheel, or a machine of that architecture",
            )
        if self.zig is None:
            return Unavailable(
                reason=f"building for {target.platform_tag} on {python.arch} needs zig",
                hint="pip install 'wheelhouse[zig]'",
            )
        return None

    def attempts(self, job: Job, python: Interpreter) -> tuple[Attempt, ...]:
        """Return the ways to compile a job, best first.

        Raises MachineError where there is none.
        """
        target = ZigTarget(arch=job.target.arch, libc="musl" if job.target.family == "musllinux" else "glibc")
        zig = None if self.zig is None else Attempt(name="zig", version=self.zig.version, target=target)
        system = None if self.system is None else Attempt(name="system", version=self.system.version, target=target)
        native = is_native(job.target, python)
        wanted: tuple[Attempt | None, ...]
        if job.toolchain == "zig":
            wanted = (zig,)
        elif job.toolchain == "system":
            wanted = (system if native else None,)
        elif not native:
            wanted = (zig,)
        else:
            wanted = (system, zig) if job.system_packages.debian else (zig, system)
        found = tuple(attempt for attempt in wanted if attempt is not None)
        if not found:
            raise _nothing(job, native=native)
        return found

    def prepare(
        self, attempt: Attempt, *, programs: Path, prefixes: Prefixes, strip: bool, headers: Path | None = None
    ) -> dict[str, str]:
        """Return the environment that makes a build compile by `attempt`; its programs are written into `programs`.

        `headers` is what a cross build has in place of the machine's own headers and libraries.
        """
        if attempt.name == "system":
            assert self.system is not None  # noqa: S101 - the attempt came from it
            return self._system_environment(self.system, programs, prefixes, strip=strip)
        assert self.zig is not None  # noqa: S101 - likewise
        always = [
            *prefixes.flags(),
            "-fno-sanitize=undefined",
            "-Wno-error=date-time",
            "-Wno-unused-command-line-argument",
        ]
        linking = ["-s"] if strip else []
        if headers is not None:
            always += ["-idirafter", os.fspath(headers)]
        else:
            for folder in _system_folders(attempt.target, "include"):
                always += ["-idirafter", os.fspath(folder)]
            linking += [f"-L{folder}" for folder in _system_folders(attempt.target, "lib")]
        write_programs(programs, zig=self.zig, target=attempt.target, always=always, linking=linking)
        cc, cxx = os.fspath(programs / "cc"), os.fspath(programs / "c++")
        return {
            "CC": cc,
            "CXX": cxx,
            "LDSHARED": f"{cc} -shared",
            "LDCXXSHARED": f"{cxx} -shared",
            "AR": os.fspath(programs / "ar"),
            "RANLIB": os.fspath(programs / "ranlib"),
            # The C and C++ libraries that zig compiles for a target are kept for all jobs; objects of this build are
            # its own.
            "ZIG_GLOBAL_CACHE_DIR": os.fspath(self._cache / "zig"),
            "ZIG_LOCAL_CACHE_DIR": os.fspath(prefixes.work / "zig"),
        }

    def _system_environment(
        self, compiler: SystemCompiler, programs: Path, prefixes: Prefixes, *, strip: bool
    ) -> dict[str, str]:
        path = self._environment.get("PATH", os.defpath)
        for name, program in (("cc", compiler.cc), ("c++", compiler.cxx or compiler.cc)):
            _write_program(programs / name, program, prefixes.flags(), path=path)
        environment = {
            # By their names, since PATH has them first: builds like numpy's write into the wheel what compiled it.
            "CC": "cc",
            "CXX": "c++",
            "LDSHARED": "cc -shared",
            "LDCXXSHARED": "c++ -shared",
            "LDFLAGS": "-Wl,--build-id=none" + (" -Wl,-s" if strip else ""),
        }
        # A Python from elsewhere (uv's) names the archiver of the machine that it was built on.
        archiver = shutil.which("ar", path=self._environment.get("PATH"))
        return environment | ({"AR": archiver} if archiver else {})

    def _find_system(self) -> SystemCompiler | None:
        path = self._environment.get("PATH", os.defpath)
        cc = _which((self._environment.get("CC", ""), "cc", "gcc", "clang"), path)
        if cc is None:
            return None
        cxx = _which((self._environment.get("CXX", ""), "c++", "g++", "clang++"), path)
        try:
            said = self._processes.run([cc, "--version"], env={"PATH": path, "LC_ALL": "C"}, timeout=20.0).output
        except Failure:
            return None
        return SystemCompiler(cc=cc, cxx=cxx, version=said.strip().partition("\n")[0])


def is_native(target: BuildIdentifier, python: Interpreter) -> bool:
    """Say whether extensions for `target` are of the architecture and C library that `python` itself is of."""
    return python.arch == target.arch and (python.libc == "musl") == (target.family == "musllinux")


def _write_program(file: Path, compiler: Path, flags: Sequence[str], *, path: str) -> None:
    """Write a program that is the compiler with these flags behind all others, and with the machine's own PATH.

    In CFLAGS they would take the place of the optimisation that setuptools and autoconf ask for where it is not set.
    A compiler that is ccache looks in PATH for the one that it stands for, and must not find this program.
    """
    lines = [
        "#!/bin/sh",
        f"export PATH={shlex.quote(path)}",
        f'exec {shlex.quote(os.fspath(compiler))} "$@" {shlex.join(flags)}',
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*lines, ""]), "utf-8")
    file.chmod(0o755)


def _which(names: Sequence[str], path: str) -> Path | None:
    found = (shutil.which(name, path=path) for name in names if name and " " not in name)
    return next((Path(name) for name in found if name), None)


def _system_folders(target: ZigTarget, kind: Literal["include", "lib"]) -> list[Path]:
    """Return the machine's header or library folders, Debian's multiarch ones first."""
    root = Path("/usr")
    folders = [root / kind / target.triplet, root / ("lib64" if kind == "lib" else "include")]
    folders += [Path("/usr/local") / kind]
    return [folder for folder in folders if folder.is_dir()]


def _nothing(job: Job, *, native: bool) -> MachineError:
    if job.toolchain == "zig":
        return MachineError("the recipe asks for zig, which is not installed", hint="pip install 'wheelhouse[zig]'")
    if not native:
        return MachineError(
            f"{job.target} cannot be built with this machine's own compiler", hint="pip install 'wheelhouse[zig]'"
        )
    if job.toolchain == "system":
        return MachineError(
            "the recipe asks for the system's compiler, and there is none", hint="Debian: apt-get install gcc g++"
        )
    return MachineError("there is no C compiler", hint=_NO_COMPILER_HINT)
