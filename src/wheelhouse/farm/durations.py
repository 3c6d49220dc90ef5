"""Records of earlier jobs in; how long a job will take out."""

from __future__ import annotations

import os
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING

import orjson

from wheelhouse.farm.runners import runner
from wheelhouse.job import split_id
from wheelhouse.record import FILE_NAME
from wheelhouse.target import known_identifiers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.job import Job
    from wheelhouse.target import BuildIdentifier

#: Seconds, for a project of which nothing is known.
UNKNOWN = 120.0
#: How many times as long a build takes where the processor is emulated.
EMULATION = 4.0


def read_durations(jobs: Path) -> dict[str, float]:
    """Return the seconds that jobs took, by id, of those of which the folder of records has one that was built."""
    found: dict[str, float] = {}
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = os.listdir(jobs)  # noqa: PTH208 - names only, and many
    for name in names:
        # A registry has records by the ten thousand: no model, no paths. What is no record says nothing.
        with suppress(OSError, ValueError, KeyError, TypeError):
            with open(f"{jobs}/{name}/{FILE_NAME}", "rb", buffering=0) as file:  # noqa: PTH123 - likewise
                record = orjson.loads(file.read())
            if record["status"] == "built":
                found[name] = float(record["seconds"])
    return found


class Durations:
    """What is known of how long jobs took."""

    def __init__(self, known: Mapping[str, float]) -> None:
        """Take seconds by job id, of jobs that were built."""
        self._known = known
        self._projects: dict[str, list[float]] = {}
        for id_, seconds in known.items():
            project, _, target = split_id(id_)
            if identifier := known_identifiers().get(target):
                self._projects.setdefault(project, []).append(seconds / _factor(identifier))
        self._usual = {project: median(times) for project, times in self._projects.items()}

    def estimate(self, job: Job) -> float:
        """Return the seconds that the job took, else what the project's others took, else what is usual."""
        if (seconds := self._known.get(job.id)) is not None:
            return seconds
        return self._usual.get(job.project, UNKNOWN) * _factor(job.target)


def _factor(target: BuildIdentifier) -> float:
    machine = runner(target)
    return EMULATION if machine is not None and machine.emulates else 1.0
