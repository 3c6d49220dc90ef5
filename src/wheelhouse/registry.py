"""A folder of recipes in, all recipes out, and all problems of all of them."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.errors import InvalidFileError, Problem, UsageError
from wheelhouse.recipe import FILE_NAME, load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a registry holds: the recipes that can be read, and all that is wrong with the others."""

    recipes: Mapping[NormalizedName, Recipe]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A folder with one folder a recipe. Recipes are read when asked for, so one bad file hinders nobody else."""

    folder: Path

    def projects(self) -> tuple[NormalizedName, ...]:
        """Return the names of all recipes, sorted; their files are not opened."""
        return tuple(sorted(self._files()))

    def path(self, project: str) -> Path:
        """Return the path of a recipe's file.

        Raises UsageError where there is none, with the nearest that there is.
        """
        name = canonicalize_name(project)
        path = self.folder / name / FILE_NAME
        if not path.is_file():
            files = self._files()
            if name in files:
                return files[name]
            near = difflib.get_close_matches(name, files, n=1)
            raise UsageError(
                f"no recipe for `{project}` in {self.folder}",
                hint=f"did you mean `{near[0]}`?" if near else "`wheelhouse recipe list` shows what there is",
            )
        return path

    def recipe(self, project: str) -> Recipe:
        """Read one recipe.

        Raises UsageError and InvalidFileError.
        """
        return load_recipe(self.path(project))

    def load(self, projects: Iterable[str] | None = None) -> Mapping[NormalizedName, Recipe]:
        """Read recipes (default: all), and those they depend on.

        Raises UsageError for a project without recipe, else one InvalidFileError with every problem of every file.
        """
        survey = self.survey(projects)
        if problems := survey.problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            raise InvalidFileError(f"{count} in the recipes of {self.folder}", problems=problems)
        return survey.recipes

    def survey(self, projects: Iterable[str] | None = None) -> Survey:
        """Read recipes (default: all), and those they depend on, whatever is wrong with some of them.

        Raises UsageError for a project without recipe.
        """
        files = self._files() if projects is None else {canonicalize_name(name): self.path(name) for name in projects}
        recipes: dict[NormalizedName, Recipe] = {}
        problems: list[Problem] = []
        waiting = sorted(files.items())
        for name, file in waiting:  # grows while it is walked
            try:
                recipe = load_recipe(file)
            except InvalidFileError as error:
                problems += error.problems
                continue
            recipes[name] = recipe
            for number, dependency in enumerate(recipe.depends.build):
                needed = canonicalize_name(dependency)
                if needed in files:
                    continue
                try:
                    files[needed] = self.path(needed)
                except UsageError as error:
                    key = f"depends.build[{number}]"
                    problems.append(Problem(file=file, key=key, message=f"{error.message}; {error.hint}"))
                else:
                    waiting.append((needed, files[needed]))
        problems += _circle(recipes)
        return Survey(recipes=recipes, problems=tuple(problems))

    def _files(self) -> dict[NormalizedName, Path]:
        """Return the recipes' files by the normalised names of their folders."""
        try:
            folders = list(os.scandir(self.folder))
        except FileNotFoundError:
            return {}
        except NotADirectoryError:
            raise UsageError(f"{self.folder} is a file, not a folder of recipes") from None
        found: dict[NormalizedName, Path] = {}
        for folder in sorted(folders, key=lambda entry: entry.name, reverse=True):
            path = self.folder / folder.name / FILE_NAME
            if path.is_file():
                found[canonicalize_name(folder.name)] = path
        return found


def _circle(recipes: Mapping[NormalizedName, Recipe]) -> Iterator[Problem]:
    """Yield a problem where recipes wait for each other."""
    graph = {
        name: [needed for dependency in recipe.depends.build if (needed := canonicalize_name(dependency)) in recipes]
        for name, recipe in recipes.items()
        if recipe.depends.build
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
        yield Problem(
            file=recipes[circle[0]].folder / FILE_NAME,
            key="depends.build",
            message=f"recipes wait for each other in a circle: {' -> '.join(circle)}; take one out",
        )
