"""The routes that are not asked for all day, by Starlette: uploads and the older JSON form; `operations` has its own.

POST /legacy/              upload, as twine and uv do it
POST /legacy/parcel        upload many small files at once, as `wheelhouse publish` does it; GET: how many
GET  /pypi/<project>/json  the older JSON form
GET  /integrity/<project>/<version>/<file>/provenance   where its provenance is (PEP 740), at the address that PyPI has
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from wheelhouse.errors import NotOnIndexError, WheelhouseError
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import FileName, parse_project
from wheelhouse.index.pages.projectjson import newest, project_json
from wheelhouse.index.pages.render import file_path
from wheelhouse.index.problems import NOT_FOUND, DeniedError, SilentError
from wheelhouse.index.routes.managing import managing_routes
from wheelhouse.index.routes.minting import oidc_routes
from wheelhouse.index.routes.operations import operation_routes
from wheelhouse.index.routes.recording import record_routes
from wheelhouse.index.routes.requests import answer_problem
from wheelhouse.index.routes.site import asker_of
from wheelhouse.index.routes.staging import stage_routes
from wheelhouse.index.routes.uploading import Uploading
from wheelhouse.index.web.routes import web_routes

if TYPE_CHECKING:
    from starlette.requests import Request

    from wheelhouse.index.routes.site import Site


def make_routes(site: Site) -> Starlette:
    """Make the application of these routes."""
    routes, uploading = _Routes(site), Uploading(site=site, uploads=site.uploads)
    app = Starlette(
        routes=[
            Route("/legacy/", uploading.upload, methods=["POST"]),
            Route("/legacy", uploading.upload, methods=["POST"]),
            Route("/legacy/parcel", uploading.upload_parcel, methods=["POST"]),
            Route("/legacy/parcel", uploading.parcels),
            Route("/pypi/{project}/json", routes.project),
            Route("/integrity/{project}/{version}/{filename}/provenance", routes.provenance),
            *web_routes(site),
            *oidc_routes(site),
            *stage_routes(site),
            *managing_routes(site),
            *record_routes(site),
            *operation_routes(site),
        ],
        exception_handlers={
            WheelhouseError: answer_problem,
            DeniedError: answer_problem,
            SilentError: answer_problem,
            OSError: answer_problem,
            Exception: answer_problem,
            404: _not_found,
        },
    )
    app.router.redirect_slashes = False  # to an address that the Host header makes up
    return app


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def project(self, request: Request) -> Response:
        """Answer with the older JSON form."""
        asker, spelled = asker_of(request.scope), request.path_params["project"]
        project = parse_project(spelled)
        self._site.authorize(asker, Action.READ, project)
        if spelled != project:
            return RedirectResponse(f"../{project}/json", status_code=301)
        entry = await self._site.readable(asker, project)
        manifest = await self._site.catalog.manifest(entry)
        chosen = newest(manifest)
        metadata = await self._site.catalog.metadata(entry, chosen) if chosen is not None else None
        data = project_json(manifest, metadata, root=(self._site.public or "../../").rstrip("/"))
        return Response(data, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def provenance(self, request: Request) -> Response:
        """Send on to a file's provenance."""
        asker, asked = asker_of(request.scope), request.path_params
        project = parse_project(asked["project"])
        entry = await self._site.readable(asker, project)
        file = entry.files.get(asked["filename"])
        known = FileName.parse(file.filename) if file is not None and file.provenance is not None else None
        if file is None or known is None or (known.project, str(known.version)) != (project, asked["version"]):
            raise NotOnIndexError(f"there is no provenance of {asked['filename']!a}")
        return RedirectResponse(f"../../../../files/{file_path(file)}.provenance", status_code=302)


async def _not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return PlainTextResponse(f"{NOT_FOUND.text}\n", status_code=404)
