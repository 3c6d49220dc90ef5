"""Jobs and their records in; Markdown out: a grid of projects and targets, and why jobs failed.

What a log said stands in it, and a log is anybody's: nothing in it may become a link, a picture or a mention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.job import split_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wheelhouse.record import Record

#: GitHub takes 1 MiB as the summary of a step (bytes).
STEP_LIMIT = 1_000_000
#: And as a comment on a pull request (characters).
COMMENT_LIMIT = 65_000
_LONGEST_TEXT = 300
_MARKS = {"built": "✅", "failed": "❌", "not attempted": "⏭️", "planned": "·", "unavailable": "🚫", "no result": "❓"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a summary is about."""

    jobs: Sequence[str]
    """Ids of all that was to be built."""
    unavailable: Mapping[str, str]
    """Why, by id of what could not be."""
    records: Mapping[str, Record]
    """What came of it, by id."""
    planned: bool
    """Whether nothing has run yet: a job without record is one to come, not one that got lost."""

    def state(self, job: str) -> str:
        """Return what is the matter with a job, as a word of the legend."""
        if job in self.unavailable:
            return "unavailable"
        record = None if self.planned else self.records.get(job)
        if record is None:
            return "planned" if self.planned else "no result"
        if record.status == "failed" and record.cause and record.cause.kind == "dependency":
            return "not attempted"
        return record.status


def summary(subject: Subject, *, limit: int = STEP_LIMIT) -> str:
    """Return a page that is no longer than `limit` bytes: counts, what failed and why, and the grid."""
    states = {job: subject.state(job) for job in (*subject.jobs, *subject.unavailable)}
    counts = ", ".join(
        f"{number} {state}" for state in _MARKS if (number := sum(1 for one in states.values() if one == state))
    )
    page = _Page(limit)
    page.add(f"## Wheels: {counts or 'nothing to build'}\n\n")
    failed = [subject.records[job] for job, state in states.items() if state == "failed"]
    if failed:
        page.add("### What failed\n\n| job | cause | what would mend it |\n|---|---|---|\n")
        page.add_all((_failure(record) for record in failed), "failure")
        page.add("\n")
    if states:
        page.add_grid(states)
    if subject.unavailable:
        page.add("\n### What no machine builds\n\n")
        page.add_all(_reasons(subject.unavailable), "reason")
    return page.text


class _Page:
    """Text that grows up to a limit."""

    def __init__(self, limit: int) -> None:
        self.text = ""
        self._left = limit

    def add(self, text: str) -> bool:
        size = len(text.encode())
        if size > self._left:
            return False
        self._left -= size
        self.text += text
        return True

    def add_all(self, lines: Iterable[str], what: str) -> None:
        """Add lines as long as there is room, and say how many more there are."""
        lines = list(lines)
        room = self._left
        kept: list[str] = []
        for line in lines:
            room -= len(line.encode())
            if room < _LONGEST_TEXT:
                break
            kept.append(line)
        self.add("".join(kept))
        if left := len(lines) - len(kept):
            self.add(f"\n… and {left} {what}{'s' if left > 1 else ''} more.\n")

    def add_grid(self, states: Mapping[str, str]) -> None:
        """Add a table of projects and targets, those with failures first."""
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for job, state in states.items():
            project, version, target = split_id(job)
            rows.setdefault((project, version), {})[target] = state
        targets = sorted({target for row in rows.values() for target in row}, key=_by_platform)
        worst = sorted(rows, key=lambda key: (not {"failed", "no result"} & set(rows[key].values()), key))
        legend = ", ".join(f"{mark} {state}" for state, mark in _MARKS.items() if state in states.values())
        self.add(f"### Grid\n\n{legend}\n\n")
        self.add(f"| project | {' | '.join(target.replace('-', '<br>', 1) for target in targets)} |\n")
        self.add(f"|---{'|:-:' * len(targets)}|\n")
        lines = (
            f"| {_plain(f'{project} {version}')} | {' | '.join(_mark(rows[project, version], t) for t in targets)} |\n"
            for project, version in worst
        )
        self.add_all(lines, "project")


def _mark(row: Mapping[str, str], target: str) -> str:
    return _MARKS[row[target]] if target in row else ""


def _by_platform(target: str) -> tuple[str, str]:
    python, _, platform = target.partition("-")
    return platform, python


def _failure(record: Record) -> str:
    cause = record.cause
    mend = "<br>".join(_plain(line) for line in cause.mend) if cause else ""
    return f"| {_plain(record.job)} | {_plain(cause.message if cause else 'no cause known')} | {mend} |\n"


def _reasons(unavailable: Mapping[str, str]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for job, reason in unavailable.items():
        by_reason.setdefault(reason, []).append(split_id(job)[2])
    for reason, targets in by_reason.items():
        yield f"- {_plain(', '.join(dict.fromkeys(targets)))}: {_plain(reason)}\n"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    line = line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;").replace("://", ":&#47;&#47;")
    return _SPECIAL.sub(r"\\\1", line.replace("www.", "www&#46;"))
