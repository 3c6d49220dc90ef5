"""A folder of recipes in, all recipes out, and all problems of all of them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.errors import InvalidFileError, UsageError
from wheelhouse.recipe import FILE_NAME, load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A folder with one folder a recipe. Recipes are read when asked for, so one bad file hinders nobody else."""

    folder: Path

    def projects(self) -> tuple[NormalizedName, ...]:
        """Return the names of all recipes, sorted; their files are not opened."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(canonicalize_name(path.parent.name) for path in self.folder.glob(f"*/{FILE_NAME}")))

    def path(self, project: str) -> Path:
        """Return the path of a recipe's file.

        Raises UsageError where there is none, with the nearest that there is.
        """
        name = canonicalize_name(project)
        path = self.folder / name / FILE_NAME
        if not path.is_file():
            near = difflib.get_close_matches(name, self.projects(), n=1)
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

        Raises one InvalidFileError with every problem of every file.
        """
        recipes: dict[NormalizedName, Recipe] = {}
        problems: list[str] = []
        waiting = [canonicalize_name(name) for name in (self.projects() if projects is None else projects)]
        seen = set(waiting)
        while waiting:
            name = waiting.pop(0)
            try:
                recipe = self.recipe(name)
            except InvalidFileError as error:
                problems += error.problems or [str(error)]
                continue
            recipes[name] = recipe
            for dependency in recipe.depends.build:
                needed = canonicalize_name(dependency)
                if not (self.folder / needed / FILE_NAME).is_file():
                    problems.append(f"{self.path(name)}: depends.build: no recipe for `{dependency}`")
                elif needed not in seen:
                    seen.add(needed)
                    waiting.append(needed)
        if problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            raise InvalidFileError(f"{count} in the recipes of {self.folder}", problems=problems)
        return recipes

    def problems(self) -> Iterator[str]:
        """Yield every problem of every recipe."""
        try:
            self.load()
        except InvalidFileError as error:
            yield from error.problems
