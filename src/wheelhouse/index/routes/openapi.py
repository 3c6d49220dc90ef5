"""The HTTP API of an index out, as an OpenAPI 3.1 document: served at `/_/openapi.json`, and part of the reference.

Each route is here by hand. A test holds this against the routes that there are, and another has schemathesis ask a real
server for all that can be asked by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from wheelhouse import __version__
from wheelhouse.index.model import Policy, Status
from wheelhouse.index.pages.negotiation import MediaType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TEXT, _JSON, _HTML, _BYTES = "text/plain", "application/json", "text/html", "application/octet-stream"
_SIMPLE = tuple(kind.value for kind in MediaType)
_TITLE = "wheelhouse index"
_ABOUT = """\
A package index: the Simple API (PEP 503, 592, 629, 658, 691, 700, 714, 740, 792), the upload API that twine and uv
speak, staged releases, and what looks after it. Any spelling of a project's name means the same; other spellings than
the normalised one are led there (301) or taken as it is. What a token may do: its scopes."""
#: What any request may meet.
_ANYWHERE = {
    400: "The request is wrong; the text says how.",
    401: "A token is needed, or this is none.",
    403: "Not by this token, not by anybody, or not by a web page.",
    404: "There is nothing here.",
    429: "Too many wrong tokens; see Retry-After.",
    503: "The store or an upstream index does not answer; see Retry-After.",
}
_PARAMETERS = {
    "project": "A project, in any spelling.",
    "filename": "A wheel or an sdist.",
    "shelf": "The first two digits of the sha256.",
    "sha256": "Of the file, in hexadecimal digits.",
    "version": "A version.",
    "stage": "A stage: small letters, digits and hyphens.",
    "job": "A build.",
    "name": "A static file.",
}
_REASON = {"type": ["string", "null"], "maxLength": 1000, "description": "One line, for the audit log and for clients."}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """One method of one route."""

    says: str
    gives: tuple[str, ...]
    """Media types of what it answers when all is well."""
    method: str = "get"
    fails: str = _TEXT
    """Media type of what it answers when not."""
    body: Mapping[str, Any] | None = None
    """The request's, by media type."""
    more: Mapping[int, str] = field(default_factory=dict)
    """Answers that others do not have."""
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scope: str = ""
    """The action that a token has to allow; empty: none that is always needed."""


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {_JSON: {"schema": schema}}


_MOVED = {301: "The same, at the normalised name."}
_UNREAD = {**_MOVED, 304: "Not changed: If-None-Match."}
_RANGED = {
    206: "The range that was asked for.",
    304: "Not changed: If-None-Match.",
    416: "There is no such range.",
}
_SLOW = {408: "Nothing more came, or too slowly."}
_UPLOAD = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {
                ":action": {"const": "file_upload"},
                "protocol_version": {"const": "1"},
                "name": {"type": "string"},
                "version": {"type": "string"},
                "filetype": {"enum": ["bdist_wheel", "sdist"]},
                "sha256_digest": {"type": "string"},
                "attestations": {"type": "string"},
                "content": {"type": "string", "contentMediaType": _BYTES},
            },
            "required": [":action", "name", "version", "content"],
        }
    }
}
_PARCEL = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"content": {"type": "array", "items": {"type": "string", "contentMediaType": _BYTES}}},
            "required": ["content"],
        }
    }
}
_TAKEN = {409: "The name is taken by other bytes.", **_SLOW}
_FORMAT = {"format": {"type": "string", "description": "Goes before Accept.", "examples": list(_SIMPLE)}}
_NO_QUERY: Mapping[str, Any] = {}
_PAGE = {"page": {"type": "integer", "minimum": 1}}


def _page(says: str, **more: Any) -> dict[str, _Operation]:
    more = {"query": _FORMAT, "more": {**_UNREAD, 406: "In none of the forms that are accepted."}, **more}
    return {"get": _Operation(says=says, gives=_SIMPLE, **more)}


def _file(says: str, gives: str = _BYTES) -> dict[str, _Operation]:
    return {"get": _Operation(says=says, gives=(gives,), more=_RANGED)}


