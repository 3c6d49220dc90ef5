"""A request with an upload in, its answer out: for the index itself, and for a stage."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from wheelhouse.index.access.audit import AuditAction, AuditOutcome
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.changes.repository import SameBytes
from wheelhouse.index.problems import SilentError
from wheelhouse.index.routes.requests import answer_problem, body_of, expect_program
from wheelhouse.index.routes.site import Deed, asker_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from wheelhouse.index.changes.upload import Taken, Uploads
    from wheelhouse.index.model import FileName
    from wheelhouse.index.routes.site import Site

LOG = logging.getLogger("wheelhouse.index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploading:
    """Takes uploads to one place."""

    site: Site
    uploads: Uploads
    action: AuditAction = AuditAction.UPLOAD
    done: str = "is published"
    """What is said of a file that is new there."""

    async def upload(self, request: Request) -> Response:
        """Take an upload. What is refused is read to its end first, or its sender would see a broken connection."""
        try:
            return await self._upload(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads this
        except SilentError as error:
            return answer_problem(request, error)
        except Exception as error:  # noqa: BLE001 - told, and logged where it is ours
            await self._drain(request)
            return answer_problem(request, error)

    async def _upload(self, request: Request) -> Response:
        site, asker = self.site, asker_of(request.scope)
        expect_program(request)
        deed = Deed(action=self.action)

        def authorize(name: FileName) -> None:
            nonlocal deed
            deed = replace(deed, project=name.project, filename=name.filename)
            site.authorize(asker, Action.UPLOAD, name.project)

        def note(taken: Taken) -> None:
            site.write_down(asker, replace(deed, sha256=taken.outcome.file.sha256), _outcome(taken))

        try:
            site.expect_known(asker, Action.UPLOAD)
            deed = replace(deed, by=site.gate.who(asker))
            taken = await self.uploads.take(
                body_of(request, patience=self.site.patience),
                content_type=request.headers.get("content-type", ""),
                authorize=authorize,
                taken=note,
            )
        except (ClientDisconnect, SilentError):
            raise
        except Exception as error:
            await site.note_failure(asker, deed, error)
            raise
        assert deed.project is not None  # noqa: S101 - authorize was asked
        site.catalog.forget(deed.project)
        site.traffic.add_deed(self.action, _outcome(taken))
        same, filename = isinstance(taken.outcome, SameBytes), taken.outcome.file.filename
        said = "was here already, with the same bytes" if same else self.done
        LOG.info("%s %s", filename, said)
        return PlainTextResponse("".join(f"{line}\n" for line in (f"{filename} {said}", *taken.remarks)))

    async def _drain(self, request: Request) -> None:
        read = 0
        with suppress(ClientDisconnect, SilentError, RuntimeError):  # gone, or read to its end before
            async for chunk in body_of(request, patience=self.site.patience):
                read += len(chunk)
                if read > self.uploads.limit:
                    return


def _outcome(taken: Taken) -> AuditOutcome:
    return AuditOutcome.SAME if isinstance(taken.outcome, SameBytes) else AuditOutcome.DONE
