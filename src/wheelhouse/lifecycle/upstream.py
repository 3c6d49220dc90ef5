"""Pages of an index in; what it has of each version out: the sdist, the wheels, whether it was yanked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from wheelhouse.download import connections
from wheelhouse.errors import SourceError
from wheelhouse.source.location import project_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.tags import Tag
    from packaging.utils import NormalizedName
    from pypi_simple import DistributionPackage, ProjectPage

#: Projects asked about at once: an index is somebody's machine too.
_WIDTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistFile:
    """A source archive on an index."""

    version: Version
    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a project, as an index has it."""

    version: Version
    sdist: SdistFile | None
    """None: there is none with a sha256."""
    tags: frozenset[Tag]
    """Of all its wheels."""
    yanked: bool
    """All that is left of it was taken back (PEP 592)."""


def releases(page: ProjectPage) -> tuple[Release, ...]:
    """Return the versions of a project, newest first. Files with names that nobody can read are left out."""
    files: dict[Version, list[DistributionPackage]] = {}
    for file in page.packages:
        try:
            files.setdefault(Version(file.version or ""), []).append(file)
        except InvalidVersion:
            continue
    return tuple(_release(version, files[version]) for version in sorted(files, reverse=True))


def ask(
    projects: Iterable[NormalizedName], *, index: str
) -> Mapping[NormalizedName, tuple[Release, ...] | SourceError]:
    """Ask the index for many projects at once, over shared connections; what it says, or why it says nothing."""
    with connections(index) as pool, ThreadPoolExecutor(_WIDTH, thread_name_prefix="index") as threads:

        def one(project: NormalizedName) -> tuple[Release, ...] | SourceError:
            try:
                return releases(project_page(project, index=index, pool=pool))
            except SourceError as error:
                return error

        names = list(projects)
        return dict(zip(names, threads.map(one, names), strict=True))


def _release(version: Version, files: list[DistributionPackage]) -> Release:
    kept = [file for file in files if not file.is_yanked]
    tags: set[Tag] = set()
    sdists: list[tuple[int, SdistFile]] = []
    for file in kept or files:
        sha256 = file.digests.get("sha256")
        try:
            if file.filename.endswith(".whl"):
                tags |= parse_wheel_filename(file.filename)[3]
            elif sha256:
                parse_sdist_filename(file.filename)
                rank = (".tar.gz", ".zip").index(next(e for e in (".tar.gz", ".zip") if file.filename.endswith(e)))
                sdists.append((rank, SdistFile(version=version, url=file.url, sha256=sha256)))
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue
    return Release(
        version=version,
        sdist=min(sdists, key=lambda entry: entry[0])[1] if sdists else None,
        tags=frozenset(tags),
        yanked=not kept,
    )
