"""A build that lacked what no package here has in; the newest older version of its project that does without out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wheelhouse.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.survey import Survey
    from wheelhouse.lifecycle.upstream import Release
    from wheelhouse.record import Record

    #: Fetches `project==version` and reads its source.
    Look = Callable[[str], tuple[Found, Survey]]

#: Versions that are looked at: the last of each series, as 1.2 is one.
_MOST = 10
_NAME = re.compile(r"`([^`]+)`")


def lacking(record: Record | None) -> str | None:
    """Return the header, library, tool or module of pkg-config that a build ended for want of; None: of nothing."""
    cause = record.cause if record is not None else None
    if cause is None or not cause.kind.startswith("missing-"):
        return None
    found = _NAME.search(cause.message)
    return found[1] if found else None


def older_without(
    name: str, found: Found, said: Survey, *, releases: Sequence[Release], look: Look
) -> tuple[Found, Survey] | None:
    """Return the newest version before `found` whose source does not ask for `name`, where that of `found` does.

    `releases` are the project's, newest first.
    """
    if name not in said.wants:
        return None
    series = {found.version.release[:2]}
    for release in releases:
        version = release.version
        if version >= found.version or version.is_prerelease or release.yanked or release.sdist is None:
            continue
        if version.release[:2] in series:
            continue
        series.add(version.release[:2])
        if len(series) > _MOST:
            break
        try:
            older, told = look(f"{found.project}=={version}")
        except SourceError:
            continue
        if name not in told.wants:
            return older, told
    return None
