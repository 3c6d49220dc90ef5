"""A recipe, what upstream has and what its last builds came to in; whether it is needed, behind, failing, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import SourceError
from wheelhouse.lifecycle.bumping import newest_release
from wheelhouse.trial.compatibility import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.job import Job
    from wheelhouse.lifecycle.upstream import Release
    from wheelhouse.recipe import Recipe
    from wheelhouse.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one recipe stands."""

    project: NormalizedName
    version: Version
    """The newest that the recipe has."""
    newest: Version | None
    """The newest that upstream stands by; None: it could not be asked, or has none."""
    targets: int
    """Build identifiers that the recipe builds for."""
    served: tuple[str, ...]
    """Those of them for which upstream's newest version has wheels."""
    failing: tuple[str, ...]
    """Jobs whose last attempt failed, each with its cause."""
    retired: str | None
    problem: str = ""
    """Why upstream could not be asked."""

    @property
    def behind(self) -> bool:
        """Whether upstream has a newer version."""
        return self.newest is not None and self.newest > self.version

    @property
    def unnecessary(self) -> bool:
        """Whether upstream's newest version has a wheel for everything that the recipe builds for."""
        return self.targets > 0 and len(self.served) == self.targets

    @property
    def remarks(self) -> tuple[str, ...]:
        """All there is to say, in words; nothing: it is as it should be."""
        said = [f"retired: {self.retired}"] if self.retired else []
        if self.unnecessary:
            said.append(f"unnecessary: upstream has wheels of {self.newest} for all {self.targets} targets")
        elif self.served:
            said.append(f"upstream has wheels of {self.newest} for {len(self.served)} of {self.targets} targets")
        if self.behind:
            said.append(f"behind: upstream has {self.newest}")
        said += [f"failing: {failure}" for failure in self.failing]
        return (*said, *([f"not known: {self.problem}"] if self.problem else []))

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "project": self.project,
            "version": str(self.version),
            "newest": None if self.newest is None else str(self.newest),
            "behind": self.behind,
            "unnecessary": self.unnecessary,
            "targets": self.targets,
            "served-by-upstream": list(self.served),
            "failing": list(self.failing),
            "retired": self.retired,
            "problem": self.problem or None,
        }


def standing(
    recipe: Recipe,
    jobs: Sequence[Job],
    releases: Sequence[Release] | SourceError,
    *,
    latest: Callable[[str], Record | None],
) -> Standing:
    """Hold a recipe and its jobs against upstream's releases and the last records. `latest` gives that of a job."""
    known = () if isinstance(releases, SourceError) else releases
    newest = newest_release(known)
    tags = frozenset() if newest is None else newest.tags
    records = [record for job in jobs if (record := latest(job.id)) is not None and record.status == "failed"]
    return Standing(
        project=recipe.project,
        version=next(iter(recipe.versions)),
        newest=None if newest is None else newest.version,
        targets=len(jobs),
        served=tuple(str(job.target) for job in jobs if fits(tags, job.target)),
        failing=tuple(f"{record.job}: {record.cause.message if record.cause else 'no cause'}" for record in records),
        retired=recipe.package.retired,
        problem=str(releases) if isinstance(releases, SourceError) else "",
    )
