"""A machine's folders in, the CPythons that can build extensions out; what was learned of each is remembered on disk.

Real executables only: a shim (pyenv's) is a script that starts slowly and may end in another Python, so what is not
ELF is not asked.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson
import pydantic

from wheelhouse.builders import Unavailable
from wheelhouse.process import Failure
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

Libc = Literal["glibc", "musl"]

_NAME = re.compile(r"python3\.\d+t?")
_ELF = b"\x7fELF"
_PROBE_SECONDS = 20.0
_USUAL_FOLDERS = ("/usr/local/bin", "/usr/bin")

#: Run by each Python that is found. `-S` leaves site-packages alone, `-I` the caller's environment.
_PROBE = """\
import json, os, sys, sysconfig
v = sysconfig.get_config_vars()
include = sysconfig.get_paths()["include"]
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "release": "".join(map(str, sys.version_info[3:])),
    "build": sys.version,
    "freethreaded": bool(v.get("Py_GIL_DISABLED")),
    "debug": hasattr(sys, "gettotalrefcount"),
    "platform": sysconfig.get_platform(),
    "suffix": v.get("EXT_SUFFIX") or "",
    "host": v.get("HOST_GNU_TYPE") or "",
    "include": include,
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
}))
"""


class Interpreter(pydantic.BaseModel):
    """A Python that was found, and what it says of itself."""

    model_config = pydantic.ConfigDict(frozen=True)

    executable: Path
    """The real file, links followed."""
    implementation: str
    version: tuple[int, int, int]
    release: str
    """`final0`, `candidate1`, …"""
    build: str
    """`sys.version`: number, date and compiler."""
    freethreaded: bool
    debug: bool
    platform: str
    """`linux-x86_64`, as sysconfig has it."""
    suffix: str
    """Of extension modules, e.g. `.cpython-313-x86_64-linux-gnu.so`."""
    host: str
    """GNU triplet it was configured for."""
    include: Path
    headers: bool
    """Whether `Python.h` is there."""

    @property
    def arch(self) -> str:
        """The architecture, e.g. `x86_64`."""
        return self.platform.rsplit("-", 1)[-1]

    @property
    def libc(self) -> Libc:
        """Which C library it was made for."""
        return "musl" if "musl" in self.host or "musl" in self.suffix else "glibc"

    @property
    def version_text(self) -> str:
        """E.g. `3.13.0`, or `3.15.0candidate1`."""
        text = ".".join(map(str, self.version))
        return text if self.release == "final0" else f"{text}{self.release}"

    def serves(self, target: BuildIdentifier) -> bool:
        """Say whether extensions built with it are of the target's Python and ABI."""
        return (
            self.implementation == "cpython"
            and target.implementation == "cp"
            and self.version[:2] == target.python
            and self.freethreaded == target.freethreaded
            and not self.debug
        )


class _Entry(pydantic.BaseModel):
    """What is remembered of an executable; `found` is None where it is no Python that works."""

    stamp: str
    found: Interpreter | None


class _Memory(pydantic.BaseModel):
    format: str
    entries: dict[str, _Entry] = {}


