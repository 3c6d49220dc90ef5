"""`upload:acme-*` in, a frozen scope out: what the holder of a token may do, and to which projects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_PATTERN = re.compile(r"[A-Za-z0-9._*-]+")


class Action(StrEnum):
    """What can be done to a project on the index."""

    READ = "read"
    UPLOAD = "upload"
    """Also: see and decide what is staged."""
    YANK = "yank"
    DELETE = "delete"
    ADMIN = "admin"
    """Set a project's status and policy; nothing else."""
    METRICS = "metrics"
    """Read the numbers of the server: of all projects, so its pattern is `*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One action on the projects that fit a pattern."""

    action: Action
    pattern: str
    """A normalised name in which `*` stands for any characters."""

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Parse `action:pattern`; any spelling of a name means the same. Raises UsageError."""
        action, _, pattern = text.partition(":")
        if action not in set(Action) or not _PATTERN.fullmatch(pattern):
            raise UsageError(
                f"`{text}` is no scope",
                hint=f"an action ({', '.join(Action)}), a colon and a project's name with `*`, as in upload:acme-*",
            )
        return cls(action=Action(action), pattern=canonicalize_name(pattern))

    def __str__(self) -> str:
        """Return the text that `parse` takes."""
        return f"{self.action}:{self.pattern}"

    def allows(self, action: Action, project: NormalizedName | None) -> bool:
        """Say whether this covers an action; None stands for the list of all projects, which takes `*`."""
        if action is not self.action:
            return False
        if project is None:
            return self.pattern == "*"
        return re.fullmatch(re.escape(self.pattern).replace(r"\*", ".*"), project) is not None
