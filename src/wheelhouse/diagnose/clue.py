"""What a rule is, and what it makes of a line: a `Rule` and a line of a log in, a `Clue` out."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MissingKind = Literal["header", "library", "pkg-config", "tool", "cmake"]


class Weight(enum.IntEnum):
    """How sure a line is to be the cause. A probe never hides a fatal line, however early it stands."""

    DECISIVE = 0
    """The machine itself failed: everything else is a consequence."""
    FATAL = 1
    """The tool that says it stops there."""
    PROBE = 2
    """Build scripts try things and go on: the cause only where nothing heavier is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that a system package provides."""

    kind: MissingKind
    name: str
    """Header as included (`libpq-fe.h`), library as linked (`pq`), pkg-config module, program, or CMake package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one failure reads in a log. `rules.toml` holds them and says what each field means."""

    kind: str
    patterns: tuple[re.Pattern[str], ...]
    message: str
    mend: tuple[str, ...] = ()
    missing: MissingKind | None = None
    weight: Weight = Weight.FATAL
    stages: frozenset[str] | None = None

    def search(self, text: str, stage: str) -> re.Match[str] | None:
        """Return where the rule fits a line of that stage of the job. A log without marks is taken for a build's."""
        if self.stages is not None and (stage or "build") not in self.stages:
            return None
        return next((found for pattern in self.patterns if (found := pattern.search(text))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """A line of a log that a rule fits."""

    rule: Rule
    groups: Mapping[str, str]
    line: str
    weight: Weight

    @property
    def missing(self) -> Missing | None:
        """The thing that a system package would provide."""
        if self.rule.missing is None or "name" not in self.groups:
            return None
        return Missing(kind=self.rule.missing, name=self.groups["name"])


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill in `{name}` and its like. Braces that mean nothing stay as they are: a log is anybody's text."""
    return re.sub(r"{([\w-]+)}", lambda found: values.get(found[1], found[0]), template)
