"""`[serve]` of wheelhouse.toml and a workspace in, what a server has to know out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from wheelhouse.errors import UsageError
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.changes.wheelfile import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.config import ServeSettings, TrustedPublisher, Workspace
    from wheelhouse.index.telling.logs import AccessLog
    from wheelhouse.index.upstream.mirror import MirrorSetup

MEBIBYTE = 2**20
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """What trusted publishing has to know."""

    publishers: tuple[TrustedPublisher, ...]
    audience: str
    signing_key: Path
    used: Path
    """The folder of identity tokens that were used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferSettings:
    """What of this machine's disk bridges an outage of the store."""

    spool: Path
    """Folder of what was acknowledged and is not yet in the store. Servers of one machine may share it."""
    spool_bytes: int
    cache: Path
    """Folder of the store's last manifests and, of a store elsewhere, of some of its files."""
    cache_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDatabaseSettings:
    """A MongoDB that gets a record of every upload."""

    url: str
    """Without user and password."""
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, address: str, environment: Mapping[str, str]) -> AuditDatabaseSettings:
        """Take `mongodb://user@host/database` apart; the password is `WHEELHOUSE_AUDIT_PASSWORD`."""
        place = urlsplit(address)
        user, _, hosts = place.netloc.rpartition("@")
        return cls(
            url=urlunsplit(place._replace(netloc=hosts)),
            database=place.path.strip("/"),
            user=unquote(user) or None,
            password=environment.get("WHEELHOUSE_AUDIT_PASSWORD") if user else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an index is served."""

    store: str
    """A folder's absolute path, or `s3://bucket/prefix`."""
    tokens: Path
    """The file of tokens."""
    audit: Path
    """The folder of the audit log."""
    access: AccessRules
    max_upload: int
    """Bytes."""
    gc_hours: int = 0
    """Between two runs of `index gc` by the server itself; 0: it does not."""
    stage_days: int = 7
    """For how long a stage is kept then."""
    min_upload_rate: int = 1000
    """Bytes a second; 0: any."""
    public: str | None = None
    """The address that the index is known by, with a slash at its end; None: nobody has said it."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks."""
    buffer: BufferSettings | None = None
    """None: while the store is down nothing is accepted, and only what is in memory is served."""
    access_log: AccessLog = "notable"
    audit_database: AuditDatabaseSettings | None = None
    """None: there is none. Needs a buffer."""
    bounds: Bounds = field(default_factory=Bounds)
    attestations: Literal["verify", "accept", "refuse"] = "accept"
    trust: TrustSettings | None = None
    """None: there are no trusted publishers."""
    mirror: MirrorSetup | None = None
    """None: nothing is mirrored."""
    records: Path | None = None
    """The folder of what was built, for the pages about it."""

    @classmethod
    def of(cls, workspace: Workspace, serve: ServeSettings) -> Settings:
        """Take the settings of a workspace; `serve` is its own table, or one that the command line changed."""
        folder = workspace.state.parent / serve.store if serve.store else workspace.state / "index"
        return cls(
            store=serve.store if "://" in serve.store else str(folder),
            tokens=tokens_file(workspace, serve),
            audit=audit_folder(workspace),
            attestations=serve.attestations,
            trust=_trust(workspace, serve) if serve.trusted_publishers else None,
            access=AccessRules(
                anonymous_read=serve.anonymous_read == "everybody",
                anonymous_local_read=serve.anonymous_read != "nobody",
                anonymous_local_upload=serve.anonymous_upload == "local",
                anonymous_metrics=serve.metrics == "everybody",
                anonymous_local_metrics=serve.metrics != "nobody",
            ),
            max_upload=serve.max_upload * MEBIBYTE,
            gc_hours=serve.gc_hours,
            stage_days=serve.stage_days,
            min_upload_rate=serve.min_upload_rate,
            buffer=BufferSettings(
                spool=workspace.index_spool,
                spool_bytes=serve.spool_megabytes * MEGABYTE,
                cache=workspace.state / "index-cache",
                cache_bytes=serve.cache_megabytes * MEGABYTE,
            ),
            public=serve.url or None,
            audit_database=AuditDatabaseSettings.of(serve.audit_mongodb, os.environ) if serve.audit_mongodb else None,
            records=workspace.jobs,
            trusted_proxies=serve.trusted_proxies,
            access_log=serve.access_log,
        )


def _trust(workspace: Workspace, serve: ServeSettings) -> TrustSettings:
    audience = serve.audience or urlsplit(serve.url).hostname
    if not audience:
        # Not the Host header: an identity made for another service would be good here, if its bearer only says so.
        raise UsageError(
            "trusted publishers need to know whom their identities are for",
            where="serve.audience",
            hint='set `url = "https://…"` under [serve], or an `audience` that no other service has',
        )
    state = workspace.state
    return TrustSettings(
        publishers=serve.trusted_publishers,
        audience=audience,
        signing_key=state.parent / serve.signing_key if serve.signing_key else state / "signing-key",
        used=state / "used-identities",
    )


def tokens_file(workspace: Workspace, serve: ServeSettings) -> Path:
    """Return where the tokens of a workspace's index are kept."""
    return workspace.state.parent / serve.tokens if serve.tokens else workspace.state / "tokens.json"


def audit_folder(workspace: Workspace) -> Path:
    """Return where a workspace keeps the audit log of its index."""
    return workspace.state / "audit"
