"""A manifest in, the bytes of its pages out, for each media type and encoding; and which of them a client wants.

Rendered once, when a manifest changes, and sent as they are. HTML stays at what PEP 503, 592, 629, 658, 714 and 740
made of it (PEP 833 froze it); JSON is PEP 691 with 700, 714, 740 and 792.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from datetime import UTC
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import quote

import orjson
import zstandard

from wheelhouse.index.model import API_VERSION
from wheelhouse.index.pages.negotiation import MediaType
from wheelhouse.index.pages.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import File, Manifest, Sha256

#: Half of a page are hashes, which no level packs: these take a third of the time of the usual ones.
_ZSTD_LEVEL = 1
_GZIP_LEVEL = 3
#: What a page can be compressed to.
Encoding: TypeAlias = Literal["gzip", "zstd"]
_COMPRESS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, _GZIP_LEVEL, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data),
}
#: Bytes that gzip takes a few milliseconds for.
_LONG = 100_000


class Named(Protocol):
    """A file, as its address has it."""

    @property
    def filename(self) -> str:
        """Its name."""

    @property
    def sha256(self) -> Sha256:
        """Of its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What stands before the parts of a link on a project's page."""

    files: str = "../../files"
    """Relative to the page, so that an index can lie under any path; or the whole address of where files are."""
    public: str | None = None
    """Whole https address of the index's root, if known. PEP 740 wants it for provenance, which else goes unsaid."""

    def file(self, file: Named) -> str:
        """Return the URL of a file, without its hash."""
        return f"{self.files}/{file_path(file)}"

    def provenance(self, file: File) -> str | None:
        """Return the URL of a file's provenance."""
        if file.provenance is None or self.public is None:
            return None
        return f"{self.public.rstrip('/')}/files/{file_path(file)}.provenance"


RELATIVE = Links()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The bytes of a page in one encoding."""

    data: bytes
    encoding: str | None
    """For `Content-Encoding`."""
    etag: str
    """Strong, with its quotes: differs between encodings, as RFC 9110 wants it."""


class Page:
    """A page in each encoding. What is compressed is made when it is first asked for, and kept."""

    __slots__ = ("_about", "_identity", "_made")

    def __init__(self, text: Once[bytes], *, about: int) -> None:
        self._identity = Once(lambda: _identity(text()))
        self._about = about
        self._made: dict[Encoding, Body] = {}

    def __eq__(self, other: object) -> bool:
        return self.identity == other.identity if isinstance(other, Page) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)

    @classmethod
    def of(cls, data: bytes) -> Page:
        """Make a page of its text."""
        page = cls(Once(lambda: data), about=len(data))
        page._identity()
        return page

    @classmethod
    def later(cls, text: Callable[[], bytes], *, about: int) -> Page:
        """Make a page of a text that is made when it is first asked for; `about` is how many bytes it may have."""
        return cls(Once(text), about=about)

    @property
    def identity(self) -> Body:
        """The page as it is."""
        return self._identity()

    @property
    def gzip(self) -> Body:
        """The page in gzip."""
        return self.encoded("gzip")

    @property
    def zstd(self) -> Body:
        """The page in zstd."""
        return self.encoded("zstd")

    @property
    def size(self) -> int:
        """Bytes in memory, about: what is compressed comes to a half at most, made or not."""
        return self._about * 3 // 2

    def encoded(self, encoding: Encoding | None) -> Body:
        """Return the page in an encoding; None: as it is."""
        if encoding is None:
            return self.identity
        body = self._made.get(encoding)
        if body is None:
            whole = self.identity
            etag = f'{whole.etag[:-1]}-{encoding}"'
            body = self._made[encoding] = Body(data=_COMPRESS[encoding](whole.data), encoding=encoding, etag=etag)
        return body

    def takes_long(self, encoding: Encoding | None) -> bool:
        """Say whether `encoded` has work to do for it that would keep other requests waiting."""
        made = self._identity.made if encoding is None else encoding in self._made
        return not made and self._about > _LONG


def _identity(data: bytes) -> Body:
    return Body(data=data, encoding=None, etag=f'"{hashlib.sha256(data).hexdigest()[:32]}"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A page in each form; both HTML media types have the same bytes."""

    html: Page
    json: Page

    def of(self, media_type: MediaType) -> Page:
        """Return the page of a media type."""
        return self.json if media_type is MediaType.JSON else self.html


