"""A project's manifest, and what is known of one version's files, in; all that its page shows out."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote as quote_for_shell
from typing import TYPE_CHECKING
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

from wheelhouse.errors import IndexRefusesError, NotOnIndexError
from wheelhouse.index.model import FileName, parse_version
from wheelhouse.index.pages.projectjson import newest
from wheelhouse.index.pages.render import file_path
from wheelhouse.index.web.grid import Grid, make_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from wheelhouse.index.model import File, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Installing:
    """The lines that install a project from this index."""

    root: str
    """The address of the index, without a slash at its end, as it stands in the lines."""
    pip: str
    uv: str
    poetry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A file, as a page lists it."""

    filename: str
    path: str
    """Below the index's root, quoted, without the hash."""
    size: int
    uploaded: datetime
    requires_python: str
    hashes: tuple[tuple[str, str], ...]
    """Algorithm and hex digits, sha256 first."""
    metadata: bool
    provenance: bool
    yanked: bool
    yank_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version in the list of all."""

    version: str
    path: str
    """Quoted."""
    published: datetime
    """When its first file came."""
    files: int
    yanked: bool
    """All its files are."""
    prerelease: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectView:
    """The page of a version of a project."""

    name: str
    version: str | None
    """None: there are no files."""
    newest: bool
    """An installer would choose this version."""
    status: str
    status_reason: str
    policy: str
    yanked: bool
    yank_reason: str
    requires_python: str
    files: tuple[FileView, ...]
    versions: tuple[VersionView, ...]
    """The newest first."""
    grid: Grid


def find_version(manifest: Manifest, asked: str) -> str:
    """Return the version that is meant by any spelling of it. Raises NotOnIndexError."""
    if asked in manifest.versions:
        return asked
    try:
        wanted = Version(asked)
    except InvalidVersion:
        wanted = None
    for version in manifest.versions:
        if wanted is not None and parse_version(version) == wanted:
            return version
    raise NotOnIndexError(f"there is no version {asked[:80]!r} of {manifest.name} here")


def files_of(manifest: Manifest, version: str | None) -> tuple[File, ...]:
    """Return the files of a version that are offered."""
    return tuple(file for file in manifest.offered if file.version == version)


def newest_version(manifest: Manifest) -> str | None:
    """Return the version that an installer would choose; None: there are no files."""
    try:
        file = newest(manifest)
    except InvalidVersion:  # an upstream's, from before there were rules
        return manifest.offered[-1].version
    return file.version if file is not None else None


def show_project(manifest: Manifest, version: str | None) -> ProjectView:
    """Put a page together; `version` is one of the manifest's, or None where it has no files."""
    files = files_of(manifest, version)
    yanked = bool(files) and all(file.yanked is not False for file in files)
    return ProjectView(
        name=manifest.name,
        version=version,
        newest=version == newest_version(manifest),
        status=manifest.status,
        status_reason=manifest.status_reason or "",
        policy=manifest.policy,
        yanked=yanked,
        yank_reason=next((file.yanked for file in files if isinstance(file.yanked, str)), "") if yanked else "",
        requires_python=next((file.requires_python for file in files if file.requires_python), ""),
        files=tuple(_file(file) for file in files),
        versions=tuple(_versions(manifest)),
        grid=make_grid(_wheels(files)),
    )


def _wheels(files: Sequence[File]) -> list[FileName]:
    found = []
    for file in files:
        if file.filename.endswith(".whl"):
            try:
                found.append(FileName.parse(file.filename))
            except IndexRefusesError:  # an upstream's, from before there were rules
                continue
    return found


def _file(file: File) -> FileView:
    hashes: Mapping[str, str] = {"sha256": file.sha256, **file.hashes}
    return FileView(
        filename=file.filename,
        path=f"files/{file_path(file)}",
        size=file.size,
        uploaded=file.upload_time,
        requires_python=file.requires_python or "",
        hashes=tuple(hashes.items()),
        metadata=file.core_metadata is not None,
        provenance=file.provenance is not None,
        yanked=file.yanked is not False,
        yank_reason=file.yanked if isinstance(file.yanked, str) else "",
    )


def _versions(manifest: Manifest) -> list[VersionView]:
    groups: dict[str, list[File]] = {}
    for file in manifest.offered:
        groups.setdefault(file.version, []).append(file)
    return [
        VersionView(
            version=version,
            path=quote(version, safe="!+"),
            published=min(file.upload_time for file in files),
            files=len(files),
            yanked=all(file.yanked is not False for file in files),
            prerelease=(parsed := parse_version(version)) is not None and parsed.is_prerelease,
        )
        for version, files in reversed(groups.items())  # a manifest has the oldest first
    ]


def installing(name: str, version: str | None, *, root: str, pinned: bool) -> Installing:
    """Return the lines for a project; `root` is the address of the index, without a slash at its end."""
    wanted = quote_for_shell(f"{name}=={version}" if pinned and version is not None else name)
    index = f"{root}/simple/"
    return Installing(
        root=root,
        pip=f"pip install --index-url {index} {wanted}",
        uv=f"uv pip install --default-index {index} {wanted}",
        poetry=f"poetry source add --priority=primary wheelhouse {index}\n"
        f"poetry add --source wheelhouse {wanted.replace('==', '@')}",
    )
