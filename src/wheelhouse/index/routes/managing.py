"""Looking after an index over HTTP: what `wheelhouse index yank`, `unyank` and `delete` do, for those who may.

POST   /_/projects/<project>/files/<filename>/yank     {"reason": "…"}; scope yank (PEP 592)
POST   /_/projects/<project>/files/<filename>/unyank   {}
DELETE /_/projects/<project>/files/<filename>          scope delete
POST   /_/projects/<project>/releases/<version>/yank   all files of a version in one step; unyank and DELETE likewise
PUT    /_/projects/<project>/status                    {"status": "archived", "reason": "…"}; scope admin (PEP 792)
PUT    /_/projects/<project>/policy                    {"policy": "overlay"}; scope admin

Bodies are JSON, and nothing that a browser sends for a page is taken. All of it needs a token, on this machine too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import pydantic
from packaging.version import InvalidVersion, Version
from starlette.responses import JSONResponse
from starlette.routing import Route

from wheelhouse.errors import NotOnIndexError
from wheelhouse.index.access.audit import AuditAction
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import Policy, Status, parse_project
from wheelhouse.index.routes.requests import Body, expect_program, read_json
from wheelhouse.index.routes.site import Deed, asker_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from wheelhouse.index.changes.repository import Repository
    from wheelhouse.index.model import File
    from wheelhouse.index.routes.site import Site

_LONGEST_REASON = 1000


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a reason is one line of text")
    return text


_Reason = Annotated[str, pydantic.Field(max_length=_LONGEST_REASON), pydantic.AfterValidator(_one_line)]


class _Because(Body):
    """What any of these may say."""

    reason: _Reason | None = None


class _StatusBody(_Because):
    status: Status


class _PolicyBody(_Because):
    policy: Policy


_Said = TypeVar("_Said", bound=_Because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked(Generic[_Said]):
    """What a request asks for."""

    project: NormalizedName
    path: Mapping[str, str]
    said: _Said

    @property
    def what(self) -> str | Version:
        """The name of a file, or a version. Raises NotOnIndexError."""
        if "filename" in self.path:
            return self.path["filename"]
        try:
            return Version(self.path["version"])
        except InvalidVersion as error:
            raise NotOnIndexError(f"{self.path['version'][:80]!r} is no version") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[_Said]):
    """Something that can be asked for, and how it is done."""

    action: Action
    audited: AuditAction
    said: type[_Said]
    work: Callable[[Repository, _Asked[_Said]], Sequence[File]]
    """Returns the files that it was done to."""

    def endpoint(self, site: Site) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers a request for it."""

        async def answer(request: Request) -> Response:
            asker, deed = asker_of(request.scope), Deed(action=self.audited)
            try:
                expect_program(request)
                project = parse_project(request.path_params["project"])
                deed = replace(deed, project=project)
                site.authorize(asker, self.action, project)
                said = self.said() if request.method == "DELETE" else await read_json(request, self.said)
                deed = replace(deed, reason=said.reason or "")
                asked = _Asked(project=project, path=request.path_params, said=said)
                files = await asyncio.to_thread(self.work, site.uploads.repository, asked)
            except Exception as error:
                await site.note_failure(asker, deed, error)
                raise
            site.catalog.forget(project)
            for each in [replace(deed, filename=file.filename, sha256=file.sha256) for file in files] or [deed]:
                await site.note(asker, each)
            return JSONResponse({"project": project, "files": [file.filename for file in files]})

        return answer


def _set_status(index: Repository, asked: _Asked[_StatusBody]) -> Sequence[File]:
    index.set_status(asked.project, asked.said.status, asked.said.reason)
    return ()


def _set_policy(index: Repository, asked: _Asked[_PolicyBody]) -> Sequence[File]:
    index.set_policy(asked.project, asked.said.policy)
    return ()


_YANK = _Task(
    action=Action.YANK,
    audited=AuditAction.YANK,
    said=_Because,
    work=lambda index, asked: index.yank(asked.project, asked.what, asked.said.reason),
)
_UNYANK = _Task(
    action=Action.YANK,
    audited=AuditAction.UNYANK,
    said=_Because,
    work=lambda index, asked: index.unyank(asked.project, asked.what),
)
_DELETE = _Task(
    action=Action.DELETE,
    audited=AuditAction.DELETE,
    said=_Because,
    work=lambda index, asked: index.delete(asked.project, asked.what),
)
_STATUS = _Task(action=Action.ADMIN, audited=AuditAction.STATUS, said=_StatusBody, work=_set_status)
_POLICY = _Task(action=Action.ADMIN, audited=AuditAction.POLICY, said=_PolicyBody, work=_set_policy)


def managing_routes(site: Site) -> list[BaseRoute]:
    """Make the routes."""
    project = "/_/projects/{project}"
    choices = (f"{project}/files/{{filename}}", f"{project}/releases/{{version}}")
    return [
        *(Route(f"{choice}/yank", _YANK.endpoint(site), methods=["POST"]) for choice in choices),
        *(Route(f"{choice}/unyank", _UNYANK.endpoint(site), methods=["POST"]) for choice in choices),
        *(Route(choice, _DELETE.endpoint(site), methods=["DELETE"]) for choice in choices),
        Route(f"{project}/status", _STATUS.endpoint(site), methods=["PUT"]),
        Route(f"{project}/policy", _POLICY.endpoint(site), methods=["PUT"]),
    ]
