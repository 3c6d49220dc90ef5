"""Recipes and what upstream has released in; the newest version in each recipe, its patches tried on it first, out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tomlkit
from packaging.specifiers import SpecifierSet

from wheelhouse.download import download
from wheelhouse.errors import SourceError
from wheelhouse.lifecycle.editing import read_document, write_document
from wheelhouse.recipe import FILE_NAME
from wheelhouse.source.archive import unpack
from wheelhouse.source.patching import apply_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.lifecycle.upstream import Release, SdistFile
    from wheelhouse.recipe import Recipe

State = Literal["current", "newer", "bumped", "refused", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bump:
    """What became of one recipe."""

    project: NormalizedName
    state: State
    """`newer`: there is a newer version, and nothing was written; `refused`: it needs a person first."""
    before: Version
    after: Version | None = None
    sha256: str | None = None
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "project": self.project,
            "state": self.state,
            "before": str(self.before),
            "after": None if self.after is None else str(self.after),
            "sha256": self.sha256,
            "reason": self.reason,
        }


def newest_release(releases: Sequence[Release]) -> Release | None:
    """Return the newest version that upstream stands by: not yanked (PEP 592), no prerelease."""
    return next((entry for entry in releases if not entry.yanked and not entry.version.is_prerelease), None)


def bump(
    recipe: Recipe, releases: Sequence[Release] | SourceError, *, cache: Path, writing: bool, keep: bool = False
) -> Bump:
    """Bring a recipe up to upstream's newest version.

    The entry of its newest version is changed, or with `keep` left as it is below the new one. A source at an address
    of its own and a patch that no longer applies are a person's to look at. Raises InvalidFileError.
    """
    before = next(iter(recipe.versions))
    if isinstance(releases, SourceError):
        return Bump(project=recipe.project, state="unknown", before=before, reason=str(releases))
    newest = newest_release(releases)
    if newest is None or newest.version <= before:
        return Bump(project=recipe.project, state="current", before=before)
    sdist = newest.sdist
    problem = "its source.url is not the index's: write the hash by hand" if recipe.source.url else ""
    if sdist is None:
        problem = "the index has no sdist of it with a sha256"
    if problem or sdist is None:
        return Bump(project=recipe.project, state="refused", before=before, after=newest.version, reason=problem)
    if problem := _patches(recipe, sdist, cache):
        return Bump(
            project=recipe.project,
            state="refused",
            before=before,
            after=newest.version,
            sha256=sdist.sha256,
            reason=problem,
        )
    if writing:
        _write(recipe, sdist, keep=keep)
    state: State = "bumped" if writing else "newer"
    return Bump(project=recipe.project, state=state, before=before, after=newest.version, sha256=sdist.sha256)


def _patches(recipe: Recipe, sdist: SdistFile, cache: Path) -> str:
    """Try the patches on the new source, and return why one does not apply."""
    wanted = [
        patch.file
        for patch in recipe.source.patches
        if SpecifierSet(patch.when_version).contains(sdist.version, prereleases=True)
    ]
    if not wanted:
        return ""
    try:
        archive = download(sdist.url, sha256=sdist.sha256, cache=cache, what=f"the sdist of {recipe.project}")
        with tempfile.TemporaryDirectory(prefix="wheelhouse-bump-") as folder:
            top = unpack(archive, Path(folder) / "source").top
            for file in wanted:
                apply_patch(recipe.folder / file, top)
    except SourceError as error:
        return str(error)
    return ""


def _write(recipe: Recipe, sdist: SdistFile, *, keep: bool) -> None:
    path = recipe.folder / FILE_NAME
    document = read_document(path)
    versions = document["version"]
    assert isinstance(versions, tomlkit.items.AoT)  # noqa: S101 - the recipe was read as one before
    if keep:
        entry = tomlkit.table()
        versions.insert(0, entry)
        entry["version"], entry["sha256"] = str(sdist.version), sdist.sha256
        entry.add(tomlkit.nl())
    else:
        entry = versions[0]
        entry["version"], entry["sha256"] = str(sdist.version), sdist.sha256
        entry.pop("build-number", None)  # it counts the builds of one version
    write_document(path, document)
