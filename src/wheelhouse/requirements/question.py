"""A job and its source's facts in, the question to the resolver out; its digest is the name of the answer."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from wheelhouse.requirements.platforms import platform_of
from wheelhouse.wheel import WheelName, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wheelhouse.job import Job
    from wheelhouse.requirements.platforms import Platform
    from wheelhouse.source import SourceFacts
    from wheelhouse.target import BuildIdentifier

#: What images have is asked for anyway (`platforms.py`).
_GLIBC_OF_IMAGES = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWheel:
    """A wheel that a job of ours built and this one depends on."""

    path: Path
    name: WheelName
    sha256: str


@dataclass(frozen=True, kw_only=True)  # no slots: the digest is kept
class Question:
    """What the resolver is asked. Jobs that ask the same share one answer."""

    requires: tuple[str, ...]
    constraints: tuple[str, ...]
    setuptools: bool
    """Whether setuptools is the back end: old versions of it ask for `wheel`."""
    python: str
    """`3.13`, `3.13t`."""
    interpreter: str
    """Python tag, e.g. `cp313`."""
    platform: Platform
    own: tuple[OwnWheel, ...]
    """At most one a project, each fit for the platform."""

    def table(self) -> Mapping[str, object]:
        """Return the question as JSON takes it."""
        return {
            "requires": self.requires,
            "constraints": self.constraints,
            "setuptools": self.setuptools,
            "python": self.python,
            "interpreter": self.interpreter,
            "platform": self.platform.name,
            "own": {wheel.name.filename: wheel.sha256 for wheel in self.own},
        }

    @functools.cached_property
    def digest(self) -> str:
        """Name of the question."""
        return hashlib.sha256(json.dumps(self.table(), sort_keys=True).encode()).hexdigest()


def ask(facts: SourceFacts, job: Job, *, own_wheels: Sequence[Path], machine: BuildIdentifier | None) -> Question:
    """Put the question: what does building this job need on the machine that builds it (default: the target's)."""
    runs_on = machine or job.target
    named = job.image or job.cibuildwheel.get(f"{runs_on.family}-{runs_on.arch}-image")
    image = named if isinstance(named, str) else _glibc_of(own_wheels)
    return _question(
        (*facts.requires, *job.requires),
        job.constraints,
        setuptools=facts.backend.startswith("setuptools."),
        runs_on=runs_on,
        image=image,
        own=_fitting(own_wheels, platform_of(runs_on, image=image)) if own_wheels else (),
    )


def _glibc_of(own_wheels: Sequence[Path]) -> str | None:
    """Return the newest glibc that one of our wheels asks for, as an image's name has it; None: what images have does.

    The host builder grafts this machine's libraries, so what it built may need more than any image has, and runs here.
    """
    found = [re.search(r"manylinux_2_(\d+)_\w+\.whl$", path.name) for path in own_wheels]
    newest = max((int(match[1]) for match in found if match), default=0)
    return f"manylinux_2_{newest}" if newest > _GLIBC_OF_IMAGES else None


@functools.cache  # a registry of a thousand recipes asks few different questions
def _question(
    requires: tuple[str, ...],
    constraints: tuple[str, ...],
    *,
    setuptools: bool,
    runs_on: BuildIdentifier,
    image: str | None,
    own: tuple[OwnWheel, ...],
) -> Question:
    return Question(
        requires=_in_order(requires),
        constraints=_in_order(constraints),
        setuptools=setuptools,
        python=runs_on.python_version,
        interpreter=runs_on.python_tag,
        platform=platform_of(runs_on, image=image),
        own=own,
    )


def _in_order(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({str(Requirement(text)) for text in texts}))


def _fitting(paths: Sequence[Path], platform: Platform) -> tuple[OwnWheel, ...]:
    """Return the newest wheel of each project that the platform can install."""
    tags = frozenset(platform.tags)
    best: dict[str, tuple[WheelName, Path]] = {}
    for path in paths:
        name = WheelName.parse(path.name)
        rival = best.get(name.project)
        if name.tags & tags and (rival is None or (rival[0].version, rival[0].build) < (name.version, name.build)):
            best[name.project] = (name, path)
    return tuple(OwnWheel(path=path, name=name, sha256=sha256_of(path)) for _, (name, path) in sorted(best.items()))
