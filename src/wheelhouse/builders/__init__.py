"""How a job is built: the `Builder` protocol, and what goes in and comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.job import BuilderName, Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.requirements import Requirements
    from wheelhouse.source import SourceTree
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.wheel import BuiltWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Why a builder cannot build for a target here."""

    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """All that a builder needs for one job."""

    job: Job
    tree: SourceTree
    """The unpacked, patched source. The builder may write in it."""
    requirements: Requirements
    """The build requirements: a folder of wheels, already verified, that is the build's only index."""
    work: Path
    """An empty folder of the builder's own, at the same path whenever the key is the same."""
    log: JobLog
    processes: Processes
    timeout: float
    """Seconds left for the build."""


class Builder(Protocol):
    """Makes a repaired wheel of a source tree."""

    @property
    def name(self) -> BuilderName:
        """The builder's name."""
        ...

    def unavailable(self, target: BuildIdentifier) -> Unavailable | None:
        """Say why this builder cannot build for `target` on this machine; None: it can. Cheap: it remembers."""
        ...

    def runs_on(self, target: BuildIdentifier) -> BuildIdentifier:
        """Return where the build back end runs: `target` itself, or this machine where it is a cross build."""
        ...

    def prepare(self, job: Job, log: JobLog, *, timeout: float, upgrade: bool = False) -> None:
        """Bring about what `inputs` tells of and `build` needs: an image with the job's system packages.

        `timeout` is in seconds. With `upgrade`, once a run, with the packages' newest versions. Raises what `build`
        raises.
        """
        ...

    def inputs(self, job: Job) -> Mapping[str, str] | None:
        """Return what builder and machine contribute to the build key: `tool.*`, `image.*`, `python.*`, `system.*`.

        None: it is not known before `prepare`. Raises MachineError where the target is not available.
        """
        ...

    def build(self, request: BuildRequest) -> BuiltWheel:
        """Build and repair what `prepare` was called for.

        Raises BuildError (with the log telling why), BuildTimeoutError, MachineError, CanceledError.
        """
        ...
