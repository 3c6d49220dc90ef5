"""A target in, a folder of programs out that a build takes for gcc: `cc`, `c++`, `ar`, `ranlib`, backed by `zig cc`.

zig brings its own C library headers for every glibc since 2.17, and for every architecture: what it links runs on old
systems.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.builders.zigcc.driver import Settings

_DRIVER = Path(__file__).with_name("driver.py")
#: Program name -> zig's subcommand. The last two are what cross-compiling build systems look for.
_PROGRAMS = {"cc": "cc", "c++": "c++", "ar": "ar", "ranlib": "ranlib", "gcc": "cc", "g++": "c++"}
#: The kernel reads this much of a shebang line; a longer path goes by way of `sh`.
_SHEBANG_LIMIT = 120

#: zig's name of an architecture where it is not cibuildwheel's, with the triplet that gcc has.
_ZIG_ARCH = {"i686": "x86", "armv7l": "arm", "ppc64le": "powerpc64le"}
_ABI = {"armv7l": "gnueabihf"}
#: The oldest glibc that zig and auditwheel both know for an architecture.
_GLIBC = {"riscv64": "2.31", "loongarch64": "2.36", "armv7l": "2.31"}
_OLDEST_GLIBC = "2.17"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZigTarget:
    """What zig compiles for."""

    arch: str
    """As cibuildwheel has it."""
    libc: str
    """`glibc` or `musl`."""

    @property
    def glibc(self) -> str | None:
        """The glibc that is linked against; None with musl."""
        return None if self.libc == "musl" else _GLIBC.get(self.arch, _OLDEST_GLIBC)

    @property
    def triplet(self) -> str:
        """As gcc and Debian's multiarch have it, e.g. `aarch64-linux-gnu`."""
        arch = {"i686": "i386", "armv7l": "arm"}.get(self.arch, self.arch)
        return f"{arch}-linux-{self._abi}"

    @property
    def text(self) -> str:
        """As zig has it, e.g. `aarch64-linux-gnu.2.17`."""
        name = f"{_ZIG_ARCH.get(self.arch, self.arch)}-linux-{self._abi}"
        return f"{name}.{self.glibc}" if self.glibc else name

    @property
    def _abi(self) -> str:
        return "musl" if self.libc == "musl" else _ABI.get(self.arch, "gnu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zig:
    """An installed zig."""

    executable: Path
    version: str


def find_zig() -> Zig | None:
    """Return the zig of the `ziglang` distribution beside us; None where it is not installed."""
    spec = importlib.util.find_spec("ziglang")
    try:
        number = version("ziglang")
    except PackageNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    executable = Path(spec.submodule_search_locations[0]) / "zig"
    return Zig(executable=executable, version=number) if executable.is_file() else None


def write_programs(
    folder: Path, *, zig: Zig, target: ZigTarget, always: Sequence[str] = (), linking: Sequence[str] = ()
) -> None:
    """Write the programs into `folder`, which is made.

    `always` are flags for every compilation, `linking` for every link.
    """
    settings: Settings = {
        "zig": os.fspath(zig.executable),
        "target": target.text,
        "triplet": target.triplet,
        "always": list(always),
        "linking": list(linking),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, mode in _PROGRAMS.items():
        path = folder / name
        path.write_text(_program(mode, settings), "utf-8")
        path.chmod(0o755)


def _program(mode: str, settings: Settings) -> str:
    # The real interpreter rather than a virtual environment's: there is no pyvenv.cfg to be looked for.
    python = os.path.realpath(sys.executable)
    body = (
        "import sys\n"
        f"sys.path.insert(0, {os.fspath(_DRIVER.parent)!r})\n"
        "import driver\n"
        f"driver.run({mode!r}, {settings!r}, sys.argv[1:])\n"
    )
    if len(python) < _SHEBANG_LIMIT and " " not in python:
        return f"#!{python} -ISE\n{body}"
    # A line that is a comment to sh's `exec` and a string to Python: see the polyglot in pip's own script launchers.
    return f"#!/bin/sh\n'''exec' \"{python}\" -ISE \"$0\" \"$@\"\n' '''\n{body}"
