"""Names of wheels in, a table of Pythons and architectures out: each cell says which wheel fits, and what it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.tags import Tag

    from wheelhouse.index.model import FileName

ANY = "any"
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_VERSIONED = re.compile(r"(?P<system>manylinux|musllinux|macosx|android|ios)_(?P<version>\d+(?:_\d+)?)_(?P<arch>\w+)")
_OLD = re.compile(r"(?P<name>manylinux1|manylinux2010|manylinux2014)_(?P<arch>\w+)")
_PLAIN = re.compile(r"(?P<system>linux|win)_?(?P<arch>\w+)")
_PYTHON = re.compile(r"(?P<kind>[a-z]+?)(?P<major>\d)(?P<minor>\d*)")
_SYSTEMS = {
    "manylinux": "glibc",
    "musllinux": "musl",
    "macosx": "macOS",
    "android": "Android",
    "ios": "iOS",
    "linux": "Linux",
    "win": "Windows",
}
_ARCHS = {"amd64": "x86_64", "arm64": "aarch64", "32": "i686", "i386": "i686", "intel": "x86_64"}
_KINDS = {"cp": "CPython", "pp": "PyPy", "gp": "GraalPy", "py": "Python"}
#: Columns in the order in which people look for them; all others follow by name.
_FIRST = (ANY, "x86_64", "aarch64", "i686")
_Order: TypeAlias = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """A platform tag, taken apart."""

    arch: str
    system: str
    """`glibc`, `musl`, `macOS`, …; empty for any."""
    floor: tuple[int, ...]
    """The lowest version of the system that will do; empty: any."""

    def __str__(self) -> str:
        """Return `glibc 2.28+`."""
        if not self.system:
            return "any platform"
        return f"{self.system} {'.'.join(map(str, self.floor))}+" if self.floor else self.system


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A wheel in a cell."""

    filename: str
    needs: str
    """E.g. `glibc 2.28+`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of Python."""

    python: str
    cells: tuple[tuple[Fit, ...], ...]
    """One a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The table."""

    archs: tuple[str, ...]
    rows: tuple[Row, ...]


def parse_platform(tag: str) -> tuple[Platform, ...]:
    """Take a platform tag apart (PEP 425, 600, 656). A universal one stands for both its architectures."""
    if tag == ANY:
        return (Platform(ANY, "", ()),)
    if found := _VERSIONED.fullmatch(tag):
        floor = tuple(int(part) for part in found["version"].split("_"))
        archs = {"universal2": ("aarch64", "x86_64")}.get(found["arch"], (_arch(found["arch"]),))
        return tuple(Platform(arch, _SYSTEMS[found["system"]], floor) for arch in archs)
    if found := _OLD.fullmatch(tag):
        return (Platform(_arch(found["arch"]), "glibc", _LEGACY[found["name"]]),)
    if found := _PLAIN.fullmatch(tag):
        return (Platform(_arch(found["arch"]), _SYSTEMS[found["system"]], ()),)
    return (Platform(tag, tag, ()),)


def make_grid(wheels: Iterable[FileName]) -> Grid:
    """Lay wheels out: Pythons downward, newest first, architectures across."""
    places: dict[tuple[_Order, str], dict[str, dict[tuple[str, str], Platform]]] = {}
    for wheel in wheels:
        for tag in _telling(wheel.tags):
            for platform in parse_platform(tag.platform):
                fits = places.setdefault(_python(tag), {}).setdefault(platform.arch, {})
                key = (platform.system, wheel.filename)
                fits[key] = min(fits.get(key, platform), platform)
    known = {arch for cells in places.values() for arch in cells}
    archs = tuple(arch for arch in _FIRST if arch in known) + tuple(sorted(known.difference(_FIRST)))
    rows = tuple(
        Row(python=label, cells=tuple(_cell(cells.get(arch, {})) for arch in archs))
        for (_, label), cells in sorted(places.items(), key=lambda item: item[0][0])
    )
    return Grid(archs=archs, rows=rows)


def _cell(fits: dict[tuple[str, str], Platform]) -> tuple[Fit, ...]:
    return tuple(Fit(filename=filename, needs=str(platform)) for (_, filename), platform in sorted(fits.items()))


def _telling(tags: frozenset[Tag]) -> list[Tag]:
    """Leave out Python 2 where a wheel is for 3 as well."""
    newer = [tag for tag in tags if not tag.interpreter.endswith("2") or tag.interpreter[:2] not in {"py", "cp"}]
    return newer or list(tags)


def _python(tag: Tag) -> tuple[_Order, str]:
    """Return what a Python is sorted by, and what it is called."""
    found = _PYTHON.fullmatch(tag.interpreter)
    if found is None:
        return ((9, 0, 0, tag.interpreter), tag.interpreter)
    kind, major, minor = found["kind"], int(found["major"]), int(found["minor"] or 0)
    name = f"{_KINDS.get(kind, kind)} {major}" + (f".{minor}" if found["minor"] else "")
    rank = {"cp": 0, "pp": 1, "gp": 2, "py": 3}.get(kind, 4)
    if tag.abi.startswith("abi3"):
        label = f"{name} and later" + (" free-threaded" if tag.abi.endswith("t") else "")
        rank = 0
    elif kind == "cp" and tag.abi.endswith("t"):
        label = f"{name} free-threaded"
    elif kind == "py":
        label = f"any {name}" if not found["minor"] else f"{name} and later"
    elif kind == "cp" and tag.abi == "none":
        label = f"{name} and later, without its ABI"
    else:
        label = name
    return ((rank, -major, -minor, label), label)


def _arch(text: str) -> str:
    return _ARCHS.get(text, text)
