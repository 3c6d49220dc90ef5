"""What is missing in, the system packages that provide it out: from a table, then from the platform's own index."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from wheelhouse.errors import BuildTimeoutError, MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wheelhouse.diagnose.clue import Missing
    from wheelhouse.process import Processes

ImageFamily = Literal["manylinux", "musllinux", "debian"]
FAMILIES: tuple[ImageFamily, ...] = get_args(ImageFamily)
#: Seconds that a package index may take to answer.
PATIENCE = 30.0


class PackageLookup(Protocol):
    """Knows which packages provide a header, library, pkg-config module, program or CMake package."""

    @property
    def family(self) -> ImageFamily | None:
        """The image family of this machine; None: not known, or none of them."""
        ...

    def packages(self, missing: Missing) -> Mapping[ImageFamily, str]:
        """Return the likeliest package of each image family that is known to have one; nothing for an unknown name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPackages:
    """The table that comes with wheelhouse (`packages.toml`)."""

    family: ImageFamily | None = None

    def packages(self, missing: Missing) -> Mapping[ImageFamily, str]:
        """Return what the table has."""
        found = _table().get((missing.kind, _plain(missing)))
        if found is None and missing.kind == "header" and "/" in missing.name:
            # `openssl/foo.h`: the folder tells the package when the file itself is not in the table.
            found = _table().get(("header", missing.name.split("/", 1)[0] + "/"))
        return found or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformIndex:
    """This machine's package manager: apt-file, dnf or apk. Asked on a failure only; silent where it is not there."""

    processes: Processes
    family: ImageFamily | None

    def packages(self, missing: Missing) -> Mapping[ImageFamily, str]:
        """Ask the package manager."""
        if self.family == "debian":
            names = self._apt_file(missing)
        elif self.family == "manylinux":
            names = self._dnf(missing)
        elif self.family == "musllinux":
            names = self._apk(missing)
        else:
            return {}
        return {self.family: names[0]} if names else {}

    def _apt_file(self, missing: Missing) -> list[str]:
        name = _plain(missing)
        plain = re.escape(name)
        # A plain part of the path is looked up in a quarter of the time that a regular expression takes.
        part, pattern = {
            "header": (f"/{name}", rf"/usr/include/(?:[\w.+-]+/){{0,2}}{plain}"),
            "library": (f"/lib{name}.", rf"/usr/lib/(?:[\w-]+-linux-gnu\w*/)?lib{plain}\.(?:so|a)"),
            "pkg-config": (f"/{name}.pc", rf"/usr/(?:lib(?:/[\w-]+-linux-gnu\w*)?|share)/pkgconfig/{plain}\.pc"),
            "tool": (f"bin/{name}", rf"(?:/usr)?/s?bin/{plain}"),
            "cmake": ("onfig.cmake", rf"(?i:.*/{plain}(?:-c|C)onfig\.cmake)"),
        }[missing.kind]
        output = self._ask("apt-file", "search", part)
        pairs = [line.split(": ", 1) for line in output.splitlines() if ": /" in line]
        return _ranked([(package, path) for package, path in pairs if re.fullmatch(pattern, path)], missing)

    def _dnf(self, missing: Missing) -> list[str]:
        name = _plain(missing)
        provided = {
            "header": f"/usr/include/{name}",
            "library": f"/usr/lib64/lib{name}.so",
            "pkg-config": f"pkgconfig({name})",
            "tool": f"/usr/bin/{name}",
            "cmake": f"cmake({name})",
        }[missing.kind]
        output = self._ask("dnf", "--quiet", "repoquery", "--whatprovides", provided, "--queryformat", "%{name}\n")
        names = [line.strip() for line in output.splitlines() if re.fullmatch(r"[\w.+-]+", line.strip())]
        return _ranked([(name, "") for name in dict.fromkeys(names)], missing)

    def _apk(self, missing: Missing) -> list[str]:
        # apk's index holds programs, sonames and pkg-config modules, and no other files.
        prefix = {"tool": "cmd", "pkg-config": "pc"}.get(missing.kind)
        if prefix is None:
            return []
        output = self._ask("apk", "search", "--quiet", "--exact", f"{prefix}:{_plain(missing)}")
        return _ranked([(line.strip(), "") for line in output.splitlines() if line.strip()], missing)

    def _ask(self, *command: str) -> str:
        try:
            completed = self.processes.run(command, timeout=PATIENCE, check=False)
        except (MachineError, BuildTimeoutError):
            return ""  # a machine without that index, or with a slow one: the table answers
        return completed.output if completed.returncode == 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """Several lookups as one: for each image family, the first that has an answer."""

    lookups: Sequence[PackageLookup]
    family: ImageFamily | None

    def packages(self, missing: Missing) -> Mapping[ImageFamily, str]:
        """Ask the lookups in order."""
        found: dict[ImageFamily, str] = {}
        for lookup in self.lookups:
            for family, package in lookup.packages(missing).items():
                found.setdefault(family, package)
        return found