def _upload(says: str) -> dict[str, _Operation]:
    return {"post": _Operation(says=says, gives=(_TEXT,), body=_UPLOAD, more=_TAKEN, scope="upload")}


def _parcel(says: str) -> dict[str, _Operation]:
    about = f"{says}, many small ones at once: what became of each is in the answer"
    return {
        "get": _Operation(says="How many files can come at once", gives=(_JSON,), scope="upload"),
        "post": _Operation(says=about, gives=(_JSON,), body=_PARCEL, more=_SLOW, scope="upload"),
    }


def _for_people(says: str, query: Mapping[str, Any] = _NO_QUERY, *, settled: bool = True) -> dict[str, _Operation]:
    more = {304: "Not changed: If-None-Match.", **(_MOVED if settled else {})}
    return {"get": _Operation(says=says, gives=(_HTML,), fails=_HTML, query=query, more=more)}


def _change(says: str, scope: str, body: dict[str, Any], method: str = "post") -> dict[str, _Operation]:
    bodies = None if method == "delete" else body
    return {method: _Operation(says=says, gives=(_JSON,), body=bodies, more={**_SLOW}, scope=scope)}


def _plain(says: str, gives: str = _TEXT, **more: Any) -> dict[str, _Operation]:
    return {"get": _Operation(says=says, gives=(gives,), **more)}


_BECAUSE = _object(reason=_REASON)
_FILES = "/files/{shelf}/{sha256}/{filename}"
_ONE = "/_/projects/{project}"
_STAGE = "/_/stages/{stage}"
_PUBLISHING = "Trusted publishing, as PyPI has it: "
#: Every route, by its path and by method.
OPERATIONS: Mapping[str, Mapping[str, _Operation]] = {
    "/simple/": _page("The names of all projects"),
    "/simple/{project}/": _page("A project's files"),
    _FILES: _file("A file"),
    f"{_FILES}.metadata": _file("The METADATA of a wheel (PEP 658)"),
    "/pypi/{project}/json": _plain("A project in PyPI's older JSON form", _JSON, more=_MOVED),
    "/integrity/{project}/{version}/{filename}/provenance": _plain(
        "A file's provenance (PEP 740)", _BYTES, more={302: "It is at the file's own address."}
    ),
    "/legacy/": _upload("Publish a file"),
    "/legacy": _upload("Publish a file"),
    "/legacy/parcel": _parcel("Publish files"),
    "/_/stages/": _plain("The stages of what the asker may upload", _JSON, scope="upload"),
    f"{_STAGE}/": {
        **_plain("A stage's files", _JSON, scope="upload"),
        **_change("Drop a stage", "upload", {}, "delete"),
    },
    f"{_STAGE}/legacy/": _upload("Put a file on a stage"),
    f"{_STAGE}/legacy": _upload("Put a file on a stage"),
    f"{_STAGE}/legacy/parcel": _parcel("Put files on a stage"),
    f"{_STAGE}/publish": {
        "post": _Operation(
            says="Publish all of a stage, or nothing", gives=(_JSON,), body=_object(), more=_TAKEN, scope="upload"
        )
    },
    f"{_STAGE}/simple/": _page("The names of all projects, as they will be", scope="upload"),
    f"{_STAGE}/simple/{{project}}/": _page("A project's files, as they will be", scope="upload"),
    f"{_STAGE}{_FILES}": _file("A file on a stage, or of the index"),
    **{
        f"{_ONE}/{kind}/{verb}": _change(f"{says} {what}", "yank", _BECAUSE)
        for kind, what in (("files/{filename}", "a file"), ("releases/{version}", "all files of a version"))
        for verb, says in (("yank", "Yank (PEP 592)"), ("unyank", "Take back the yank of"))
    },
    f"{_ONE}/files/{{filename}}": _change("Delete a file", "delete", {}, "delete"),
    f"{_ONE}/releases/{{version}}": _change("Delete all files of a version", "delete", {}, "delete"),
    f"{_ONE}/status": _change(
        "Set a project's status (PEP 792)",
        "admin",
        _object(("status",), status={"enum": list(get_args(Status))}, reason=_REASON),
        "put",
    ),
    f"{_ONE}/policy": _change(
        "Say what upstream is asked about a project",
        "admin",
        _object(("policy",), policy={"enum": list(get_args(Policy))}, reason=_REASON),
        "put",
    ),
    "/_/records/": _plain("Which builds have a record here, and when they began", _JSON, scope="read"),
    "/_/records/{job}": {
        **_plain("The record of a build", _JSON, scope="read"),
        "put": _Operation(
            says="Keep a build's record and the end of its log, unless a newer record is there",
            gives=(_JSON,),
            body=_object(("record",), record={"type": "object"}, log={"type": "string"}),
            more=_SLOW,
            scope="upload",
        ),
    },
    "/_/oidc/audience": _plain(f"{_PUBLISHING}whom an identity has to be made for", _JSON, fails=_JSON),
    "/_/oidc/mint-token": {
        "post": _Operation(
            says=f"{_PUBLISHING}an upload token for an identity",
            gives=(_JSON,),
            fails=_JSON,
            body=_object(("token",), token={"type": "string"}),
            more={422: "The identity is not good for a token; the errors say why.", **_SLOW},
        )
    },
    "/_/openapi.json": _plain("This document", _JSON),
    "/health": _plain("Is the process alive"),
    "/ready": _plain("Does its store answer"),
    "/metrics": _plain("Numbers for Prometheus", scope="metrics"),
    "/": _for_people("What this is, and what is new", settled=False),
    "/search": _for_people("Projects by a part of their name", {"q": {"type": "string"}, **_PAGE}, settled=False),
    **dict.fromkeys(("/project/{project}", "/project/{project}/"), _for_people("A project")),
    **dict.fromkeys(
        ("/project/{project}/{version}", "/project/{project}/{version}/"), _for_people("A project at a version")
    ),
    **dict.fromkeys(
        ("/builds", "/builds/"),
        _for_people("What was built", {"state": {"type": "string"}, "project": {"type": "string"}, **_PAGE}),
    ),
    **dict.fromkeys(("/builds/{job}", "/builds/{job}/"), _for_people("A build, and why it failed")),
    **dict.fromkeys(("/spool", "/spool/"), _for_people("What is acknowledged and waits for the store")),
    **dict.fromkeys(("/mirror", "/mirror/"), _for_people("What the mirror was asked for, and what it keeps")),
    "/static/{name}": {
        "get": _Operation(
            says="Style, script and mark of the pages",
            gives=("text/css", "text/javascript", "image/svg+xml"),
            more={304: "Not changed: If-None-Match."},
        )
    },
}


