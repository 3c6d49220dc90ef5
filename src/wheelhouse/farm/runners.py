"""A build identifier in; the machine of GitHub's that builds it out, and a planner's `Facts` of such machines.

What can be built is judged by those machines, not by the one that plans. Native ones wherever there are any; emulation
(QEMU, by the kernel's binfmt_misc) for the architectures of Linux that GitHub has no machine of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.builders import Unavailable
from wheelhouse.plan import BuilderChoice
from wheelhouse.selection import Machines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.config import BuilderChoice as BuilderSetting
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.record import Record
    from wheelhouse.target import BuildIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A kind of machine."""

    label: str
    """What `runs-on` takes."""
    emulates: str = ""
    """The architecture that has to be emulated, as docker calls it; empty: none."""


_LINUX = {
    "x86_64": Runner(label="ubuntu-24.04"),
    "i686": Runner(label="ubuntu-24.04"),
    "aarch64": Runner(label="ubuntu-24.04-arm"),
    "armv7l": Runner(label="ubuntu-24.04", emulates="arm"),
    "ppc64le": Runner(label="ubuntu-24.04", emulates="ppc64le"),
    "riscv64": Runner(label="ubuntu-24.04", emulates="riscv64"),
    "s390x": Runner(label="ubuntu-24.04", emulates="s390x"),
}
_RUNNERS: Mapping[str, Mapping[str, Runner]] = {
    "manylinux": _LINUX,
    "musllinux": _LINUX,
    "macosx": {
        "arm64": Runner(label="macos-15"),
        "universal2": Runner(label="macos-15"),
        "x86_64": Runner(label="macos-15-intel"),
    },
    "win": {
        "AMD64": Runner(label="windows-2025"),
        "x86": Runner(label="windows-2025"),
        "ARM64": Runner(label="windows-11-arm"),
    },
}
#: What is built on GitHub when nothing is said: what it has machines of. macOS and Windows for who names them.
MACHINES = Machines(
    archs=frozenset({"x86_64", "aarch64", "arm64", "AMD64"}),
    families=frozenset({"manylinux", "musllinux"}),
    named=frozenset({"macosx", "win"}),
    where="on GitHub's machines",
)
_NOT_ON_THE_MACHINE = Unavailable(
    reason="the host builder needs a machine with that C library and architecture, and GitHub has none",
    hint="leave the builder to `auto`: it takes containers there",
)
_NO_PURE_WHEELS = Unavailable(
    reason="cibuildwheel makes no wheels without an extension", hint="leave the builder alone"
)


def runner(target: BuildIdentifier) -> Runner | None:
    """Return what builds `target`; None: there is nothing."""
    return _RUNNERS.get(target.family, {}).get(target.arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFacts:
    """Facts of machines that start empty: who can build is known, and nothing was built before."""

    setting: BuilderSetting

    def builder(self, job: Job) -> BuilderChoice | Unavailable:
        """Say who builds the job on the machine that it will run on."""
        found = runner(job.target)
        if found is None:
            return Unavailable(
                reason=f"GitHub has no machine for {job.target.platform_tag}",
                hint="take it out of targets.build, or build it elsewhere",
            )
        if self.setting == "cibuildwheel" and not job.extension:
            return _NO_PURE_WHEELS
        if self.setting == "host" or not job.extension:
            foreign = found.emulates or job.target.family == "musllinux" or job.target.arch in {"i686", "x86"}
            return _NOT_ON_THE_MACHINE if foreign else BuilderChoice(name="host", reason=f"on {found.label}")
        return BuilderChoice(name="cibuildwheel", reason=f"on {found.label}")

    def inputs(self, job: Job, builder: BuilderName, depends: Mapping[str, str]) -> Mapping[str, str] | None:  # noqa: ARG002 - as Facts has it
        """Return None: they are found out where the job runs."""
        return None

    def finished(self, key: str) -> bool:  # noqa: ARG002 - as Facts has it
        """Say that no result is there."""
        return False

    def latest(self, job: Job) -> Record | None:  # noqa: ARG002 - as Facts has it
        """Return None: no cell is told why its jobs are built, and a registry has records by the ten thousand."""
        return None
