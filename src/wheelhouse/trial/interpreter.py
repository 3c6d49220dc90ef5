"""What runs a trial: a Python of this machine, one in a container, or one of another architecture under emulation.

Each makes `bin/python` of the trial's environment its own and says how a shell script is run beside it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from wheelhouse.process import WORK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wheelhouse.builders.engine import Engine

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The folders of a clean environment: a virtual environment made by hand, as PEP 405 describes it."""

    root: Path
    """The trial's own folder."""
    site: Path
    """Where the wheel is installed; its scripts are in `site/bin`."""

    @property
    def prefix(self) -> Path:
        """Where `pyvenv.cfg` lies."""
        return self.root / "env"

    @property
    def python(self) -> Path:
        """What `python` is during the trial."""
        return self.prefix / "bin/python"

    def variables(self) -> dict[str, str]:
        """Return all that the trial's processes find in their environment: nothing of the caller's."""
        return {
            "PATH": f"{self.python.parent}:{self.site / 'bin'}:{_SYSTEM_PATH}",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "VIRTUAL_ENV": str(self.prefix),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to start a trial: the command, and the environment of the process on this machine."""

    command: Sequence[str | Path]
    env: Mapping[str, str] | None


class Interpreter(Protocol):
    """A Python that can run a wheel."""

    def __str__(self) -> str:
        """Return what it is, for the record."""
        ...

    @property
    def installs_for(self) -> Path | None:
        """The executable that an installer on this machine can ask for its tags; None: it runs somewhere else."""
        ...

    @property
    def home(self) -> PurePosixPath:
        """The folder of its executable, as its own processes see it (`home` of `pyvenv.cfg`)."""
        ...

    def put_into(self, environment: Environment) -> None:
        """Make `environment.python`."""
        ...

    def start(self, script: Sequence[str | Path], environment: Environment, timeout: float) -> Start:
        """Return how to run `sh` with these arguments in the environment; `timeout` is in seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A Python of this machine."""

    executable: Path
    """The real one: neither a shim nor a virtual environment's."""
    version: str
    instead: str = ""
    """Why not a container, where one was asked for."""

    def __str__(self) -> str:
        """Return version and path."""
        because = f"; {self.instead}" if self.instead else ""
        return f"Python {self.version} of this machine ({self.executable}{because})"

    @property
    def installs_for(self) -> Path | None:
        """The executable itself."""
        return self.executable

    @property
    def home(self) -> PurePosixPath:
        """The executable's folder."""
        return PurePosixPath(self.executable.parent)

    def put_into(self, environment: Environment) -> None:
        """Link to the executable."""
        environment.python.symlink_to(self.executable)

    def start(self, script: Sequence[str | Path], environment: Environment, timeout: float) -> Start:  # noqa: ARG002
        """Run the script as it is."""
        return Start(command=["sh", *script], env=_on_this_machine(environment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A Python in a container of its own, without network; the environment is mounted read-only."""

    engine: Engine
    image: str
    executable: PurePosixPath
    """In the image, links followed."""
    platform: str | None
    """OCI's name; None: the machine's own."""

    def __str__(self) -> str:
        """Return image and path."""
        return f"container {self.image} ({self.executable})"

    @property
    def installs_for(self) -> Path | None:
        """None: no program of this machine can ask it."""
        return None

    @property
    def home(self) -> PurePosixPath:
        """The executable's folder in the image."""
        return self.executable.parent

    def put_into(self, environment: Environment) -> None:
        """Link to where the executable is in the image."""
        environment.python.symlink_to(self.executable)

    def start(self, script: Sequence[str | Path], environment: Environment, timeout: float) -> Start:
        """Run the script in a new container.

        The time limit is kept inside too: a client that is killed leaves its container running. By a shell, because
        coreutils' newer `timeout` (9.10) gives up where it is the first process and so has no parent.
        """
        limit = ["sh", "-c", 'timeout "$@"; exit $?', "sh", "-s", "KILL", str(max(1, round(timeout)))]
        command = self.engine.run_command(
            self.image,
            [*limit, "sh", *map(str, script)],
            volumes={environment.root: str(environment.root)},
            platform=self.platform,
            env={**environment.variables(), "HOME": "/tmp"},  # noqa: S108 - the container's own
        )
        return Start(command=command, env={**self.engine.environment, WORK_VARIABLE: str(environment.root.parent)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """A Python of another architecture, its programs run by qemu, its libraries in a folder (`qemu -L`)."""

    emulator: Path
    sysroot: Path
    executable: Path
    """In the sysroot, as this machine sees it."""

    def __str__(self) -> str:
        """Return emulator and path."""
        return f"{self.emulator.name} ({self.executable})"

    @property
    def installs_for(self) -> Path | None:
        """None: an installer would have to be emulated too."""
        return None

    @property
    def home(self) -> PurePosixPath:
        """The executable's folder in the sysroot, by its full path on this machine."""
        return PurePosixPath(self.executable.parent)

    def put_into(self, environment: Environment) -> None:
        """Write a launcher, so that `python` also works where the kernel does not know the emulator (binfmt_misc)."""
        words = [self.emulator, "-L", self.sysroot, "-0", environment.python, self.executable]
        environment.python.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n', "utf-8")
        environment.python.chmod(0o755)

    def start(self, script: Sequence[str | Path], environment: Environment, timeout: float) -> Start:  # noqa: ARG002
        """Run the script with this machine's shell; only `python` is emulated."""
        return Start(command=["sh", *script], env=_on_this_machine(environment))


def _on_this_machine(environment: Environment) -> dict[str, str]:
    scratch = environment.root / "scratch"
    scratch.mkdir(exist_ok=True)
    return {
        **environment.variables(),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        WORK_VARIABLE: str(environment.root.parent),
    }
