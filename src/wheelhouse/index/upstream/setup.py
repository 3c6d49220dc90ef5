"""`[mirror]` of wheelhouse.toml and a workspace in, what a mirror has to know out."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from wheelhouse.config import Config, configured_index, index_url
from wheelhouse.errors import UsageError
from wheelhouse.index.upstream.address import Upstream
from wheelhouse.index.upstream.mirror import MirrorSetup
from wheelhouse.index.upstream.rules import MirrorRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wheelhouse.config import MirrorSettings, ServeSettings, Workspace

_MEGABYTE = 10**6
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def mirror_setup(
    workspace: Workspace,
    mirror: MirrorSettings,
    environment: Mapping[str, str],
    *,
    serve: ServeSettings | None = None,
) -> MirrorSetup | None:
    """Take the settings of a workspace; `mirror` is its own table, or one that the command line changed.

    None: nothing is mirrored. `serve` says where this index will be, which cannot mirror itself. Raises UsageError
    where an upstream's address is none, or this index's own.
    """
    if not mirror.enabled:
        return None
    return MirrorSetup(
        folder=workspace.mirror,
        upstreams=_upstreams(workspace.config, mirror, environment, serve or workspace.config.serve),
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
    config: Config, mirror: MirrorSettings, environment: Mapping[str, str], serve: ServeSettings
) -> Callable[[], Sequence[Upstream]]:
    """Return how the upstreams are found. What was configured is looked at now: a mistake is told at the start."""
    named = tuple(Upstream.parse(text) for text in mirror.upstreams)
    if any(_is_here(upstream, serve) for upstream in named):
        raise UsageError(
            "this index would mirror itself", where="mirror.upstreams", hint="name another, or serve with --no-mirror"
        )
    if named:
        return lambda: named
    configured = configured_index(config, environment)
    default = Upstream.parse(configured) if configured is not None else None
    if default is not None and not _is_here(default, serve):  # else clients on this machine are set up for us
        return lambda: (default,)
    return cache(lambda: (Upstream.parse(index_url(Config(), {})),))


def _is_here(upstream: Upstream, serve: ServeSettings) -> bool:
    if serve.url and upstream.url.startswith(serve.url):
        return True
    place = urlsplit(upstream.url)
    port = place.port or (443 if place.scheme == "https" else 80)
    return place.hostname in {*_LOOPBACK, serve.host} and port == serve.port
