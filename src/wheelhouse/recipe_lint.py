"""A registry in; everything that is wrong with its recipes out, and what is not wrong but not as it should be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from wheelhouse.errors import Problem
from wheelhouse.recipe import FILE_NAME
from wheelhouse.target import Selection, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wheelhouse.config import Config
    from wheelhouse.recipe import Recipe
    from wheelhouse.registry import Registry

#: Yocto's words for what became of a patch; those that somebody can look up carry an address.
_STATUS = ("Pending", "Submitted", "Accepted", "Backport", "Denied", "Inactive-Upstream", "Inappropriate")
_WITH_ADDRESS = {"Submitted", "Accepted", "Backport"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look at a registry found."""

    recipes: int
    """How many were looked at."""
    problems: tuple[Problem, ...]
    """These recipes cannot be built."""
    advice: tuple[Problem, ...]
    """These can; somebody will be led astray by them."""


def lint(registry: Registry, config: Config, projects: Iterable[str] | None = None) -> Report:
    """Look at recipes (default: all), and at those they depend on.

    Raises UsageError for a project without recipe.
    """
    names = None if projects is None else [canonicalize_name(name) for name in projects]
    survey = registry.survey(names)
    advice = [remark for recipe in survey.recipes.values() for remark in _advice(recipe, config)]
    if names is None and registry.folder.is_dir():
        advice += _strangers(registry)
    broken = {problem.file for problem in survey.problems}
    whole = [recipe for recipe in survey.recipes.values() if recipe.folder / FILE_NAME not in broken]
    return Report(recipes=len(whole) + len(broken), problems=survey.problems, advice=tuple(advice))


def _advice(recipe: Recipe, config: Config) -> Iterator[Problem]:
    file = recipe.folder / FILE_NAME
    for key, message in (*_patches(recipe), *_versions(recipe), *_overrides(recipe, config)):
        yield Problem(file=file, key=key, message=message)


def _patches(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for number, patch in enumerate(recipe.source.patches):
        key = f"source.patches[{number}].upstream-status"
        word = patch.upstream_status.split()[0] if patch.upstream_status.split() else ""
        if word not in _STATUS:
            yield key, f"begins with none of {', '.join(_STATUS)}"
        elif word in _WITH_ADDRESS and not re.search(r"https?://", patch.upstream_status):
            yield key, f"{word}, but where? Give the address"
    named = {recipe.folder / patch.file for patch in recipe.source.patches}
    for path in sorted(recipe.folder.rglob("*.patch")) + sorted(recipe.folder.rglob("*.diff")):
        if path not in named:
            yield "source.patches", f"{path.relative_to(recipe.folder)} lies beside the recipe, but is not applied"


def _versions(recipe: Recipe) -> Iterator[tuple[str, str]]:
    conditions = [
        *((f"source.patches[{number}]", patch.when_version) for number, patch in enumerate(recipe.source.patches)),
        *((f"override[{number}]", override.when_version) for number, override in enumerate(recipe.override)),
    ]
    for key, text in conditions:
        specifier = SpecifierSet(text)
        if not any(specifier.contains(version, prereleases=True) for version in recipe.versions):
            yield f"{key}.when-version", f"`{text}` fits no version of the recipe: it has no effect"


def _overrides(recipe: Recipe, config: Config) -> Iterator[tuple[str, str]]:
    if not recipe.override:
        return
    build = config.targets.build if recipe.targets.build is None else recipe.targets.build
    targets = Selection(build=build, skip=config.targets.skip + recipe.targets.skip).identifiers()
    if not targets:
        yield "targets", "nothing is left to build for"
        return
    for number, override in enumerate(recipe.override):
        if not any(matches(override.select, str(target)) for target in targets):
            yield f"override[{number}].select", f"`{override.select}` picks none of the recipe's targets: no effect"


def _strangers(registry: Registry) -> Iterator[Problem]:
    for folder in sorted(registry.folder.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and not (folder / FILE_NAME).is_file():
            yield Problem(file=folder, message=f"a folder without {FILE_NAME}")
