"""The names of all projects and a query in, one page of those that fit out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packaging.utils import NormalizedName

PER_PAGE = 50
LONGEST_QUERY = 200
_SEPARATORS = re.compile(r"[-_.\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One page of what was found."""

    query: str
    """As it was typed."""
    names: tuple[NormalizedName, ...]
    """The best first."""
    total: int
    page: int
    """From 1."""
    pages: int

    @property
    def first(self) -> int:
        """The number of the first name on this page, from 1."""
        return (self.page - 1) * PER_PAGE + 1


def search(
    names: Sequence[NormalizedName], query: str, *, page: int = 1, reads: Callable[[NormalizedName], bool] | None = None
) -> Results:
    """Find projects: the very name, then names that begin so, names with a part that does, and all with it inside.

    `names` are in order; `reads` says which of them are shown, None: all. A page beyond the last is the last.
    """
    wanted = _SEPARATORS.sub("-", query[:LONGEST_QUERY].strip().lower()).strip("-")
    found = [name for name in names if wanted in name] if wanted else names
    if reads is not None:
        found = [name for name in found if reads(name)]
    if wanted:
        found = sorted(found, key=lambda name: _rank(name, wanted))  # stable: names of one rank stay in order
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, page), pages)
    shown = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    return Results(query=query[:LONGEST_QUERY].strip(), names=tuple(shown), total=len(found), page=page, pages=pages)


def _rank(name: str, wanted: str) -> int:
    if name == wanted:
        return 0
    if name.startswith(wanted):
        return 1
    return 2 if f"-{wanted}" in name else 3
