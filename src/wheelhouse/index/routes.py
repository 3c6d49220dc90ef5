"""The routes that are not asked for all day, by Starlette: uploads, the older JSON form, health.

POST /legacy/              upload, as twine and uv do it
GET  /pypi/<project>/json  the older JSON form
GET  /health, /ready       is the process alive; does its store answer
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from wheelhouse.errors import WheelhouseError
from wheelhouse.index.audit import AuditAction, AuditOutcome
from wheelhouse.index.auth import Denied
from wheelhouse.index.model import FileName, parse_project
from wheelhouse.index.problems import NOT_FOUND, DeniedError, problem_of
from wheelhouse.index.projectjson import newest, project_json
from wheelhouse.index.repository import SameBytes
from wheelhouse.index.scopes import Action
from wheelhouse.index.site import Deed, asker_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from wheelhouse.index.site import Site

LOG = logging.getLogger("wheelhouse.index")


def make_routes(site: Site) -> Starlette:
    """Make the application of these routes."""
    routes = _Routes(site)
    app = Starlette(
        routes=[
            Route("/legacy/", routes.upload, methods=["POST"]),
            Route("/legacy", routes.upload, methods=["POST"]),
            Route("/pypi/{project}/json", routes.project),
            Route("/health", routes.health),
            Route("/ready", routes.ready),
        ],
        exception_handlers={
            WheelhouseError: _problem,
            DeniedError: _problem,
            OSError: _problem,
            Exception: _problem,
            404: _not_found,
        },
    )
    app.router.redirect_slashes = False  # to an address that the Host header makes up
    return app


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def upload(self, request: Request) -> Response:
        """Take an upload. What is refused is read to its end first, or its sender would see a broken connection."""
        try:
            return await self._upload(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads this
        except Exception as error:  # noqa: BLE001 - told, and logged where it is ours
            await self._drain(request)
            return _problem(request, error)

    async def _upload(self, request: Request) -> Response:
        asker = asker_of(request.scope)
        if "origin" in request.headers:
            raise DeniedError(Denied(status=403, message="a web page cannot upload"))
        deed = Deed(action=AuditAction.UPLOAD)

        def authorize(name: FileName) -> None:
            nonlocal deed
            deed = replace(deed, project=name.project, filename=name.filename)
            self._site.authorize(asker, Action.UPLOAD, name.project)

        try:
            self._site.expect_known(asker, Action.UPLOAD)
            outcome = await self._site.uploads.take(
                request.stream(), content_type=request.headers.get("content-type", ""), authorize=authorize
            )
        except ClientDisconnect:
            raise
        except Exception as error:
            await self._site.note_failure(asker, deed, error)
            raise
        self._site.catalog.forget(FileName.parse(outcome.file.filename).project)
        same = isinstance(outcome, SameBytes)
        deed = replace(deed, sha256=outcome.file.sha256)
        await self._site.note(asker, deed, AuditOutcome.SAME if same else AuditOutcome.DONE)
        said = "was here already, with the same bytes" if same else "is published"
        LOG.info("%s %s", outcome.file.filename, said)
        return PlainTextResponse(f"{outcome.file.filename} {said}\n")

    async def _drain(self, request: Request) -> None:
        read = 0
        with suppress(ClientDisconnect, RuntimeError):  # gone, or read to its end before
            async for chunk in request.stream():
                read += len(chunk)
                if read > self._site.uploads.limit:
                    return

    async def project(self, request: Request) -> Response:
        """Answer with the older JSON form."""
        asker, spelled = asker_of(request.scope), request.path_params["project"]
        project = parse_project(spelled)
        self._site.authorize(asker, Action.READ, project)
        if spelled != project:
            return RedirectResponse(f"../{project}/json", status_code=301)
        entry = await self._site.readable(asker, project)
        assert entry.manifest is not None  # noqa: S101 - only the list of all has none
        chosen = newest(entry.manifest)
        store, metadata = self._site.catalog.store, None
        if chosen is not None and chosen.core_metadata is not None:
            metadata = await asyncio.to_thread(b"".join, store.open_range(chosen.core_metadata))
        data = project_json(entry.manifest, metadata, root=str(request.base_url).rstrip("/"))
        return Response(data, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer that the process is alive."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer whether the store does."""
        await asyncio.to_thread(self._site.catalog.store.mark, parse_project("ready"))
        return PlainTextResponse("ok\n")


def _problem(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.ours:
        LOG.error("%s %s", request.method, request.url.path, exc_info=error)
    return PlainTextResponse(f"{problem.text}\n", status_code=problem.status, headers=dict(problem.headers))


async def _not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return PlainTextResponse(f"{NOT_FOUND.text}\n", status_code=404)
