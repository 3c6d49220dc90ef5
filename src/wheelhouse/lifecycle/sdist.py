"""`project`, `project==version` or the path of an sdist in; the verified archive out, with the hash that is its own.

What the index said of a version is kept in the cache, beside the archive: an sdist that was seen once needs no network.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from wheelhouse.download import NotThereError, download, verified
from wheelhouse.errors import SourceError, UsageError
from wheelhouse.lifecycle.upstream import releases
from wheelhouse.record import write_atomically
from wheelhouse.source.location import project_page
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

    from wheelhouse.lifecycle.upstream import SdistFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An sdist that is here, verified."""

    project: NormalizedName
    version: Version
    sha256: str
    archive: Path
    origin: str
    """Who says that this is its hash, in words."""


def find_sdist(text: str, *, cache: Path, index: Callable[[], str]) -> Found:
    """Return the sdist that a name, a pinned name or a path means: the newest version, prereleases only at need.

    Raises UsageError for what is neither, SourceError where there is no such sdist.
    """
    path = Path(text)
    if path.name != text or path.suffix in {".gz", ".zip", ".bz2", ".xz", ".tgz"} or path.is_file():
        return _by_path(path, cache)
    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(
            f"`{text}` is neither a project nor an sdist", hint="as in `psycopg2`, `psycopg2==2.9.10` or a path"
        ) from error
    project = canonicalize_name(wanted.name)
    try:
        page = project_page(project, index=index())
    except NotThereError:
        raise
    except SourceError:
        if (known := _remembered(project, wanted, cache)) is not None:
            return known
        raise
    files = [release.sdist for release in releases(page) if release.sdist and not release.yanked]
    return _fetched(project, _best(project, wanted, files), cache)


def _best(project: NormalizedName, wanted: Requirement, files: list[SdistFile]) -> SdistFile:
    fitting = [file for file in files if wanted.specifier.contains(file.version, prereleases=True)]
    if not fitting:
        there = ", ".join(str(file.version) for file in files[:12])
        raise SourceError(
            f"the index has no sdist of {project}{' that fits ' + str(wanted.specifier) if wanted.specifier else ''}",
            hint=f"it has {there}" if there else "it has none with a sha256; write the recipe with source.url",
        )
    final = [file for file in fitting if not file.version.is_prerelease]
    return max(final or fitting, key=lambda file: file.version)


def _fetched(project: NormalizedName, file: SdistFile, cache: Path) -> Found:
    archive = download(file.url, sha256=file.sha256, cache=cache, what=f"the sdist of {project}")
    memory = _memory(project, cache)
    write_atomically(memory, json.dumps({**_read(memory), str(file.version): file.sha256}).encode())
    return Found(project=project, version=file.version, sha256=file.sha256, archive=archive, origin="the index")


def _remembered(project: NormalizedName, wanted: Requirement, cache: Path) -> Found | None:
    """Return the newest fitting sdist that was fetched before; None: there is none."""
    known = {Version(text): sha256 for text, sha256 in _read(_memory(project, cache)).items()}
    for version in sorted(known, key=lambda version: (not version.is_prerelease, version), reverse=True):
        fits = wanted.specifier.contains(version, prereleases=True)
        if fits and (archive := verified(known[version], cache=cache)) is not None:
            return Found(
                project=project,
                version=version,
                sha256=known[version],
                archive=archive,
                origin="the index, when it was last asked",
            )
    return None


def _memory(project: NormalizedName, cache: Path) -> Path:
    return cache / "sdists" / f"{project}.json"


def _read(memory: Path) -> dict[str, str]:
    with suppress(OSError, ValueError, TypeError):
        return {str(version): str(sha256) for version, sha256 in json.loads(memory.read_bytes()).items()}
    return {}


def _by_path(path: Path, cache: Path) -> Found:
    try:
        project, version = parse_sdist_filename(path.name)
    except InvalidSdistFilename as error:
        raise UsageError(
            f"{path} has not the name of an sdist", hint="as in spam-1.0.tar.gz; PEP 625 has the form"
        ) from error
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=str(path)) from error
    archive = download(path.absolute().as_uri(), sha256=sha256, cache=cache, what="the sdist")
    origin = "the file that was given: compare it with the index's"
    return Found(project=project, version=version, sha256=sha256, archive=archive, origin=origin)