class Interpreters:
    """The Pythons of this machine. One object a run: it looks once."""

    def __init__(self, processes: Processes, environment: Mapping[str, str], cache: Path) -> None:
        self._processes = processes
        self._environment = environment
        self._file = cache / "interpreters.json"
        self._found: tuple[Interpreter, ...] | None = None

    def all(self) -> tuple[Interpreter, ...]:
        """Return every working Python, those first that come first by `candidates`."""
        if self._found is None:
            self._found = self._look()
        return self._found

    def find(self, target: BuildIdentifier) -> Interpreter | Unavailable:
        """Return the Python to build for `target` with; of another architecture or libc, it is for a cross build."""
        fitting = [python for python in self.all() if python.serves(target)]
        wanted_libc = "musl" if target.family == "musllinux" else "glibc"
        # Stable: of equals, the first that was found. A native one needs no cross compiler.
        fitting.sort(key=lambda python: (python.arch != target.arch, python.libc != wanted_libc, not python.headers))
        name = target.python_version
        if not fitting:
            return Unavailable(
                reason=f"no CPython {name} was found (on PATH, nor uv's, nor pyenv's)",
                hint=f"`uv python install {name}`, or install your distribution's python{name} and python{name}-dev",
            )
        best = next((python for python in fitting if python.headers), None)
        if best is None:
            return Unavailable(
                reason=f"{fitting[0].executable} has no headers ({fitting[0].include / 'Python.h'} does not exist)",
                hint=f"install python{name}-dev (Debian), python{name}-devel (Fedora), or `uv python install {name}`",
            )
        return best

    def _look(self) -> tuple[Interpreter, ...]:
        memory = self._recall()
        entries: dict[str, _Entry] = {}
        for path in candidates(self._environment):
            name = os.fspath(path)
            if name in entries:
                continue
            stamp = _stamp(path)
            known = memory.get(name)
            entries[name] = known if known and known.stamp == stamp else _Entry(stamp=stamp, found=self._ask(path))
        if entries != memory:
            state = _Memory(format=_FORMAT, entries=entries)
            write_atomically(self._file, state.model_dump_json().encode())
        return tuple(entry.found for entry in entries.values() if entry.found is not None)

    def _recall(self) -> dict[str, _Entry]:
        try:
            memory = _Memory.model_validate_json(self._file.read_bytes())
        except (OSError, pydantic.ValidationError):
            return {}
        return memory.entries if memory.format == _FORMAT else {}

    def _ask(self, path: Path) -> Interpreter | None:
        environment = {"LC_ALL": "C.UTF-8", "PATH": self._environment.get("PATH", os.defpath)}
        try:
            said = self._processes.run([path, "-I", "-S", "-c", _PROBE], env=environment, timeout=_PROBE_SECONDS).output
            facts = orjson.loads(said.strip().splitlines()[-1])
            return Interpreter.model_validate({**facts, "executable": path})
        except (Failure, orjson.JSONDecodeError, IndexError, pydantic.ValidationError):
            # A Python that cannot say what it is cannot build either; it is remembered as such until its file changes.
            return None


#: Changes with what is asked, so that answers to other questions are not taken for these.
_FORMAT = _PROBE


def candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield real CPython executables, best first: ours, PATH's, uv's, pyenv's, those of manylinux images.

    Links are followed; virtual environments lead to the Python they were made of. A path may come twice.
    """
    yield Path(sys.executable).resolve()
    for folder in _folders(environment):
        for path in _pythons_in(folder):
            real = path.resolve()
            if _is_elf(real):
                yield real


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    path = environment.get("PATH", os.defpath)
    yield from (Path(part) for part in path.split(os.pathsep) if Path(part).is_absolute())
    home = Path(environment["HOME"]) if environment.get("HOME") else None
    data = Path(environment["XDG_DATA_HOME"]) if environment.get("XDG_DATA_HOME") else home and home / ".local/share"
    managed = environment.get("UV_PYTHON_INSTALL_DIR")
    uv = Path(managed) if managed else data and data / "uv/python"
    if uv:
        yield from _newest_first(uv.glob("*/bin"))
    pyenv = Path(environment["PYENV_ROOT"]) if environment.get("PYENV_ROOT") else home and home / ".pyenv"
    if pyenv:
        yield from _newest_first(pyenv.glob("versions/*/bin"))
    yield from sorted(Path("/opt/python").glob("*/bin"))
    yield from map(Path, _USUAL_FOLDERS)


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(
        folders, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)], reverse=True
    )


def _pythons_in(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]  # noqa: PTH208 - three times as quick
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_ELF)) == _ELF
    except OSError:
        return False


def _stamp(path: Path) -> str:
    """Return what changes when the executable is replaced, or gets its headers (a package adds them beside it)."""
    try:
        status = path.stat()
        headers = [folder.stat().st_mtime_ns for folder in _header_folders(path) if folder.is_dir()]
    except OSError:
        return "gone"
    return f"{status.st_mtime_ns} {status.st_size} {headers}"


def _header_folders(executable: Path) -> tuple[Path, ...]:
    include = executable.parent.parent / "include"
    return (include / executable.name, include)
