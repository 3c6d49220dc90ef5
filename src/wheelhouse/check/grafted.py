"""The libraries that a repair copied into a wheel: which, how large, whose, and whether the recipe allows them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wheelhouse.check.codes import Code
from wheelhouse.sbom import PATH, occurrences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheelhouse.check.contents import Contents, Expectation
    from wheelhouse.finding import Finding
    from wheelhouse.record import Grafted

#: auditwheel: `<project>.libs/`, formerly `<package>/.libs/`; delocate: `.dylibs/`.
_FOLDER = re.compile(r"(^|/)[^/]*\.(?:libs|dylibs)/[^/]+$")
#: auditwheel puts eight hex digits of the library's hash into its name.
_HASH = re.compile(r"-[0-9a-f]{8}(?=\.)")
_LIBRARY = re.compile(r"(?P<stem>.+?)\.(?:so|dylib|dll)(?:\.|$)")
_MEGABYTE = 1e6
#: Where a library of a package lies: auditwheel's SBOM names it by the hash of its path.
_LIBRARY_FOLDERS = (
    "/usr/lib/{triplet}",
    "/lib/{triplet}",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
)


def find_grafted(contents: Contents) -> tuple[Grafted, ...]:
    """Return the libraries that were grafted, sorted by name."""
    members = [member for member in contents.members if _FOLDER.search(member.name)]
    if not members:
        return ()
    from wheelhouse.record import Grafted  # noqa: PLC0415 - start-up time, for wheels with grafted libraries only

    components = _components(contents.texts)
    ours = _ours(contents.texts)
    found = []
    for member in members:
        name = _HASH.sub("", member.name.rpartition("/")[2])
        arch = member.elf.arch if member.elf is not None else ""
        component = ours.get(member.name) or _component(name, arch, components)
        found.append(
            Grafted(
                name=name,
                path=member.name,
                size=member.size,
                package=component and _package(component),
                licence=component and _licence(component),
                purl=component and _purl(component),
                sha256=_hex(member.digests["sha256"]),
            )
        )
    return tuple(sorted(found, key=lambda library: library.name))


def check_grafted(grafted: tuple[Grafted, ...], expectation: Expectation | None) -> Iterator[Finding]:
    """Hold what was grafted against the recipe's allowance; nobody's wheel has to ask for leave but ours."""
    if grafted:
        size = sum(library.size for library in grafted) / _MEGABYTE
        names = ", ".join(library.name for library in grafted)
        yield Code.GRAFTED.finding(f"{len(grafted)} grafted libraries, {size:.1f} MB: {names}")
    if expectation is None:
        return
    for library in grafted:
        if not any(is_allowed(library.name, allowed) for allowed in expectation.allow_grafted):
            yield Code.NOT_ALLOWED.finding(
                f"{library.name} was grafted, and the recipe does not allow it",
                where=library.path,
                hint=f'add "{stem(library.name)}" to repair.allow-grafted if it may be shipped, '
                "or to repair.exclude if the machine has it",
            )
    # One allowance serves several distributions, so an entry without use here is worth a remark at most.
    unused = [
        allowed
        for allowed in expectation.allow_grafted
        if not any(is_allowed(library.name, allowed) for library in grafted)
    ]
    if unused:
        yield Code.UNUSED_ALLOWANCE.finding(f"repair.allow-grafted names what was not grafted: {', '.join(unused)}")


def stem(name: str) -> str:
    """Return `libpq` for `libpq.so.5.15`."""
    found = _LIBRARY.match(name)
    return found["stem"] if found else name


def is_allowed(name: str, allowed: str) -> bool:
    """Say whether a recipe's `allowed` (`libldap`, `libpq.so.5`, `libboost_*`) covers the library `name`."""
    own = stem(name)
    return (
        fnmatchcase(name, allowed) or fnmatchcase(own, allowed) or fnmatchcase(re.sub(r"-\d[\d.]*$", "", own), allowed)
    )


def _components(texts: Mapping[str, bytes]) -> list[Mapping[str, Any]]:
    """Return the components of the wheel's SBOMs (PEP 770, CycloneDX)."""
    components: list[Mapping[str, Any]] = []
    for path, data in sorted(texts.items()):
        if not (path.startswith("sboms/") and path.endswith(".json")):
            continue
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            continue
        listed = document.get("components") if isinstance(document, dict) else None
        if isinstance(listed, list):
            components += [entry for entry in listed if isinstance(entry, dict)]
    return components


def _component(name: str, arch: str, components: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the component that a library is of: its reference ends in the sha256 of the library's path."""
    if not components:
        return None
    machine = {"i686": "i386", "ppc64le": "powerpc64le"}.get(arch, arch)
    triplet = "arm-linux-gnueabihf" if arch == "armv7l" else f"{machine}-linux-gnu"
    hashes = {
        hashlib.sha256(f"{folder.format(triplet=triplet)}/{name}".encode()).hexdigest() for folder in _LIBRARY_FOLDERS
    }
    return next((entry for entry in components if str(entry.get("bom-ref", "")).rpartition("#")[2] in hashes), None)


def _ours(texts: Mapping[str, bytes]) -> Mapping[str, Mapping[str, Any]]:
    """Return the packages of our own SBOM, which names each by its place in the wheel."""
    try:
        named = occurrences(json.loads(texts.get(PATH, b"{}")))
    except (ValueError, RecursionError):
        return {}
    return {place: component for place, component in named.items() if _purl(component)}


def _hex(digest: str) -> str:
    """Return a digest of RECORD, which is in unpadded base64, as everybody else writes it."""
    return base64.urlsafe_b64decode(f"{digest}==").hex()


def _purl(component: Mapping[str, Any]) -> str | None:
    purl = component.get("purl")
    return purl if isinstance(purl, str) else None


def _package(component: Mapping[str, Any]) -> str | None:
    name, version = component.get("name"), component.get("version")
    return f"{name} {version}" if name and version else str(name) if name else None


def _licence(component: Mapping[str, Any]) -> str | None:
    """Return CycloneDX's licences as one expression."""
    names = []
    listed = component.get("licenses")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            inner = entry.get("license")
            text = entry.get("expression") or (isinstance(inner, dict) and (inner.get("id") or inner.get("name")))
            if text:
                names.append(str(text))
    return " AND ".join(names) or None
