"""What an upstream says of a project in, JSON or HTML; its files out, each with all that was said of it.

The JSON is data: keys that we do not know stay as they are. What is not safe to pass on is left out, file by file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import orjson
from packaging.utils import canonicalize_name

from wheelhouse.errors import IndexRefusesError, UpstreamUnavailableError
from wheelhouse.index.model import FileName, Sha256, is_sha256
from wheelhouse.index.upstream.address import may_lead_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

#: What stands in names of wheels and sdists; nothing that means something in a URL, on a disk or in a page.
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]{0,254}")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
_may_lead_to = lru_cache(maxsize=1024)(may_lead_to)
MOST_METADATA = 16 * 2**20
MOST_FILE = 64 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a file comes from, and how it is known when it is here."""

    filename: str
    """For messages."""
    url: str
    upstream: str
    """Address of the upstream that told of it."""
    sha256: Sha256
    size: int | None
    """Bytes; None: upstream does not say."""
    metadata: Sha256 | None = None
    """PEP 714: of what is at the URL + `.metadata`."""
    most: int = MOST_FILE
    """Bytes that are taken where `size` is not known."""

    def beside(self) -> Origin | None:
        """Return where the file's metadata come from; None: there are none."""
        if self.metadata is None:
            return None
        return Origin(
            filename=f"{self.filename}.metadata",
            url=f"{self.url}.metadata",
            upstream=self.upstream,
            sha256=self.metadata,
            size=None,
            most=MOST_METADATA,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFile:
    """One file of an upstream's page."""

    name: FileName
    origin: Origin
    uploaded: datetime | None
    """PEP 700; UTC."""
    said: Mapping[str, Any]
    """All that upstream said of it (PEP 691)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPage:
    """What an upstream says of one project."""

    project: NormalizedName
    said: Mapping[str, Any]
    """PEP 691, all but `files`."""
    files: tuple[UpstreamFile, ...]
    """Those that can be passed on: wheels and sdists of this project, with a sha256, at a place where we may ask."""


def parse_page(body: bytes, *, project: NormalizedName, url: str, upstream: str) -> UpstreamPage:
    """Read a page of JSON (PEP 691) that came from `url`. Raises UpstreamUnavailableError where it is none."""
    try:
        said = orjson.loads(body)
        _expect_page(said, project)
        found = [_file(each, project, url, upstream) for each in said["files"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpstreamUnavailableError(f"upstream's page of {project} is no page of the Simple API") from error
    return UpstreamPage(
        project=project,
        said={key: value for key, value in said.items() if key != "files"},
        files=tuple(file for file in found if file is not None),
    )


def html_to_json(html: bytes, *, project: NormalizedName, url: str) -> bytes:
    """Turn a page of HTML (PEP 503) into one of JSON. Raises UpstreamUnavailableError."""
    from pypi_simple import ProjectPage, UnsupportedRepoVersionError  # noqa: PLC0415 - few upstreams have no JSON

    try:
        page = ProjectPage.from_html(project, html, base_url=url)
    except (ValueError, UnsupportedRepoVersionError) as error:
        raise UpstreamUnavailableError(f"upstream's page of {project} cannot be read") from error
    files = [
        {
            "filename": package.filename,
            "url": package.url,
            "hashes": dict(package.digests),
            "yanked": (package.yanked_reason or True) if package.is_yanked else False,
            **({"requires-python": package.requires_python} if package.requires_python else {}),
            **({"core-metadata": dict(package.metadata_digests)} if package.metadata_digests else {}),
        }
        for package in page.packages
    ]
    if not any("sha256" in package.digests for package in page.packages):  # as on a page for logging in
        raise UpstreamUnavailableError(f"upstream's page of {project} has no file with a sha256")
    meta = {"api-version": page.repository_version or "1.0"}
    return orjson.dumps({"meta": meta, "name": project, "files": files})


def _expect_page(said: Mapping[str, Any], project: NormalizedName) -> None:
    if not isinstance(said["files"], list) or canonicalize_name(said["name"]) != project:
        raise ValueError("of another project")
    if said["meta"]["api-version"].partition(".")[0] != "1":  # PEP 629: what a higher major version means is not known
        raise ValueError("of an API that is not known")


def _file(said: Mapping[str, Any], project: NormalizedName, url: str, upstream: str) -> UpstreamFile | None:
    sha256, filename = said["hashes"].get("sha256"), said["filename"]
    if not isinstance(sha256, str) or not is_sha256(sha256) or not _FILENAME.fullmatch(filename):
        return None
    try:
        name = FileName.parse(filename)
    except IndexRefusesError:
        return None  # an egg, an installer: of no use to those who ask for pages
    target = _target(url, said["url"])
    if name.project != project or target is None:
        return None
    size = said.get("size")
    origin = Origin(
        filename=filename,
        url=target,
        upstream=upstream,
        sha256=Sha256(sha256),
        size=size if isinstance(size, int) and 0 <= size <= MOST_FILE else None,
        metadata=_metadata(said),
    )
    return UpstreamFile(name=name, origin=origin, uploaded=parse_moment(said.get("upload-time")), said=said)


def _target(base: str, url: str) -> str | None:
    """Return where a file is; None: where we may not ask. Thousands of links lead to one host: that is judged once."""
    whole = url if url.startswith(("https://", "http://")) else urljoin(base, url)
    scheme, _, rest = whole.partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    if not slash or _UNFIT.search(rest) or not _may_lead_to(base, f"{scheme}://{host}/"):
        return None
    return f"{scheme}://{host}/{path}"


def _metadata(said: Mapping[str, Any]) -> Sha256 | None:
    """Return the hash of the metadata; `true` alone is not enough to know them by when they come."""
    for key in ("core-metadata", "dist-info-metadata"):  # PEP 714, PEP 658
        hashes = said.get(key)
        if isinstance(hashes, dict):
            sha256 = hashes.get("sha256")
            return Sha256(sha256) if isinstance(sha256, str) and is_sha256(sha256) else None
    return None


def parse_moment(text: object) -> datetime | None:
    """Return a time of upload (PEP 700); None: it is none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
