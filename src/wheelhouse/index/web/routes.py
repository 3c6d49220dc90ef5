"""The routes of the pages for people.

GET /                             what this is, search, what is new
GET /search?q=…                   projects by name
GET /project/<name>/[<version>/]  a project, its files and what is in them
GET /builds/[<job>/]              what was built when, and why it failed
GET /spool/                       what is acknowledged and waits for the store
GET /mirror/                      what the mirror was asked for, and what it keeps
GET /static/<name>                style, script and mark, open to all

Every page takes any spelling of a project's name, decides about access by the normalised one, and only then says what
there is, as the Simple API does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from wheelhouse.errors import IndexRefusesError, NotOnIndexError, WheelhouseError
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import parse_project
from wheelhouse.index.problems import DeniedError, problem_of
from wheelhouse.index.routes.site import asker_of
from wheelhouse.index.web.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from wheelhouse.index.routes.site import Site
    from wheelhouse.index.web.pages import Templates
    from wheelhouse.index.web.shown import Shown

Handler: TypeAlias = Callable[["Request"], Awaitable[Response]]
_MOST_DIGITS = 6


def web_routes(site: Site) -> list[BaseRoute]:
    """Make the routes. What they need is loaded when the first page is asked for."""
    web = _Web(site)
    pages: dict[str, Handler] = {
        "/": web.home,
        "/search": web.search,
        "/project/{project}": web.project,
        "/project/{project}/": web.project,
        "/project/{project}/{version}": web.project,
        "/project/{project}/{version}/": web.project,
        "/builds": web.builds,
        "/builds/": web.builds,
        "/builds/{job}": web.build,
        "/builds/{job}/": web.build,
        "/spool": web.spool,
        "/spool/": web.spool,
        "/mirror": web.mirror,
        "/mirror/": web.mirror,
    }
    routes: list[BaseRoute] = [Route(path, partial(web.told, handler)) for path, handler in pages.items()]
    return [*routes, Route("/static/{name}", web.static)]


class _Web:
    def __init__(self, site: Site) -> None:
        self._site = site

    @cached_property
    def _templates(self) -> Templates:
        from wheelhouse.index.web.pages import Templates  # noqa: PLC0415 - start-up time

        return Templates()

    @cached_property
    def _shown(self) -> Shown:
        from wheelhouse.index.web.shown import Shown  # noqa: PLC0415 - start-up time

        return Shown(site=self._site)

    async def told(self, handler: Handler, request: Request) -> Response:
        """Answer, and tell people in a page where that fails."""
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - told, and logged where it is ours
            problem = problem_of(error)
            problem.log(error, f"{request.method} {request.url.path}")
            reader = None
            with suppress(WheelhouseError, DeniedError):  # whoever it is: nobody that the menu is for
                reader = self._reader(request)
            return await self._page(
                request, reader, "error.html", status=problem.status, headers=problem.headers, problem=problem
            )

    async def home(self, request: Request) -> Response:
        """Say what this is, and what is new."""
        reader = self._reader(request)
        return await self._page(request, reader, "home.html", home=await self._shown.home(reader))

    async def search(self, request: Request) -> Response:
        """Find projects by a part of their name."""
        reader, query = self._reader(request), request.query_params.get("q", "")
        results = await self._shown.search(reader, query, _number(request))
        return await self._page(request, reader, "search.html", results=results)

    async def project(self, request: Request) -> Response:
        """Show a project, at one of its versions or the newest."""
        asked: str | None = request.path_params.get("version")
        try:
            project = parse_project(request.path_params["project"])
        except IndexRefusesError as error:
            raise NotOnIndexError(error.message) from error
        asker = asker_of(request.scope)
        self._site.authorize(asker, Action.READ, project)
        if moved := _settle(request, "project", project, *([] if asked is None else [asked])):
            return moved
        entry = await self._site.readable(asker, project)
        version = self._shown.version(await self._site.catalog.manifest(entry), asked)
        if asked is not None and version is not None and (moved := _settle(request, "project", project, version)):
            return moved
        page = await self._shown.project(entry, version)
        lines = self._shown.installing(page.view, root=self._address(request), pinned=asked is not None)
        return await self._page(request, self._reader(request), "project.html", page=page, view=page.view, lines=lines)

    async def builds(self, request: Request) -> Response:
        """List what was built."""
        reader, query = self._reader(request), request.query_params
        if moved := _settle(request, "builds"):
            return moved
        builds = await self._shown.builds(reader, query.get("state", ""), query.get("project", ""), _number(request))
        return await self._page(request, reader, "builds.html", builds=builds)

    async def build(self, request: Request) -> Response:
        """Tell of one job."""
        reader, job = self._reader(request), request.path_params["job"]
        if moved := _settle(request, "builds", job):
            return moved
        return await self._page(request, reader, "build.html", view=await self._shown.build(reader, job))

    async def spool(self, request: Request) -> Response:
        """Show what waits."""
        reader = self._reader(request)
        return _settle(request, "spool") or await self._page(
            request, reader, "spool.html", spool=await self._shown.waiting(reader)
        )

    async def mirror(self, request: Request) -> Response:
        """Show how the mirror does."""
        reader = self._reader(request)
        return _settle(request, "mirror") or await self._page(
            request, reader, "mirror.html", stats=await self._shown.mirror(reader)
        )

    async def static(self, request: Request) -> Response:
        """Answer with a static file."""
        from wheelhouse.index.web.pages import static_answer  # noqa: PLC0415 - start-up time

        templates = await asyncio.to_thread(lambda: self._templates)
        name = request.path_params["name"]
        data = templates.static.get(name)
        if data is None:
            return PlainTextResponse("there is nothing here\n", status_code=404)
        return static_answer(request, data, name, current=request.query_params.get("v") == templates.version)

    def _reader(self, request: Request) -> Reader:
        return Reader.of(self._site.gate, asker_of(request.scope))

    def _address(self, request: Request) -> str:
        from wheelhouse.index.web.pages import address_of  # noqa: PLC0415 - start-up time

        if self._site.public is not None:
            return self._site.public.rstrip("/")
        scope = request.scope
        return address_of(scope["scheme"], request.headers.get("host", ""), scope.get("root_path", ""))

    async def _page(
        self,
        request: Request,
        reader: Reader | None,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """Render and answer; a thread does the work, for a page of a thousand files takes its time."""

        def render() -> Response:
            from wheelhouse.index.web.pages import Frame, answer, way_up  # noqa: PLC0415 - start-up time

            frame = Frame(root=way_up(_path(request)), menu=self._shown.menu(reader))
            html = self._templates.render(template, frame, **values)
            return answer(request, html, status=status, headers=headers)

        return await asyncio.to_thread(render)


def _path(request: Request) -> str:
    return str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))


def _settle(request: Request, *parts: str) -> Response | None:
    """Lead from another spelling to the one address of a page; None: this is it. Relative: a proxy's path stays.

    Raises NotOnIndexError for a slash that is quoted: from there the way up to the root is another.
    """
    if b"%2f" in request.scope.get("raw_path", b"").lower():
        raise NotOnIndexError("there is nothing here")
    if _path(request) == f"/{'/'.join(parts)}/":
        return None
    up = "../" * (_path(request).count("/") - 1) or "./"
    location = up + "".join(f"{quote(part, safe='!+')}/" for part in parts)
    return Response(status_code=301, headers={"Location": location})


def _number(request: Request) -> int:
    """Return the page of a list that is asked for; what is no number asks for the first."""
    text = request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 1
