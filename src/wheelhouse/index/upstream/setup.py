"""`[mirror]` of wheelhouse.toml and a workspace in, what a mirror has to know out."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.config import configured_index, index_url
from wheelhouse.index.upstream.address import Upstream
from wheelhouse.index.upstream.mirror import MirrorSetup
from wheelhouse.index.upstream.rules import MirrorRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wheelhouse.config import Config, MirrorSettings, Workspace

_MEGABYTE = 10**6


def mirror_setup(workspace: Workspace, mirror: MirrorSettings, environment: Mapping[str, str]) -> MirrorSetup | None:
    """Take the settings of a workspace; `mirror` is its own table, or one that the command line changed.

    None: nothing is mirrored. Raises UsageError where an upstream's address is none.
    """
    if not mirror.enabled:
        return None
    return MirrorSetup(
        folder=workspace.mirror,
        upstreams=_upstreams(workspace.config, mirror, environment),
        rules=MirrorRules(
            policies={canonicalize_name(pattern): policy for pattern, policy in mirror.policy.items()},
            allow=tuple(canonicalize_name(pattern) for pattern in mirror.allow),
            deny=tuple(canonicalize_name(pattern) for pattern in mirror.deny),
            min_age=timedelta(seconds=mirror.min_age),
            min_ages={canonicalize_name(pattern): timedelta(seconds=age) for pattern, age in mirror.min_age_of.items()},
        ),
        budget=mirror.budget_megabytes * _MEGABYTE,
        offline=mirror.offline,
    )


def _upstreams(
    config: Config, mirror: MirrorSettings, environment: Mapping[str, str]
) -> Callable[[], Sequence[Upstream]]:
    """Return how the upstreams are found. What was configured is looked at now: a mistake is told at the start."""
    configured = configured_index(config, environment)
    texts = mirror.upstreams or ((configured,) if configured is not None else ())
    if texts:
        upstreams = tuple(Upstream.parse(text) for text in texts)
        return lambda: upstreams
    return cache(lambda: (Upstream.parse(index_url(config, environment)),))  # takes long: a library has the address
