"""What every route of the index shares: who asks, whether they may, and what there is."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wheelhouse.errors import NotOnIndexError, WheelhouseError
from wheelhouse.index.access.audit import AuditEvent, AuditOutcome
from wheelhouse.index.access.auth import Asker
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.problems import DeniedError, outcome_of
from wheelhouse.index.routes.requests import PATIENCE, Patience
from wheelhouse.index.telling.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.index.access.audit import AuditAction, AuditLog
    from wheelhouse.index.access.auth import Gate, Who
    from wheelhouse.index.access.oidc import TrustedPublishing
    from wheelhouse.index.changes.upload import Uploads
    from wheelhouse.index.outages.auditdb import Recorder
    from wheelhouse.index.outages.outbox import Outbox
    from wheelhouse.index.pages.catalog import Catalog, Entry
    from wheelhouse.index.serving.answers import Scope, Sent
    from wheelhouse.index.telling.gauges import Tidied


#: A request's id that a proxy or a client has given it.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody does, or tries to, as far as it is known yet."""

    action: AuditAction
    project: NormalizedName | None = None
    filename: str | None = None
    sha256: str | None = None
    reason: str = ""
    """Why, as the asker says."""
    by: Who | None = None
    """Who, where it is not the request's credentials that say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An index, ready to be asked."""

    catalog: Catalog
    gate: Gate
    uploads: Uploads
    audit: AuditLog
    traffic: Traffic = field(default_factory=Traffic)
    public: str | None = None
    """The address that the index is known by, with a slash at its end; None: nobody has said it."""
    publishing: TrustedPublishing | None = None
    pending: Outbox | None = None
    """What was acknowledged and is not yet in the store; None: the server keeps no spool."""
    recorder: Recorder | None = None
    """The audit database; None: there is none."""
    patience: Patience = PATIENCE
    """With those who upload."""
    tidied: Tidied | None = None
    """What was done to the store now and then; None: the server does nothing by itself."""
    records: Path | None = None
    """The folder of what was built, a record a job; None: this index is not beside a workspace that builds."""

    def authorize(self, asker: Asker, action: Action, project: NormalizedName | None) -> None:
        """Raise DeniedError where this may not be; None stands for the list of all projects."""
        self.authorizing(asker, action)(project)

    def authorizing(self, asker: Asker, action: Action) -> Callable[[NormalizedName | None], None]:
        """Look at the asker's token once, and return what does as `authorize` for project after project."""
        decide = self.gate.check_each(asker, action)

        def authorize(project: NormalizedName | None) -> None:
            denied = decide(project)
            if denied is not None:
                raise DeniedError(denied)

        return authorize

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

    def who(self, asker: Asker) -> str:
        """Return whose request it is, for a log; never raises a WheelhouseError."""
        try:
            return self.gate.who(asker).name
        except WheelhouseError:  # tokens that cannot be read: the answer was about that already
            return "unknown"

    async def note(self, asker: Asker, deed: Deed, outcome: AuditOutcome = AuditOutcome.DONE) -> None:
        """Write down what was done, before the answer is sent."""
        deed = deed if deed.by else replace(deed, by=self.gate.who(asker))
        self.traffic.add_deed(deed.action, outcome)
        await asyncio.to_thread(self.write_down, asker, (deed, outcome))

    async def note_failure(self, asker: Asker, deed: Deed, error: Exception) -> None:
        """Write down what came to nothing: not allowed, refused by a rule, or failed."""
        await self.note(asker, replace(deed, reason=str(error)), outcome_of(error))

    def write_down(self, asker: Asker, *done: tuple[Deed, AuditOutcome]) -> None:
        """Bring to the disk what was done; of deeds that say by whom. For any thread."""
        events = [self._event(asker, deed, outcome) for deed, outcome in done]
        self.audit.record(*events)
        if self.recorder is not None:
            for event in events:
                self.recorder.record(event)

    def _event(self, asker: Asker, deed: Deed, outcome: AuditOutcome) -> AuditEvent:
        assert deed.by is not None  # noqa: S101 - who asks is found out in one thread alone
        return AuditEvent(
            time=self.gate.clock(),
            action=deed.action,
            outcome=outcome,
            project=deed.project,
            filename=deed.filename,
            sha256=deed.sha256,
            who=deed.by.name,
            claims=deed.by.claims,
            address=asker.address,
            reason=deed.reason,
            request=request_id(asker),
        )


def request_id(asker: Asker) -> str:
    """Return the id that a request came with, where it is a sane one, else a new one."""
    given = asker.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def with_request_id(scope: Scope, sent: Sent) -> Scope:
    """Return a request that has an id, which its answer will have too."""
    sent.request = request_id(asker_of(scope))
    headers = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]
    return {**scope, "headers": [*headers, (b"x-request-id", sent.request.encode())]}


def asker_of(scope: Scope) -> Asker:
    """Return who asks. Of a header that is sent twice, the last counts."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Asker(address=client[0] if client else "", headers=headers)
