"""The bare table of a recipe in; what no model can say of it out: order, files, selectors, cibuildwheel's options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.selector import selector_problems
from wheelhouse.toml import find_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wheelhouse.errors import Location
    from wheelhouse.toml import Rules

#: Tables of an override that change something.
EFFECTS = ("skip", "system-packages", "build", "cibuildwheel", "repair", "test", "resources")
#: Options that `[build]` and `[cibuildwheel]` both have.
_TWICE = ("environment", "config-settings")
_SELECTORS = (("targets", "build", "*"), ("targets", "skip", "*"), ("override", "*", "select"))


def recipe_rules(folder: Path) -> Rules:
    """Return the rules for a recipe that lies in `folder`."""

    def rules(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        yield from _name(table, folder)
        yield from _versions(table)
        yield from _source(table, folder)
        yield from _depends(table)
        yield from _selectors(table)
        yield from _overrides(table)
        yield from _cibuildwheel(table)

    return rules


def _name(table: Mapping[str, Any], folder: Path) -> Iterator[tuple[Location, str]]:
    for place, name in _texts(table, "package", "name"):
        if (project := canonicalize_name(name)) != folder.name:
            yield place, f"the folder is `{folder.name}`, the project `{project}`: they must be the same (PEP 503)"


def _versions(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    seen: dict[Version, str] = {}
    before: Version | None = None
    for place, text in _texts(table, "version", "*", "version"):
        try:
            version = Version(text)
        except InvalidVersion:
            continue  # the model says so
        if version in seen:
            yield place, f"{text} stands twice{'' if seen[version] == text else f', the first time as {seen[version]}'}"
        elif before is not None and version > before:
            yield place, f"{text} is newer than {before}, which stands before it: newest first"
        seen.setdefault(version, text)
        before = version


def _source(table: Mapping[str, Any], folder: Path) -> Iterator[tuple[Location, str]]:
    count = sum(1 for _ in find_all(table, "version", "*"))
    for place, url in _texts(table, "source", "url"):
        if count > 1 and "{version}" not in url:
            yield place, f"{count} versions, and the same address for all: write {{version}} where it differs"
    seen: set[str] = set()
    for place, file in _texts(table, "source", "patches", "*", "file"):
        if not os.path.isfile(folder / file):  # noqa: PTH113 - bears names that no file can have
            yield place, f"{file} does not exist beside the recipe"
        elif file in seen:
            yield place, f"{file} stands twice; say the versions in one `when-version`"
        seen.add(file)


def _depends(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    own = {canonicalize_name(name) for _, name in _texts(table, "package", "name")}
    for place, name in _texts(table, "depends", "build", "*"):
        if canonicalize_name(name) in own:
            yield place, "a recipe cannot depend on itself"


def _selectors(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for pattern in _SELECTORS:
        for place, text in _texts(table, *pattern):
            for problem in selector_problems(text):
                yield place, problem


def _overrides(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for place, override in find_all(table, "override", "*"):
        if isinstance(override, dict) and not any(override.get(key) for key in EFFECTS):
            yield place, f"changes nothing: it has none of {', '.join(EFFECTS)}"


def _cibuildwheel(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for prefix in ((), ("override", "*")):
        for place, options in find_all(table, *prefix, "cibuildwheel"):
            if not isinstance(options, dict) or not options:
                continue
            from wheelhouse.cibuildwheel_options import option_problems  # noqa: PLC0415 - few recipes need it

            yield from (((*place, *where), message) for where, message in option_problems(options))
    for key in _TWICE:
        for place, _ in find_all(table, "cibuildwheel", key):
            if any(find_all(table, "build", key)):
                yield place, f"stands in `build.{key}` too: keep that one, which both builders follow"


def _texts(table: Mapping[str, Any], *pattern: str) -> Iterator[tuple[Location, str]]:
    """Yield the texts at a pattern; what is of another type, the model has refused."""
    return ((place, value) for place, value in find_all(table, *pattern) if isinstance(value, str))
