"""Names of Debian packages in; those that this machine lacks out, and installed where that is asked for."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wheelhouse.errors import MachineError
from wheelhouse.process import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.process import Completed, Processes

_TIMEOUT = 900.0
_UNKNOWN = re.compile(r"E: (?:Unable to locate package (\S+)|Package '([^']+)' has no installation candidate)")
_BUSY = "-o=DPkg::Lock::Timeout=300"


class Machine(Protocol):
    """Where a build's system packages have to be."""

    def lacking(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Return those that are not installed."""
        ...

    def install(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Install packages, and return the names of which there are none. Raises MachineError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Builds run in images, which get their packages by themselves."""

    def lacking(self, packages: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        """Return nothing."""
        return ()

    def install(self, packages: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        """Do nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """This machine, where it is a Debian or one of its like; of any other nothing is known, so nothing is lacking."""

    processes: Processes
    may_install: bool
    """Whether it was allowed to change the machine."""

    def lacking(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Return those that dpkg does not have installed."""
        if not packages or shutil.which("dpkg-query") is None:
            return ()
        command = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *packages]
        said = self.processes.run(command, env=_environment(), check=False).output
        installed = {line.split()[0] for line in said.splitlines() if line.split()[1:2] == ["ii"]}
        return tuple(name for name in packages if name not in installed)

    def install(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Install by apt-get; once more with new lists where it does not succeed."""
        command = ["apt-get", "install", "--yes", "--no-install-recommends", _BUSY, *packages]
        if not self.may_install:
            raise MachineError(
                f"the build needs {', '.join(packages)}, not installed here",
                hint=f"`{show(command[:3])} {' '.join(packages)}` as root, or --install, or --builder cibuildwheel",
            )
        if os.geteuid() != 0:
            raise MachineError(
                "only root can install packages", hint=f"as root: {show(command[:3])} {' '.join(packages)}"
            )
        done = self._run(command)
        if done.returncode:  # its lists may be old, or not there
            self._run(["apt-get", "update", _BUSY])
            done = self._run(command)
        unknown = _unknown(done)
        left = [name for name in packages if name not in unknown]
        if done.returncode and unknown and left:
            done = self._run([*command[:5], *left])
        if done.returncode and left:
            last = [line for line in done.output.splitlines() if line.strip()][-1:]
            raise MachineError(f"apt-get did not install {', '.join(left)}: {''.join(last)}")
        return unknown

    def _run(self, command: Sequence[str]) -> Completed:
        return self.processes.run(command, env=_environment(), timeout=_TIMEOUT, check=False)


def _unknown(done: Completed) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one or other for one, other in _UNKNOWN.findall(done.output)))


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
