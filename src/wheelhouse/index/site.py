"""What every route of the index shares: who asks, whether they may, and what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import NotOnIndexError
from wheelhouse.index.auth import Asker
from wheelhouse.index.problems import DeniedError
from wheelhouse.index.scopes import Action

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from wheelhouse.index.answers import Scope
    from wheelhouse.index.auth import Gate
    from wheelhouse.index.catalog import Catalog, Entry
    from wheelhouse.index.upload import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An index, ready to be asked."""

    catalog: Catalog
    gate: Gate
    uploads: Uploads

    def authorize(self, asker: Asker, action: Action, project: NormalizedName | None) -> None:
        """Raise DeniedError where this may not be; None stands for the list of all projects."""
        denied = self.gate.check(asker, action, project)
        if denied is not None:
            raise DeniedError(denied)

    def expect_known(self, asker: Asker, action: Action) -> None:
        """Raise DeniedError where no project at all could be meant: before a body is read for nothing."""
        denied = self.gate.check_any(asker, action)
        if denied is not None:
            raise DeniedError(denied)

    async def readable(self, asker: Asker, project: NormalizedName | None) -> Entry:
        """Return what there is of a project, if the asker may read it. Raises DeniedError, NotOnIndexError."""
        self.authorize(asker, Action.READ, project)
        entry = self.catalog.remembered(project) or await self.catalog.find(project)
        if entry is None:
            raise NotOnIndexError(f"there is no project {project} here")
        return entry


def asker_of(scope: Scope) -> Asker:
    """Return who asks. Of a header that is sent twice, the last counts."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Asker(address=client[0] if client else "", headers=headers)
