"""A `[[serve.trusted-publishers]]` table in, a publisher out, which says whether the claims of an identity are its own.

What a claim of GitHub and GitLab means: their documentation of OpenID Connect, and PyPI's of trusted publishers.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wheelhouse.index.access.scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.config import TrustedPublisher

#: Issuers that have a short name.
PRESETS = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
#: The claim that a key of the table stands for.
_CLAIMS = {
    "github": {"repository": "repository", "environment": "environment", "ref": "ref"},
    "gitlab": {"repository": "project_path", "environment": "environment", "ref": "ref_path"},
}
#: The claim that names the workflow's file, and how it begins in a repository.
_WORKFLOWS = {
    "github": ("job_workflow_ref", "{}/.github/workflows/"),
    "gitlab": ("ci_config_ref_uri", "gitlab.com/{}//"),
}
#: Names that the forges themselves do not tell apart by case.
_ANY_CASE = {"repository", "project_path", "environment"}
#: Told in the audit log, where they are there.
_TOLD = ("repository", "project_path", "job_workflow_ref", "ci_config_ref_uri", "ref", "environment", "sha", "run_id")
_LONGEST = 200
_DIGEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """A job somewhere that may upload, known by what its issuer says of it."""

    issuer: str
    """The address, as it is in the claim `iss`."""
    kind: str
    """A preset's name; else empty."""
    scopes: tuple[Scope, ...]
    claims: Mapping[str, str]
    """What claims have to be; `*` stands for any characters."""
    workflow: str | None
    """The workflow's file, in the repository of the job itself."""
    digest: str
    """Of all that the table says: another one is another publisher."""

    @classmethod
    def of(cls, table: TrustedPublisher) -> Publisher:
        """Read a table. Raises UsageError where a project is no pattern."""
        kind = table.issuer if table.issuer in PRESETS else ""
        short = {"repository": table.repository, "environment": table.environment, "ref": table.ref}
        claims = {_CLAIMS[kind][name]: value for name, value in short.items() if value is not None} if kind else {}
        return cls(
            issuer=PRESETS.get(table.issuer, table.issuer),
            kind=kind,
            scopes=tuple(Scope.parse(f"{action}:{project}") for action in table.actions for project in table.projects),
            claims={**claims, **table.claims},
            workflow=table.workflow,
            digest=hashlib.sha256(table.model_dump_json().encode()).hexdigest()[:_DIGEST],
        )

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Say whether an identity is this publisher's. That its issuer vouches for the claims is the caller's word."""
        if claims.get("iss") != self.issuer:
            return False
        if not all(_same(name, pattern, claims.get(name)) for name, pattern in self.claims.items()):
            return False
        return self.workflow is None or self._has_workflow(claims)

    def _has_workflow(self, claims: Mapping[str, Any]) -> bool:
        """Say whether it is the workflow, of the same repository: a reusable one of another is another's code."""
        claim, start = _WORKFLOWS[self.kind]
        repository, found = claims.get(_CLAIMS[self.kind]["repository"]), claims.get(claim)
        if not isinstance(repository, str) or not isinstance(found, str):
            return False
        begins = start.format(repository)
        if found[: len(begins)].lower() != begins.lower():
            return False
        file, at, _ = found[len(begins) :].partition("@")
        return bool(at) and file == self.workflow


class MintRefusedError(Exception):
    """An identity is not good for a token."""

    def __init__(
        self, code: str, description: str, *, status: int = 422, claims: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        """PyPI's word for it."""
        self.description = description
        self.status = status
        self.who = name_of(claims) if claims else None
        """Whom its issuer vouches for, where it does."""
        self.claims = told_claims(claims, ()) if claims else {}


def name_of(claims: Mapping[str, Any]) -> str:
    """Return what a publisher is called in the audit log."""
    issuer = next((name for name, address in PRESETS.items() if address == claims.get("iss")), claims.get("iss"))
    who = next((claims[name] for name in ("repository", "project_path", "sub") if claims.get(name)), "?")
    return f"{issuer}:{who}"[:_LONGEST]


def told_claims(claims: Mapping[str, Any], publishers: tuple[Publisher, ...]) -> dict[str, str]:
    """Return the claims that matter: those that were asked for, and those that tell what ran."""
    names = dict.fromkeys((*_TOLD, *(name for publisher in publishers for name in publisher.claims)))
    return {name: _text(claims[name])[:_LONGEST] for name in names if _text(claims.get(name))}


def _same(name: str, pattern: str, value: object) -> bool:
    text = _text(value)
    flags = re.DOTALL | (re.IGNORECASE if name in _ANY_CASE else 0)
    return bool(text) and re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text, flags) is not None


def _text(value: object) -> str:
    """Return a claim as text; what has none, as a list, fits nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""
