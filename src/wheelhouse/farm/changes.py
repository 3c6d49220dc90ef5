"""A registry in a git repository and a commit in; the projects whose recipes differ from it out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.config import FILE_NAME
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.process import Processes
    from wheelhouse.recipe import Recipe

#: What GitHub gives as the commit before a branch's first push.
_NOTHING = re.compile(r"0{40,64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def changed_recipes(recipes: Path, ref: str, processes: Processes) -> frozenset[NormalizedName] | None:
    """Return the projects whose folder in `recipes` differs from where this branch left `ref`, uncommitted work too.

    None: the settings of all recipes differ, or `ref` is the commit of zeros that stands for "there was nothing".
    Raises UsageError where git does not know.
    """
    if _NOTHING.fullmatch(ref):
        return None
    base = recipes.parent
    commit = _git(processes, base, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
    if not _COMMIT.fullmatch(commit):
        raise UsageError(
            f"git knows no commit `{ref}` in {base}", hint="fetch it: `actions/checkout` by `fetch-depth: 0`"
        )
    fork = _git(processes, base, "merge-base", commit, "HEAD").strip()
    if not _COMMIT.fullmatch(fork):
        raise UsageError(f"`{ref}` and what is checked out have no commit in common", hint="fetch with full history")
    differing = _git(processes, base, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--relative", fork)
    new = _git(processes, base, "ls-files", "-z", "--others", "--exclude-standard")
    files = {file for file in (differing + new).split("\0") if file}
    if FILE_NAME in files:
        return None
    inside = f"{recipes.name}/"
    names = {file.removeprefix(inside).split("/", 1)[0] for file in files if file.startswith(inside) and "/" in file}
    return frozenset(canonicalize_name(name) for name in names if (recipes / name).is_dir())


def with_dependents(
    projects: frozenset[NormalizedName], recipes: Mapping[NormalizedName, Recipe]
) -> frozenset[NormalizedName]:
    """Return those of the projects that have a recipe, and all whose build depends on them."""
    dependents: dict[NormalizedName, list[NormalizedName]] = {}
    for project, recipe in recipes.items():
        for name in recipe.depends.build:
            dependents.setdefault(canonicalize_name(name), []).append(project)
    found: set[NormalizedName] = set()
    waiting = [project for project in projects if project in recipes]
    while waiting:
        project = waiting.pop()
        if project not in found:
            found.add(project)
            waiting += dependents.get(project, [])
    return frozenset(found)


def _git(processes: Processes, folder: Path, *words: str) -> str:
    """Return what git says; nothing where it found nothing (status 1). Raises UsageError where it cannot say."""
    done = processes.run(["git", "-C", folder, *words], check=False)
    if done.returncode > 1:
        said = done.output.strip().splitlines()
        raise UsageError(
            f"git cannot say what changed in {folder}: {said[-1] if said else f'status {done.returncode}'}",
            hint="--changed-since needs a git repository, with the history down to that commit",
        )
    return done.output
