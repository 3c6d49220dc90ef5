"""A wheel that passed its checks in; what it says of itself and its recipe does not say yet, out."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING

from wheelhouse.check.elf import MalformedElfError, read_elf
from wheelhouse.check.grafted import stem
from wheelhouse.diagnose.clue import Missing
from wheelhouse.lifecycle.mending import HASH, Change, is_new, module_of, tests_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.diagnose import PackageLookup
    from wheelhouse.recipe import Recipe


def told_by(wheel: Path, recipe: Recipe, lookup: PackageLookup) -> tuple[Change, ...]:
    """Return the names by which it is imported and the packages that it was linked with, where the recipe has none.

    A machine that had all it takes before the first build says nothing is missing: the next one would.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(r"\.(?:so|pyd)$", name) and ".libs/" not in name]
        found = [*_names(names, recipe)]
        if not any(packages for _, packages in recipe.system_packages):
            found += _linked([archive.read(name) for name in names], lookup)
    return tuple(change for change in found if is_new(change, recipe))


def _names(names: list[str], recipe: Recipe) -> Iterator[Change]:
    if recipe.test.imports != () or recipe.test.command is not None:
        return
    modules = tuple(dict.fromkeys(found for name in names for found in module_of(name)))
    if modules:
        tops = tuple(dict.fromkeys(found.partition(".")[0] for found in modules))
        why = "the extension modules in the wheel"
        yield Change(table="package", key="import-names", put=tops, why=why)
        yield from tests_of(modules, why=why)


def _linked(binaries: list[bytes], lookup: PackageLookup) -> Iterator[Change]:
    """Yield the packages of the libraries that were grafted and that the extensions themselves ask for."""
    packages: dict[str, dict[str, str]] = {}
    for data in binaries:
        try:
            needed = read_elf(data).needed
        except MalformedElfError:
            continue
        for name in needed:
            library = stem(HASH.sub("", name))
            if HASH.search(name):
                for family, package in lookup.packages(Missing(kind="library", name=library)).items():
                    packages.setdefault(family, {})[package] = library
    for image, by in packages.items():
        why = f"linked with {', '.join(sorted(set(by.values())))}"
        yield Change(table="system-packages", key=image, add=tuple(sorted(by)), why=why)
