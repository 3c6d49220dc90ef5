"""Our manifest, upstream's page and the rules in; what a project's pages list out. Pure.

In an overlay our files come first, and one of ours stands for any of upstream's that claims the same: the same name,
version, build and tags, however it is spelled. All else upstream said of a project and its files stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

import orjson

from wheelhouse.index.model import File, FileName, Manifest, Status, in_order, parse_version
from wheelhouse.index.pages.once import Once
from wheelhouse.index.pages.render import RELATIVE, Page, Pages, file_json, project_html
from wheelhouse.index.upstream.page import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.pages.render import Links
    from wheelhouse.index.upstream.page import Origin, UpstreamFile, UpstreamPage

#: One for all: a set for each file would take as much room as the file.
_FIELDS = set(File.model_fields)
_UNSAID = datetime(1970, 1, 1, tzinfo=UTC)
#: Promises about a file that are kept only by what is served here, or not at all (PEP 503: a signature beside it).
_NOT_PASSED_ON = {"gpg-sig", "core-metadata", "dist-info-metadata"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is shown of a project that upstream has."""

    manifest: Once[Manifest]
    """Ours and theirs alike; of a file of theirs that has no time of upload, the beginning of 1970."""
    pages: Pages
    files: Mapping[str, File]
    """Ours, by name."""
    theirs: Mapping[str, Origin]
    """Upstream's, by name."""
    until: datetime | None
    """When a file comes of age that is not shown yet; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which of upstream's files are shown."""

    now: datetime
    min_age: timedelta
    """A file without a time of upload is as young as can be."""
    has: Callable[[Sha256], bool] | None = None
    """Whether a file is here, where nothing else can be served; None: all can be had."""


def combine(ours: Manifest | None, page: UpstreamPage, view: View, *, links: Links = RELATIVE) -> Listing:
    """Put a project together."""
    own = ours.offered if ours is not None else ()
    taken = {FileName.parse(file.filename).place for file in own}
    candidates = [file for file in page.files if file.name.place not in taken] if taken else page.files
    closed = "quarantined" in {_status(page), ours.status if ours is not None else None}
    there = [file for file in candidates if not closed and (view.has is None or view.has(file.origin.sha256))]
    shown = [(file, _servable(file.origin, view)) for file in there if _is_of_age(file, view)]
    young = [file for file in there if not _is_of_age(file, view)]
    versions = {file.version for file in own} | {str(version) for version in {file.name.version for file, _ in shown}}
    hidden = {str(version) for version in {file.name.version for file in young}}
    document = {
        **page.said,
        "versions": _versions(page, versions, hidden),
        "files": [
            *(file_json(file, links) for file in own),
            *(_file_json(file.said, origin, links) for file, origin in shown),
        ],
    }
    if ours is not None and (ours.status != "active" or closed):
        document["project-status"] = {"status": ours.status}
        document["project-status"] |= {"reason": ours.status_reason} if ours.status_reason else {}
    json, theirs = orjson.dumps(document), {origin.filename: origin for _, origin in shown}
    base = ours if ours is not None else Manifest(name=page.project, policy="mirror", status=_status(page))
    manifest = Once(lambda: base.model_copy(update={"files": in_order((*own, *_files(json, theirs)))}))
    return Listing(
        manifest=manifest,
        pages=Pages(html=Page.later(lambda: project_html(manifest(), links), about=len(json)), json=Page.of(json)),
        files={file.filename: file for file in own},
        theirs=theirs,
        until=min((file.uploaded + view.min_age for file in young if file.uploaded is not None), default=None),
    )


def _is_of_age(file: UpstreamFile, view: View) -> bool:
    if not view.min_age:
        return True
    return file.uploaded is not None and file.uploaded + view.min_age <= view.now


def _servable(origin: Origin, view: View) -> Origin:
    if view.has is None or origin.metadata is None or view.has(origin.metadata):
        return origin
    return replace(origin, metadata=None)


def _status(page: UpstreamPage) -> Status:
    said = page.said.get("project-status")
    status = said.get("status") if isinstance(said, dict) else None
    return cast(Status, status) if status in get_args(Status) else "active"


def _versions(page: UpstreamPage, seen: set[str], hidden: set[str]) -> list[str]:
    """Return PEP 700's list: all that upstream has, but for those of which nothing may be seen yet; and ours."""
    said = page.said.get("versions")
    theirs = [version for version in said if isinstance(version, str)] if isinstance(said, list) else []
    kept = [version for version in theirs if not (gone := _normal(version)) or gone in seen or gone not in hidden]
    return [*kept, *sorted(seen - {_normal(version) for version in kept})]


def _normal(version: str) -> str:
    parsed = parse_version(version)
    return version if parsed is None else str(parsed)


def _files(json: bytes, theirs: Mapping[str, Origin]) -> Iterator[File]:
    """Yield upstream's files as our page tells of them: it takes less room than what upstream said of each."""
    for said in orjson.loads(json)["files"]:
        origin = theirs.get(said["filename"])
        if origin is not None:
            yield _file(said, origin)


def _file(said: Mapping[str, Any], origin: Origin) -> File:
    """Return an upstream's file as one of ours would be; checked before, so that no time is lost on it again."""
    hashes = said["hashes"]
    requires_python, yanked = said.get("requires-python"), said.get("yanked")
    return File.model_construct(
        _fields_set=_FIELDS,
        filename=origin.filename,
        version=str(FileName.parse(origin.filename).version),
        sha256=origin.sha256,
        size=origin.size or 0,
        upload_time=parse_moment(said.get("upload-time")) or _UNSAID,
        hashes={name: value for name, value in hashes.items() if name != "sha256" and isinstance(value, str)},
        requires_python=requires_python if isinstance(requires_python, str) else None,
        yanked=yanked if isinstance(yanked, bool | str) else False,
        core_metadata=origin.metadata,
        provenance=None,
        extra={},
    )


def _file_json(said: Mapping[str, Any], origin: Origin, links: Links) -> dict[str, Any]:
    known = {key: value for key, value in said.items() if key not in _NOT_PASSED_ON}
    known["url"] = links.file(origin)
    if origin.metadata is not None:
        known["core-metadata"] = {"sha256": origin.metadata}
    return known
