"""Who asks in, what of the index they are shown out: by the same gate as the Simple API.

Lists hold only the projects that the asker may read. What concerns those who run the index (builds, spool, mirror)
needs more than reading: the right to upload to a project for its builds, to every project for spool and mirror. A
program on this machine that needs no token to read sees all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.index.access.auth import Denied
from wheelhouse.index.access.scopes import Action, Scope
from wheelhouse.index.problems import DeniedError

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from wheelhouse.index.access.auth import Asker, Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One asker, recognised once a request."""

    known: bool
    """Has a token."""
    scopes: tuple[Scope, ...]
    """The token's."""
    open: bool
    """Needs no token to read."""
    local: bool
    """Is a program on this machine, and trusted as such."""

    @classmethod
    def of(cls, gate: Gate, asker: Asker) -> Reader:
        """Recognise an asker. Raises DeniedError for a wrong token, and where there is none and one is needed."""
        denied = gate.check_any(asker, Action.READ)
        if denied is not None:
            raise DeniedError(denied)
        token = gate.identify(asker)
        if isinstance(token, Denied):
            raise DeniedError(token)
        return cls(
            known=token is not None,
            scopes=() if token is None else tuple(Scope.parse(scope) for scope in token.scopes),
            open=gate.rules.open_to(asker, Action.READ),
            local=gate.rules.anonymous_local_read and asker.local,
        )

    def reads(self, project: NormalizedName | None) -> bool:
        """Say whether a project is shown; None: all of them."""
        return self.open or any(scope.allows(Action.READ, project) for scope in self.scopes)

    def runs(self, project: NormalizedName | None) -> bool:
        """Say whether the works behind a project are shown; None: those of the whole index."""
        return self.local or any(scope.allows(Action.UPLOAD, project) for scope in self.scopes)

    def expect_runs(self, project: NormalizedName | None) -> None:
        """Raise DeniedError where the works are not shown: 401 for whom a token could help, else 403."""
        if not self.runs(project):
            message = f"this page needs a token with the scope {Action.UPLOAD}:{project or '*'}"
            raise DeniedError(Denied(status=403 if self.known else 401, message=message))
