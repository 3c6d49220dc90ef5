"""A Python and resolved build requirements in, a virtual environment of a build's own out.

Each pair is installed once, with bytecode, and kept in the cache; a build gets a copy. Installing and compiling
setuptools anew costs more than all of a small extension. A copy, never links: a build may write into its environment,
and would write into that of every later build.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.builders.kept import kept_folder
from wheelhouse.process import WORK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wheelhouse.builders.interpreters import Interpreter
    from wheelhouse.process import Processes
    from wheelhouse.requirements import Requirements

#: Raised when environments are made otherwise.
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentMaker:
    """What making environments takes, for one build."""

    cache: Path
    processes: Processes
    path: str
    """PATH of the commands that are run."""
    work: Path
    """What the commands belong to."""
    log: Path
    deadline: float
    """Of the monotonic clock."""

    def make(self, destination: Path, *, python: Interpreter, requirements: Requirements) -> Path:
        """Make an environment at `destination` that holds the requirements and nothing else; return its Python.

        Raises Failure where the requirements cannot be installed, and what `Processes.run` raises.
        """
        kept = self._kept(python, requirements)
        self._run(["cp", "-RPp", kept, destination])
        return destination / "bin/python"

    def _kept(self, python: Interpreter, requirements: Requirements) -> Path:
        """Return the environment to copy, made now if nobody did before."""
        return kept_folder(
            self.cache / "environments",
            _digest(python, requirements),
            lambda target: self._install(target, python, requirements),
            go_on=self.processes.go_on,
        )

    def _install(self, target: Path, python: Interpreter, requirements: Requirements) -> None:
        from uv import find_uv_bin  # noqa: PLC0415 - start-up time

        uv, executable = find_uv_bin(), target / "bin/python"
        # Relocatable: the scripts in it find their Python beside themselves, wherever they are copied to.
        self._run([uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", python.executable, target])
        wheels = [requirements.folder / pin.filename for pin in requirements.lock.pins]
        if wheels:
            install: list[str | Path] = [
                uv,
                "pip",
                "install",
                "--quiet",
                "--no-index",
                "--no-deps",
                "--python",
                executable,
            ]
            self._run([*install, *wheels])
            # What does not compile (templates, tests of syntax) would not be imported either.
            self._run([executable, "-I", "-m", "compileall", "-qq", target / "lib"], check=False)

    def _run(self, command: Sequence[str | Path], *, check: bool = True) -> None:
        left = max(self.deadline - time.monotonic(), 0.1)
        self.processes.run(command, env=self._variables(), log=self.log, timeout=left, check=check)

    def _variables(self) -> Mapping[str, str]:
        return {
            "PATH": self.path,
            "HOME": os.fspath(self.work),
            "UV_CACHE_DIR": os.fspath(self.cache / "uv"),
            # Not hard links: these files are copied for builds, but the cache of uv serves others too.
            "UV_LINK_MODE": "copy",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_OFFLINE": "1",
            "UV_NO_CONFIG": "1",
            WORK_VARIABLE: os.fspath(self.work),
        }


def _digest(python: Interpreter, requirements: Requirements) -> str:
    pins = [[pin.filename, pin.sha256] for pin in requirements.lock.pins]
    text = json.dumps([_FORMAT, os.fspath(python.executable), python.build, pins])
    return hashlib.sha256(text.encode()).hexdigest()
