"""What a source says of system packages in, proposals by image family out, each with where it was found."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wheelhouse.diagnose.clue import Missing
from wheelhouse.diagnose.lookup import FAMILIES
from wheelhouse.lifecycle.extensions import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wheelhouse.diagnose.lookup import ImageFamily, PackageLookup

#: How each family's package managers are told to install.
_INSTALLERS: Mapping[str, ImageFamily] = {
    "yum": "manylinux",
    "dnf": "manylinux",
    "microdnf": "manylinux",
    "apk": "musllinux",
    "apt": "debian",
    "apt-get": "debian",
}
_VERBS = frozenset({"install", "add", "localinstall"})
#: PEP 725, by kind of virtual package: what every build image has already.
_COMPILERS = frozenset({"compiler/c", "compiler/c++", "compiler/cpp", "compiler/cxx"})
_PKG_CONFIG = Missing(kind="tool", name="pkg-config")
_LIBC = Missing(kind="header", name="stdio.h")
_PURL = re.compile(r"(?:pkg:generic|dep:(?:generic|virtual)|virtual:?)/(?P<name>[\w./+-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """System packages that the build is likely to need."""

    packages: Mapping[ImageFamily, tuple[str, ...]]
    why: str
    """In words, with the file that says so."""


def proposals(pyproject: Mapping[str, Any], wishes: Sequence[Wish], lookup: PackageLookup) -> tuple[Proposal, ...]:
    """Return what upstream's tables and files ask for; what no table of ours knows is left for a build to show."""
    found = [*_of_cibuildwheel(pyproject), *_of_external(pyproject, lookup)]
    tools = [Wish(missing=_PKG_CONFIG, where=wish.where) for wish in wishes if wish.missing.kind == "pkg-config"]
    taken = {(family, name) for proposal in found for family, names in proposal.packages.items() for name in names}
    taken |= set(lookup.packages(_LIBC).items())  # every compiler comes with it
    for wish in (*wishes, *tools[:1]):
        known = {family: (name,) for family, name in lookup.packages(wish.missing).items()}
        fresh = {family: names for family, names in known.items() if (family, names[0]) not in taken}
        if fresh:
            taken |= {(family, names[0]) for family, names in fresh.items()}
            found.append(Proposal(packages=fresh, why=f"{_words(wish.missing)}: {wish.where}"))
    return tuple(found)


def merged(found: Iterable[Proposal]) -> dict[ImageFamily, tuple[str, ...]]:
    """Return all packages of the proposals, sorted, by family; only families that have some."""
    packages: dict[ImageFamily, set[str]] = {}
    for proposal in found:
        for family, names in proposal.packages.items():
            packages.setdefault(family, set()).update(names)
    return {family: tuple(sorted(packages[family])) for family in FAMILIES if packages.get(family)}


def _of_cibuildwheel(pyproject: Mapping[str, Any]) -> Iterator[Proposal]:
    table = pyproject.get("tool", {}).get("cibuildwheel", {})
    places = [("", table), ("linux.", table.get("linux", {}))]
    for number, override in enumerate(table.get("overrides", ())):
        places.append((f"overrides[{number}].", override))
    for place, options in places:
        for key in ("before-all", "before-build"):
            commands = options.get(key, ()) if isinstance(options, dict) else ()
            packages = merged_commands([commands] if isinstance(commands, str) else commands)
            if packages:
                yield Proposal(packages=packages, why=f"pyproject.toml: tool.cibuildwheel.{place}{key}")


def merged_commands(commands: Iterable[object]) -> dict[ImageFamily, tuple[str, ...]]:
    """Return the packages that shell commands install, by family."""
    found: dict[ImageFamily, list[str]] = {}
    for command in commands:
        for part in re.split(r"&&|\|\||;|\n|\(|\)|\bthen\b|\belse\b|\bfi\b", str(command)):
            family, names = _installed(part)
            if family is not None:
                found.setdefault(family, []).extend(names)
    return {family: tuple(dict.fromkeys(names)) for family, names in found.items() if names}


def _installed(command: str) -> tuple[ImageFamily | None, list[str]]:
    try:
        words = shlex.split(command)
    except ValueError:
        return None, []
    for number, word in enumerate(words):
        family = _INSTALLERS.get(word.rpartition("/")[2])
        rest = [text for text in words[number + 1 :] if not text.startswith("-")]
        if family is not None and rest[:1] and rest[0] in _VERBS:
            return family, [name for name in rest[1:] if re.fullmatch(r"[\w][\w.+-]*", name)]
    return None, []


def _of_external(pyproject: Mapping[str, Any], lookup: PackageLookup) -> Iterator[Proposal]:
    """Yield what PEP 725's table names; a library is looked up by its name in every way that the data has."""
    external = pyproject.get("external", {})
    for key in ("build-requires", "host-requires"):
        for text in external.get(key, ()) if isinstance(external, dict) else ():
            found = _PURL.match(str(text))
            if found is None or found["name"] in _COMPILERS:
                continue
            name = found["name"].rpartition("/")[2]
            kinds = [Missing(kind=kind, name=name) for kind in ("pkg-config", "library", "cmake", "tool")]
            packages = next((known for missing in kinds if (known := lookup.packages(missing))), {})
            if packages:
                yield Proposal(
                    packages={family: (package,) for family, package in packages.items()},
                    why=f"pyproject.toml: external.{key} ({text})",
                )


def _words(missing: Missing) -> str:
    return {
        "header": f"<{missing.name}>",
        "library": f"-l{missing.name}",
        "pkg-config": f"dependency {missing.name}",
        "tool": missing.name,
        "cmake": f"find_package({missing.name})",
    }[missing.kind]
