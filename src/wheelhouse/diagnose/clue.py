"""What a rule is, and what it makes of a line: a `Rule` and a line of a log in, a `Clue` out."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MissingKind = Literal["header", "library", "pkg-config", "tool", "cmake"]


class Weight(enum.IntEnum):
    """How sure a line is to be the cause. A lighter one never hides a heavier one, however early it stands."""

    DECISIVE = 0
    """The machine itself failed: everything after it is a consequence."""
    FATAL = 1
    """The tool that says it stops there."""
    PROBE = 2
    """Build scripts try things and go on: only the cause where nothing heavier is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that a system package provides."""

    kind: MissingKind
    name: str
    """Header as included (`libpq-fe.h`), library as linked (`pq`), module as pkg-config has it (`libpq`), program, or CMake package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one failure reads in a log. Of all rules that fit a line, the first counts."""

    kind: str
    """`Cause.kind` of the record; documented there."""
    pattern: re.Pattern[str]
    message: str
    """What is wrong; `{name}` stands for the group of that name, and `{python}` for the job's Python."""
    mend: tuple[str, ...] = ()
    """Lines for the recipe, best first, with the same substitutions and `{python_tag}`."""
    missing: MissingKind | None = None
    """What kind of thing the group `name` is, where a system package provides it."""
    weight: Weight = Weight.FATAL
    stages: frozenset[str] | None = None
    """Stages of the job in which the line means this; None: in any."""

    def applies(self, stage: str) -> bool:
        """Say whether the line counts in this stage of the job; an empty stage is one that is not known."""
        return self.stages is None or not stage or stage in self.stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """A line of a log that a rule fits."""

    rule: Rule
    groups: Mapping[str, str]
    line: str
    number: int
    """Position in what was read of the log."""
    weight: Weight

    @property
    def missing(self) -> Missing | None:
        """The thing that a system package would provide."""
        if self.rule.missing is None or "name" not in self.groups:
            return None
        return Missing(kind=self.rule.missing, name=self.groups["name"])


@dataclass(frozen=True, slots=True)
class Template:
    """Fills in `{name}` and its like; braces that mean nothing stay as they are, since logs are anybody's text."""

    values: Mapping[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return `text` with what is known filled in."""
        return re.sub(r"{(\w+)}", lambda found: self.values.get(found[1], found[0]), text)
