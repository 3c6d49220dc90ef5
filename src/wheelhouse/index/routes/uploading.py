"""A request with an upload, or with many, in; its answer out: for the index itself, and for a stage."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from wheelhouse.index.access.audit import AuditAction, AuditOutcome
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.changes.parcel import MOST, MOST_BYTES, read_parcel, take_parcel
from wheelhouse.index.changes.repository import SameBytes
from wheelhouse.index.changes.upload import Taken
from wheelhouse.index.problems import SilentError, outcome_of
from wheelhouse.index.routes.requests import answer_json, answer_problem, body_of, expect_program
from wheelhouse.index.routes.site import Deed, asker_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from wheelhouse.index.changes.parcel import Parcel
    from wheelhouse.index.changes.upload import Uploads
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
        """Take an upload, as twine and uv send it."""
        return await self._answered(request, self._upload)

    async def upload_parcel(self, request: Request) -> Response:
        """Take many small files at once, and tell of each what a request with it alone would have been told."""
        return await self._answered(request, self._upload_parcel)

    async def parcels(self, request: Request) -> Response:
        """Tell who may upload that many files can come at once, and how many."""
        self.site.expect_known(asker_of(request.scope), Action.UPLOAD)
        return answer_json({"most-files": MOST, "most-bytes": MOST_BYTES})

    async def _answered(self, request: Request, take: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer. What is refused is read to its end first, or its sender would see a broken connection."""
        try:
            return await take(request)
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
            site.write_down(asker, (replace(deed, sha256=taken.outcome.file.sha256), _outcome(taken)))

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
        return PlainTextResponse("".join(f"{line}\n" for line in self._said(taken)))

    async def _upload_parcel(self, request: Request) -> Response:
        site, asker = self.site, asker_of(request.scope)
        expect_program(request)
        deed = Deed(action=self.action)
        try:
            site.expect_known(asker, Action.UPLOAD)
            deed = replace(deed, by=site.gate.who(asker))
            async with self.uploads.parcels:
                parcel = await read_parcel(
                    body_of(request, patience=self.site.patience),
                    content_type=request.headers.get("content-type", ""),
                    limit=self.uploads.limit,
                    authorize=site.authorizing(asker, Action.UPLOAD),
                )

                def note(ends: Mapping[str, Taken | Exception]) -> None:
                    site.write_down(asker, *(_ended(deed, parcel, name, end) for name, end in ends.items()))

                ends = await take_parcel(self.uploads, parcel, told=note)
        except (ClientDisconnect, SilentError):
            raise
        except Exception as error:
            await site.note_failure(asker, deed, error)
            raise
        for name in parcel.names.values():
            site.catalog.forget(name.project)
        return answer_json({"files": [self._told(request, filename, end) for filename, end in ends.items()]})

    def _told(self, request: Request, filename: str, end: Taken | Exception) -> dict[str, Any]:
        """Return what is said of one file of many."""
        self.site.traffic.add_deed(self.action, _outcome(end))
        if isinstance(end, Taken):
            return {"filename": filename, "status": 200, "message": "\n".join(self._said(end))}
        answer = answer_problem(request, end)
        later = {"retry-after": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else {}
        said = bytes(answer.body).decode().rstrip("\n")
        return {"filename": filename, "status": answer.status_code, "message": said, **later}

    def _said(self, taken: Taken) -> tuple[str, ...]:
        same, filename = isinstance(taken.outcome, SameBytes), taken.outcome.file.filename
        said = "was here already, with the same bytes" if same else self.done
        LOG.info("%s %s", filename, said)
        return (f"{filename} {said}", *taken.remarks)

    async def _drain(self, request: Request) -> None:
        read = 0
        with suppress(ClientDisconnect, SilentError, RuntimeError):  # gone, or read to its end before
            async for chunk in body_of(request, patience=self.site.patience):
                read += len(chunk)
                if read > self.uploads.limit:
                    return


def _outcome(end: Taken | Exception) -> AuditOutcome:
    if isinstance(end, Taken):
        return AuditOutcome.SAME if isinstance(end.outcome, SameBytes) else AuditOutcome.DONE
    return outcome_of(end)


def _ended(deed: Deed, parcel: Parcel, filename: str, end: Taken | Exception) -> tuple[Deed, AuditOutcome]:
    """Return what the audit log is told of one file of many."""
    name = parcel.names.get(filename)
    about = replace(deed, project=name.project, filename=name.filename) if name else deed
    if isinstance(end, Taken):
        return replace(about, sha256=end.outcome.file.sha256), _outcome(end)
    return replace(about, reason=str(end)), _outcome(end)