def document(server: str = "") -> dict[str, Any]:
    """Return the document; `server` is the path that the index is below."""
    paths = {
        path: {method: _told(path, one) for method, one in methods.items()} for path, methods in OPERATIONS.items()
    }
    basic = {"type": "http", "scheme": "basic", "description": "User name `__token__`, the token as password."}
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": __version__, "description": _ABOUT},
        "servers": [{"url": f"{server}/"}],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}, "basic": basic}},
        "security": [{}, {"token": []}, {"basic": []}],
    }


def _told(path: str, one: _Operation) -> dict[str, Any]:
    scope = f" A token needs the scope `{one.scope}`." if one.scope else ""
    told: dict[str, Any] = {
        "summary": one.says,
        "description": f"{one.says}.{scope}",
        "parameters": [*_of_path(path), *_of_query(one.query)],
        "responses": {
            str(status): {"description": says, **_content(status, one)}
            for status, says in sorted({200: "Done.", **one.more, **_ANYWHERE}.items())
        },
    }
    if one.body is not None:
        told["requestBody"] = {"required": True, "content": one.body}
    return told


def _content(status: int, one: _Operation) -> dict[str, Any]:
    if status in {301, 302, 304}:  # without a body
        return {}
    kinds = one.gives if status in {200, 206} else (one.fails,)
    return {"content": {kind: {} for kind in dict.fromkeys((*kinds, *((_TEXT,) if status == 404 else ())))}}  # noqa: PLR2004 - RFC 9110


def _of_path(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }


def _of_query(query: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, schema in query.items():
        yield {"name": name, "in": "query", "required": False, "schema": dict(schema)}