def machine_lookup(processes: Processes, *, family: ImageFamily | None = None) -> PackageLookup:
    """Return the lookup for failures on this machine. `family` is that of the image where builds run in one.

    The table goes before the platform's index: what it knows it knows for all families, at no cost.
    """
    own = machine_family()
    return Lookups(
        lookups=(KnownPackages(), PlatformIndex(processes=processes, family=own)),
        family=family or own,
    )


@functools.cache
def machine_family(os_release: Path = Path("/etc/os-release")) -> ImageFamily | None:
    """Return the image family that this machine belongs to, by os-release(5)."""
    try:
        text = os_release.read_text("utf-8", "replace")
    except OSError:
        return None
    fields = dict(re.findall(r"^(ID|ID_LIKE)=[\"']?([^\"'\n]*)", text, re.MULTILINE))
    names = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    known: dict[str, ImageFamily] = {
        "debian": "debian",
        "ubuntu": "debian",
        "alpine": "musllinux",
        "rhel": "manylinux",
        "fedora": "manylinux",
        "centos": "manylinux",
        "almalinux": "manylinux",
    }
    return next((known[name] for name in names if name in known), None)


def _plain(missing: Missing) -> str:
    """Return the name as packages have it: `libldap.so.2` as a library is `ldap`, `../x.h` is `x.h`."""
    name = missing.name
    if missing.kind == "library":
        name = re.sub(r"\.(?:so|a)(?:\.[\d.]+)?$", "", name)
        return name.removeprefix("lib") if name != missing.name or name.startswith("lib") else name
    if missing.kind == "header":
        return re.sub(r"^(?:\.{1,2}/)+|^/?usr/(?:local/)?include/", "", name)
    if missing.kind == "cmake":
        return name.lower()
    return name


def _ranked(found: list[tuple[str, str]], missing: Missing) -> list[str]:
    """Put development packages first, then short paths and short names, as the one that is meant has them."""

    def rank(entry: tuple[str, str]) -> tuple[bool, bool, int, int, str]:
        package, path = entry
        development = package.endswith(("-dev", "-devel"))
        odd = bool(
            re.search(
                r"cross|mingw|-(?:arm|i686|i386|s390x|riscv|ppc)\w*-|^emscripten|^avr|^gcc-|^lib\d+|^libx32", package
            )
        )
        return (odd, not development and missing.kind != "tool", path.count("/"), len(package), package)

    return [package for package, _ in sorted(found, key=rank)]


@functools.cache
def _table() -> Mapping[tuple[str, str], Mapping[ImageFamily, str]]:
    """Read `packages.toml` into (kind, name) -> packages by family. Earlier entries win."""
    data = tomllib.loads(importlib.resources.files(__package__).joinpath("packages.toml").read_text("utf-8"))
    table: dict[tuple[str, str], Mapping[ImageFamily, str]] = {}
    keys = {"headers": "header", "libraries": "library", "pkg-config": "pkg-config", "tools": "tool", "cmake": "cmake"}
    for entry in data["package"]:
        packages: dict[ImageFamily, str] = {family: entry[family] for family in FAMILIES if family in entry}
        for key, kind in keys.items():
            for name in entry.get(key, ()):
                table.setdefault((kind, name.lower() if kind == "cmake" else name), packages)
    return table
