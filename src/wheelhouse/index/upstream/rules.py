"""`[mirror]` in, for any project what upstream may be asked and which of its files may be seen out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest, Policy

NO_AGE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whose files of one project are shown."""

    ours: bool
    theirs: bool
    """Upstream may be asked."""
    denied: bool
    """Upstream would be asked, and a rule forbids it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRules:
    """What was configured. A project without a policy there has its manifest's; without a manifest, it is mirrored."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    """By pattern: a normalised name in which `*` stands for any characters. The longest that fits counts."""
    allow: tuple[str, ...] = ()
    """Patterns; empty: all."""
    deny: tuple[str, ...] = ()
    """Patterns; stronger than `allow`."""
    min_age: timedelta = NO_AGE
    """Files of upstream that are younger are not shown yet."""
    min_ages: Mapping[str, timedelta] = field(default_factory=dict)
    """By pattern, instead of `min_age`."""

    def policy(self, project: NormalizedName, manifest: Manifest | None) -> Policy:
        """Return a project's policy."""
        pattern = _closest(self.policies, project)
        if pattern is not None:
            return self.policies[pattern]
        return manifest.policy if manifest is not None else "mirror"

    def standing(self, project: NormalizedName, manifest: Manifest | None) -> Standing:
        """Say whose files of a project are shown."""
        policy = self.policy(project, manifest)
        if policy == "private":
            return Standing(ours=True, theirs=False, denied=False)
        allowed = self._allows(project)
        return Standing(ours=policy == "overlay", theirs=allowed, denied=not allowed)

    def age_of(self, project: NormalizedName) -> timedelta:
        """Return how old upstream's files of a project have to be."""
        pattern = _closest(self.min_ages, project)
        return self.min_age if pattern is None else self.min_ages[pattern]

    def _allows(self, project: NormalizedName) -> bool:
        if any(_fits(pattern, project) for pattern in self.deny):
            return False
        return not self.allow or any(_fits(pattern, project) for pattern in self.allow)


def _closest(patterns: Mapping[str, object], project: NormalizedName) -> str | None:
    return max((pattern for pattern in patterns if _fits(pattern, project)), key=_exactness, default=None)


def _exactness(pattern: str) -> tuple[bool, int]:
    return "*" not in pattern, len(pattern)


def _fits(pattern: str, project: NormalizedName) -> bool:
    expression = re.escape(canonicalize_name(pattern)).replace(r"\*", ".*")
    return re.fullmatch(expression, project) is not None
