"""Stages over HTTP: uploads to one, its pages over those of the index, and the word that publishes or drops it.

GET    /_/stages/                   the stages, with what the asker may upload
GET    /_/stages/<stage>/           one of them
POST   /_/stages/<stage>/legacy/    upload, as twine and uv do it
POST   /_/stages/<stage>/legacy/parcel   upload many small files at once; GET: how many
GET    /_/stages/<stage>/simple/…   pages: staged files over what the index has
GET    /_/stages/<stage>/files/…    a file of them
POST   /_/stages/<stage>/publish    all its files onto the index
DELETE /_/stages/<stage>/           away with it

Whoever may upload to a project sees and decides what is staged of it. For anybody else a stage is the index as it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from wheelhouse.errors import NotOnIndexError
from wheelhouse.index.access.audit import AuditAction
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.changes.repository import Added
from wheelhouse.index.changes.stages import Stages, parse_stage
from wheelhouse.index.model import FileName, Manifest
from wheelhouse.index.pages.catalog import Entry
from wheelhouse.index.pages.render import Links, render_project, render_root
from wheelhouse.index.routes.requests import Body, answer_json, expect_program, read_json
from wheelhouse.index.routes.site import Deed, Site, asker_of
from wheelhouse.index.routes.uploading import Uploading

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from wheelhouse.index.access.auth import Asker
    from wheelhouse.index.model import File

_PREFIX = "/_/stages/"
_READ = ("simple", "files")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSite(Site):
    """An index as it will be once a stage is published."""

    stage: NormalizedName

    @classmethod
    def of(cls, site: Site, stage: NormalizedName) -> StagedSite:
        """Lay a stage over an index."""
        return cls(stage=stage, **{field.name: getattr(site, field.name) for field in fields(Site)})

    def authorize(self, asker: Asker, action: Action, project: NormalizedName | None) -> None:
        """Let those who may upload know how a project is spelled; what they may read is up to `readable`."""
        if action is Action.READ and self._may_upload(asker, project):
            return
        Site.authorize(self, asker, action, project)

    async def readable(self, asker: Asker, project: NormalizedName | None) -> Entry:
        """Return what is staged of a project over what there is of it, as far as the asker may read either."""
        staged = await asyncio.to_thread(self._staged)
        if not staged:
            raise NotOnIndexError(f"there is no stage {self.stage}")
        seen = {found.name: found for found in staged if found.files and self._may_upload(asker, found.name)}
        if project is None:
            base = await self._published(asker, None)
            return replace(base, mark=object(), pages=render_root({*base.names, *seen}))
        if project not in seen:
            return await self._published(asker, project)
        may_read = self.gate.check(asker, Action.READ, project) is None
        entry = await asyncio.to_thread(self._laid_over, seen[project], on_index=may_read)
        if self.catalog.mirror is None or not may_read:
            return entry
        return await self.catalog.mirror.behind(project, entry, None) or entry

    async def _published(self, asker: Asker, project: NormalizedName | None) -> Entry:
        Site.authorize(self, asker, Action.READ, project)
        return await Site.readable(self, asker, project)

    def _staged(self) -> list[Manifest]:
        return Stages(index=self.uploads.repository).manifests(self.stage)

    def _may_upload(self, asker: Asker, project: NormalizedName | None) -> bool:
        return project is not None and self.gate.check(asker, Action.UPLOAD, project) is None

    def _laid_over(self, staged: Manifest, *, on_index: bool) -> Entry:
        """Put staged files over those of the index, if these may be read."""
        published = self.catalog.store.read_manifest(staged.name) if on_index else None
        base = published if published is not None else Manifest(name=staged.name)
        files = {file.filename: file for file in (*base.offered, *staged.files)}
        merged = base.with_files(files.values()).model_copy(update={"status": "active", "status_reason": None})
        public = self.catalog.links.public
        links = Links(public=f"{public.rstrip('/')}{_PREFIX}{self.stage}" if public else None)
        return Entry(mark=object(), listed=merged, pages=render_project(merged, links), files=files)


def is_staged(path: str) -> bool:
    """Say whether a path is that of a page or a file of a stage."""
    return path.startswith(_PREFIX) and path.removeprefix(_PREFIX).partition("/")[2].partition("/")[0] in _READ


def staged_site(site: Site, path: str) -> tuple[StagedSite, str]:
    """Return the site that a path of a stage is about, and the path on it. Raises NotOnIndexError."""
    stage, _, rest = path.removeprefix(_PREFIX).partition("/")
    return StagedSite.of(site, parse_stage(stage)), f"/{rest}"


def stage_routes(site: Site) -> list[BaseRoute]:
    """Make the routes that are no pages and no files."""
    routes = _Routes(site)
    one = f"{_PREFIX}{{stage}}"
    return [
        Route(_PREFIX, routes.all),
        Route(f"{one}/legacy/", routes.upload, methods=["POST"]),
        Route(f"{one}/legacy", routes.upload, methods=["POST"]),
        Route(f"{one}/legacy/parcel", routes.upload_parcel, methods=["POST"]),
        Route(f"{one}/legacy/parcel", routes.parcels),
        Route(f"{one}/publish", routes.publish, methods=["POST"]),
        Route(f"{one}/", routes.one),
        Route(f"{one}/", routes.drop, methods=["DELETE"]),
    ]


class _Nothing(Body):
    """A body that says nothing: `{}`."""


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def _stages(self) -> Stages:
        return Stages(index=self._site.uploads.repository)

    async def upload(self, request: Request) -> Response:
        """Take an upload to a stage."""
        return await self._uploading(request).upload(request)

    async def upload_parcel(self, request: Request) -> Response:
        """Take many small files at once to a stage."""
        return await self._uploading(request).upload_parcel(request)

    async def parcels(self, request: Request) -> Response:
        """Tell how many can come at once."""
        return await self._uploading(request).parcels(request)

    async def all(self, request: Request) -> Response:
        """List the stages that have files of which the asker may upload others."""
        asker = asker_of(request.scope)
        self._site.expect_known(asker, Action.UPLOAD)
        stages = self._stages
        names = await asyncio.to_thread(stages.names)
        found = [(name, self._seen(asker, await asyncio.to_thread(stages.manifests, name))) for name in names]
        return answer_json({"stages": [_stage(name, seen) for name, seen in found if any(each.files for each in seen)]})

    async def one(self, request: Request) -> Response:
        """Tell of one stage."""
        asker, stage = asker_of(request.scope), parse_stage(request.path_params["stage"])
        self._site.expect_known(asker, Action.UPLOAD)
        return answer_json(_stage(stage, self._seen(asker, await self._theirs(asker, stage))))

    async def publish(self, request: Request) -> Response:
        """Publish all of a stage, or nothing."""
        asker, stage, staged = await self._decide(request, AuditAction.PUBLISH_STAGE)
        await read_json(request, _Nothing)
        deed = Deed(action=AuditAction.PUBLISH_STAGE, reason=f"stage {stage}")
        try:
            outcomes = await asyncio.to_thread(self._stages.publish, stage, staged)
        except Exception as error:
            await self._site.note_failure(asker, deed, error)
            raise
        finally:
            for manifest in staged:
                self._site.catalog.forget(manifest.name)
        for outcome in outcomes:
            await self._note(asker, deed, outcome.file)
        published = [outcome.file.filename for outcome in outcomes if isinstance(outcome, Added)]
        present = [outcome.file.filename for outcome in outcomes if not isinstance(outcome, Added)]
        return answer_json({"stage": stage, "published": published, "present": present})

    async def drop(self, request: Request) -> Response:
        """Drop all of a stage."""
        asker, stage, staged = await self._decide(request, AuditAction.DROP_STAGE)
        deed = Deed(action=AuditAction.DROP_STAGE, reason=f"stage {stage}")
        dropped = await asyncio.to_thread(self._stages.drop, stage, staged)
        for file in dropped:
            await self._note(asker, deed, file)
        return answer_json({"stage": stage, "dropped": [file.filename for file in dropped]})

    async def _decide(self, request: Request, action: AuditAction) -> tuple[Asker, NormalizedName, list[Manifest]]:
        """Return who decides about which stage, if all of it is theirs."""
        expect_program(request)
        asker, stage = asker_of(request.scope), parse_stage(request.path_params["stage"])
        deed = Deed(action=action, reason=f"stage {stage}")
        try:
            self._site.expect_known(asker, Action.UPLOAD)
            staged = await self._theirs(asker, stage)
            for manifest in staged:
                deed = replace(deed, project=manifest.name)
                self._site.authorize(asker, Action.UPLOAD, manifest.name)
        except Exception as error:
            await self._site.note_failure(asker, deed, error)
            raise
        return asker, stage, staged

    async def _theirs(self, asker: Asker, stage: NormalizedName) -> list[Manifest]:
        """Return all of a stage, if the asker may know that it is there."""
        staged = await asyncio.to_thread(self._stages.manifests, stage)
        if not self._seen(asker, staged):
            raise NotOnIndexError(f"there is no stage {stage}", hint="one begins with the first upload to it")
        return staged

    async def _note(self, asker: Asker, deed: Deed, file: File) -> None:
        project = FileName.parse(file.filename).project
        await self._site.note(asker, replace(deed, project=project, filename=file.filename, sha256=file.sha256))

    def _uploading(self, request: Request) -> Uploading:
        stage = parse_stage(request.path_params["stage"])
        uploads = replace(self._site.uploads, repository=self._stages.repository(stage))
        done = f"is on the stage {stage}: not published yet"
        return Uploading(site=self._site, uploads=uploads, action=AuditAction.STAGE, done=done)

    def _seen(self, asker: Asker, staged: list[Manifest]) -> list[Manifest]:
        return [each for each in staged if self._site.gate.check(asker, Action.UPLOAD, each.name) is None]


def _stage(name: NormalizedName, staged: list[Manifest]) -> dict[str, Any]:
    return {
        "stage": name,
        "files": [
            {
                "project": manifest.name,
                "version": file.version,
                "filename": file.filename,
                "sha256": file.sha256,
                "size": file.size,
                "staged": file.upload_time.isoformat(),
            }
            for manifest in staged
            for file in manifest.files
        ],
        "publishing": any(manifest.status == "archived" for manifest in staged),
    }