def file_path(file: Named) -> str:
    """Return a file's path below `files/`, quoted for a URL: `ab/ab12…/name-1.0.tar.gz`."""
    return f"{file.sha256[:2]}/{file.sha256}/{quote(file.filename)}"


def render_project(manifest: Manifest, links: Links = RELATIVE) -> Pages:
    """Render a project's page."""
    return Pages(html=Page.of(project_html(manifest, links)), json=Page.of(_project_json(manifest, links)))


def render_root(projects: Iterable[NormalizedName]) -> Pages:
    """Render the list of all projects; each form when it is first asked for, because the list can be long."""
    names = sorted(projects)
    letters, count = sum(map(len, names)), len(names)
    return Pages(
        html=Page.later(lambda: _root_html(names), about=2 * letters + 19 * count),
        json=Page.later(lambda: _root_json(names), about=letters + 12 * count),
    )


def _root_html(names: Sequence[NormalizedName]) -> bytes:
    return _html("Simple index", [], [f'<a href="{name}/">{name}</a><br>' for name in names])


def _root_json(names: Sequence[NormalizedName]) -> bytes:
    meta = orjson.dumps({"api-version": API_VERSION}).decode()
    listed = ",".join([f'{{"name":"{name}"}}' for name in names])  # a normalised name has nothing to escape
    return f'{{"meta":{meta},"projects":[{listed}]}}'.encode()


def project_html(manifest: Manifest, links: Links = RELATIVE) -> bytes:
    """Render a project's page as HTML alone."""
    metas = [f'<meta name="pypi:project-status" content="{manifest.status}">']  # PEP 792
    if manifest.status_reason:
        metas.append(f'<meta name="pypi:project-status-reason" content="{escape(manifest.status_reason)}">')
    lines = [_anchor(file, links) for file in manifest.offered]
    return _html(f"Links for {manifest.name}", metas, lines)


def _html(title: str, metas: list[str], lines: list[str]) -> bytes:
    head = "\n".join(
        [
            "<!DOCTYPE html>",
            "<html>",
            "<head>",
            f'<meta name="pypi:repository-version" content="{API_VERSION}">',
            *metas,
        ]
    )
    body = "\n".join(
        [f"<title>{title}</title>", "</head>", "<body>", f"<h1>{title}</h1>", *lines, "</body>", "</html>"]
    )
    return f"{head}\n{body}\n".encode()


def _anchor(file: File, links: Links) -> str:
    attributes = {"href": f"{links.file(file)}#sha256={file.sha256}"}  # PEP 503
    if file.requires_python:
        attributes["data-requires-python"] = file.requires_python  # PEP 503
    if file.core_metadata:
        attributes["data-core-metadata"] = f"sha256={file.core_metadata}"  # PEP 714
        attributes["data-dist-info-metadata"] = f"sha256={file.core_metadata}"  # PEP 658, for clients before 714
    if file.yanked is not False:
        attributes["data-yanked"] = file.yanked if isinstance(file.yanked, str) else ""  # PEP 592
    if provenance := links.provenance(file):
        attributes["data-provenance"] = provenance  # PEP 740
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{escape(file.filename)}</a><br>"


def _project_json(manifest: Manifest, links: Links) -> bytes:
    status = {"status": manifest.status} | ({"reason": manifest.status_reason} if manifest.status_reason else {})
    return orjson.dumps(
        {
            "meta": {"api-version": API_VERSION},  # PEP 629, 691
            "name": manifest.name,  # PEP 691
            "project-status": status,  # PEP 792
            "versions": list(dict.fromkeys(file.version for file in manifest.offered)),  # PEP 700
            "files": [file_json(file, links) for file in manifest.offered],
        }
    )


def file_json(file: File, links: Links = RELATIVE) -> dict[str, Any]:
    """Return what the JSON page says of a file."""
    known: dict[str, Any] = {
        "filename": file.filename,  # PEP 691
        "url": links.file(file),  # PEP 691
        "hashes": {**file.hashes, "sha256": file.sha256},  # PEP 691
        "size": file.size,  # PEP 700
        "upload-time": file.upload_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),  # PEP 700
        "yanked": file.yanked,  # PEP 592
    }
    if file.requires_python:
        known["requires-python"] = file.requires_python  # PEP 691
    if file.core_metadata:
        # PEP 714. Without PEP 658's `dist-info-metadata` beside it: pip before 23.2 takes its table for a text.
        known["core-metadata"] = {"sha256": file.core_metadata}
    if provenance := links.provenance(file):
        known["provenance"] = provenance  # PEP 740
    return {**file.extra, **known}
