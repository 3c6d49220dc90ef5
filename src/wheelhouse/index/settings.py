"""`[serve]` of wheelhouse.toml and a workspace in, what a server has to know out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wheelhouse.index.auth import AccessRules
from wheelhouse.index.wheelfile import Bounds

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.config import ServeSettings, Workspace

MEBIBYTE = 2**20


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
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def of(cls, workspace: Workspace, serve: ServeSettings) -> Settings:
        """Take the settings of a workspace; `serve` is its own table, or one that the command line changed."""
        folder = workspace.state.parent / serve.store if serve.store else workspace.state / "index"
        return cls(
            store=serve.store if "://" in serve.store else str(folder),
            tokens=tokens_file(workspace),
            audit=audit_folder(workspace),
            access=AccessRules(
                anonymous_read=serve.anonymous_read == "everybody",
                anonymous_local_read=serve.anonymous_read != "nobody",
                anonymous_local_upload=serve.anonymous_upload == "local",
            ),
            max_upload=serve.max_upload * MEBIBYTE,
        )


def tokens_file(workspace: Workspace) -> Path:
    """Return where a workspace keeps the tokens of its index."""
    return workspace.state / "tokens.json"


def audit_folder(workspace: Workspace) -> Path:
    """Return where a workspace keeps the audit log of its index."""
    return workspace.state / "audit"
