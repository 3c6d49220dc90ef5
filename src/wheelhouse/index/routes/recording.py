"""Records of builds over HTTP: a builder that has no master to tell, or lost it, leaves its account here.

GET /_/records/        the jobs that have one, and when they began, of projects that the asker may read
GET /_/records/<job>   the record of a job
PUT /_/records/<job>   a record and the end of its log, by who may upload the project; an older one changes nothing

They lie where the pages of builds look for them: beside this server, not in the store that servers share.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pydantic
from packaging.utils import canonicalize_name
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wheelhouse.errors import IndexRefusesError, NotOnIndexError
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import parse_project
from wheelhouse.index.problems import DeniedError
from wheelhouse.index.routes.requests import expect_program, read_bytes
from wheelhouse.index.routes.site import asker_of
from wheelhouse.record import FILE_NAME, LOG_NAME, Record, read_record, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from wheelhouse.index.access.auth import Asker
    from wheelhouse.index.routes.site import Site

_MOST_BYTES = 1024 * 1024
_LONGEST_JOB = 200


class _Told(pydantic.BaseModel):
    """What a builder sends."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    record: Record
    log: str = ""


def record_routes(site: Site) -> list[BaseRoute]:
    """Make these routes."""
    routes = _Routes(site)
    return [
        Route("/_/records/", routes.all),
        Route("/_/records/{job}", routes.one),
        Route("/_/records/{job}", routes.put, methods=["PUT"]),
    ]


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def all(self, request: Request) -> Response:
        """Say which records there are."""
        asker = self._someone(request, Action.READ)
        known = await asyncio.to_thread(_all, self._folder)
        seen = {
            record.job: record.started.isoformat()
            for record in known
            if self._site.gate.check(asker, Action.READ, canonicalize_name(record.project)) is None
        }
        return JSONResponse({"records": seen})

    async def one(self, request: Request) -> Response:
        """Give a record."""
        job = request.path_params["job"]
        self._site.authorize(self._someone(request, Action.READ), Action.READ, _project(job))
        record = await asyncio.to_thread(read_record, self._folder / job / FILE_NAME)
        if record is None:
            raise NotOnIndexError(f"there is no record of {job[:_LONGEST_JOB]!r} here")
        return Response(record.to_json(), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def put(self, request: Request) -> Response:
        """Keep a record, unless a newer one is there."""
        expect_program(request)
        job = request.path_params["job"]
        asker = self._someone(request, Action.UPLOAD)
        project = _project(job)
        self._site.authorize(asker, Action.UPLOAD, project)
        folder = self._folder
        try:
            told = _Told.model_validate_json(await read_bytes(request, _MOST_BYTES))
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the body"
            raise IndexRefusesError(f"{place}: {first['msg'][:_LONGEST_JOB]}") from error
        record = told.record
        if record.job != job or canonicalize_name(record.project) != project:
            raise IndexRefusesError(
                f"this is the record of {record.job[:_LONGEST_JOB]!r}, not of {job[:_LONGEST_JOB]!r}"
            )
        kept = await asyncio.to_thread(_keep, folder / job, record, told.log)
        return JSONResponse({"job": job, "kept": kept})

    def _someone(self, request: Request, action: Action) -> Asker:
        """Return who asks, if they may do this to any project: others hear nothing of what a job's id is."""
        asker = asker_of(request.scope)
        denied = self._site.gate.check_any(asker, action)
        if denied is not None:
            raise DeniedError(denied)
        return asker

    @property
    def _folder(self) -> Path:
        if self._site.records is None:
            raise NotOnIndexError("this index keeps no records of builds")
        return self._site.records


def _project(job: str) -> NormalizedName:
    """Return the project of a job's id, which is a folder's name here. Raises NotOnIndexError."""
    parts = job.rsplit("-", 3)
    if len(parts) != 4 or len(job) > _LONGEST_JOB or job[0] == "." or not job.isprintable() or "/" in job:  # noqa: PLR2004 - project, version, Python, platform
        raise NotOnIndexError(f"{job[:_LONGEST_JOB]!r} is not a job's id")
    return parse_project(parts[0])


def _all(folder: Path) -> list[Record]:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."]
    except FileNotFoundError:  # nothing was built yet
        return []
    return [record for name in names if (record := read_record(folder / name / FILE_NAME)) is not None]


def _keep(folder: Path, record: Record, log: str) -> bool:
    """Write a record and its log, the log first: a log that is newer says that a job is running."""
    known = read_record(folder / FILE_NAME)
    if known is not None and known.started > record.started:
        return False
    write_atomically(folder / LOG_NAME, log.encode("utf-8", "replace"))
    write_atomically(folder / FILE_NAME, record.to_json())
    return True
