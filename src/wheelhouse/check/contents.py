"""What the checks look at: a wheel's members, read once, and what its job expects of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.check.elf import Elf
    from wheelhouse.job import Job
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.wheel import WheelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a recipe says of the wheel that its job gives."""

    project: NormalizedName
    version: Version
    build_number: int = 0
    target: BuildIdentifier | None = None
    """None: any."""
    allow_grafted: tuple[str, ...] = ()
    """Libraries that may have been grafted (`libpq`, or a pattern)."""
    exclude: tuple[str, ...] = ()
    """Libraries that are left to the machine that installs the wheel (patterns of sonames)."""
    extension: bool = True
    abi3: bool = False

    @classmethod
    def of(cls, job: Job) -> Expectation:
        """Return what a job's wheel must be."""
        return cls(
            project=job.project,
            version=job.version,
            build_number=job.build_number,
            target=job.target,
            allow_grafted=job.repair.allow_grafted,
            exclude=job.repair.exclude,
            extension=job.extension,
            abi3=job.abi3,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a wheel, read to its end."""

    name: str
    size: int
    """Bytes, unpacked."""
    mode: int
    """Unix mode, 0 where the archive has none."""
    digests: Mapping[str, str]
    """By hash algorithm, as RECORD spells them; sha256 is always there."""
    elf: Elf | None = None
    """What it is as a binary; None: it is none, or a damaged one."""
    build_paths: tuple[str, ...] = ()
    """Paths of a build machine in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A wheel, read once."""

    name: WheelName
    members: tuple[Member, ...]
    """Files that could be read, in the archive's order."""
    dist_info: str | None
    """`name-version.dist-info`; None where there is none, or no single one."""
    texts: Mapping[str, bytes] = field(default_factory=dict)
    """Small files of `.dist-info` by their path under it, e.g. `METADATA`."""

    @property
    def binaries(self) -> tuple[tuple[Member, Elf], ...]:
        """The ELF files that are loaded or run: no object files."""
        return tuple((member, member.elf) for member in self.members if member.elf is not None and member.elf.is_loaded)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags, sorted."""
        return tuple(sorted({tag.platform for tag in self.name.tags}))

    def under_dist_info(self, name: str) -> str:
        """Return the path of a file of `.dist-info`, for a finding's `where`."""
        return f"{self.dist_info or '*.dist-info'}/{name}"
