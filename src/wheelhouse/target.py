"""Build identifiers in, their parts out; and which of them a set of selectors picks.

A build identifier is cibuildwheel's (`cp313-manylinux_aarch64`): Python, ABI, libc and architecture in one value. The
list of those that exist, and the selectors, are its own, read from its data file and module, never from a process.
"""

from __future__ import annotations

import functools
import importlib.resources
import platform
import re
import sys
from dataclasses import dataclass
from typing import Literal, get_args

import tomli

from wheelhouse.errors import UsageError

Implementation = Literal["cp", "pp", "gp"]
Family = Literal["manylinux", "musllinux", "macosx", "win", "pyodide", "android", "ios"]
FAMILIES: tuple[Family, ...] = get_args(Family)

_IDENTIFIER = re.compile(
    r"(?P<implementation>cp|pp|gp)(?P<major>3)(?P<minor>\d+?)(?P<threads>t?)(?:_(?P<abi>\w+?))?"
    r"-(?P<family>manylinux|musllinux|macosx|win|pyodide|android|ios)_?(?P<arch>\w+)"
)


@dataclass(frozen=True, slots=True, order=True)
class BuildIdentifier:
    """One Python, ABI, libc and architecture. `str()` gives cibuildwheel's spelling."""

    family: Family
    arch: str
    implementation: Implementation
    python: tuple[int, int]
    freethreaded: bool
    text: str

    def __str__(self) -> str:
        """Return the identifier as cibuildwheel spells it."""
        return self.text

    @classmethod
    def parse(cls, text: str) -> BuildIdentifier:
        """Parse an identifier that cibuildwheel knows.

        Raises UsageError for any other text, with the nearest known one.
        """
        found = known_identifiers().get(text)
        if found is None:
            import difflib  # noqa: PLC0415 - only on a mistake

            near = difflib.get_close_matches(text, known_identifiers(), n=1)
            raise UsageError(
                f"`{text}` is not a build identifier",
                hint=f"did you mean `{near[0]}`?" if near else "`cibuildwheel --print-build-identifiers` lists them",
            )
        return found

    @property
    def python_tag(self) -> str:
        """The PEP 425 Python tag, e.g. `cp313`."""
        return f"{self.implementation}{self.python[0]}{self.python[1]}"

    @property
    def abi_tag(self) -> str:
        """The PEP 425 ABI tag of a CPython, e.g. `cp313t`."""
        return f"{self.python_tag}{'t' if self.freethreaded else ''}"

    @property
    def python_version(self) -> str:
        """`3.13`, or `3.13t` for the free-threaded build: as uv and pip ask for it."""
        return f"{self.python[0]}.{self.python[1]}{'t' if self.freethreaded else ''}"

    @property
    def platform_tag(self) -> str:
        """Family and architecture, e.g. `manylinux_aarch64`: the key of an image."""
        return self.text.split("-", 1)[1]

    @property
    def is_linux(self) -> bool:
        """Whether its wheels run on Linux."""
        return self.family in {"manylinux", "musllinux"}


def _from_text(text: str) -> BuildIdentifier:
    found = _IDENTIFIER.fullmatch(text)
    if found is None:
        raise ValueError(text)
    family, arch = found["family"], found["arch"]
    return BuildIdentifier(
        family=family,  # type: ignore[arg-type]  # the expression lists the literals
        arch={"32": "x86", "amd64": "AMD64", "arm64": "ARM64"}.get(arch, arch) if family == "win" else arch,
        implementation=found["implementation"],  # type: ignore[arg-type]  # likewise
        python=(int(found["major"]), int(found["minor"])),
        freethreaded=bool(found["threads"]),
        text=text,
    )


@functools.cache
def known_identifiers() -> dict[str, BuildIdentifier]:
    """Return all identifiers of the installed cibuildwheel, in its order."""
    data = importlib.resources.files("cibuildwheel").joinpath("resources/build-platforms.toml").read_text("utf-8")
    tables = tomli.loads(data)
    return {
        entry["identifier"]: _from_text(entry["identifier"])
        for table in tables.values()
        for entry in table["python_configurations"]
    }


def replace_platform(target: BuildIdentifier, platform_tag: str) -> BuildIdentifier:
    """Return the identifier of the same Python on another platform, e.g. on `manylinux_x86_64`."""
    return _from_text(f"{str(target).split('-', 1)[0]}-{platform_tag}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which identifiers a recipe wants: cibuildwheel's `build` and `skip` selectors, and architectures."""

    build: tuple[str, ...]
    skip: tuple[str, ...] = ()
    archs: frozenset[str] | None = None
    """None: every architecture."""
    pythons: frozenset[str] | None = None
    """As `python_version` has them; None: every Python."""
    families: frozenset[str] | None = None

    def identifiers(self) -> tuple[BuildIdentifier, ...]:
        """Return what is selected, in cibuildwheel's order."""
        return _select(self)


@functools.cache  # a registry has few different selections, and a thousand recipes that use them
def _select(selection: Selection) -> tuple[BuildIdentifier, ...]:
    from cibuildwheel.selector import BuildSelector, EnableGroup  # noqa: PLC0415 - start-up time

    selector = BuildSelector(
        build_config=" ".join(selection.build),
        skip_config=" ".join(selection.skip),
        # A selector in a recipe is explicit already: no second key to turn for PyPy or a prerelease.
        enable=EnableGroup.all_groups(),
    )
    return tuple(
        target
        for text, target in known_identifiers().items()
        if (selection.archs is None or target.arch in selection.archs)
        and (selection.pythons is None or target.python_version in selection.pythons)
        and (selection.families is None or target.family in selection.families)
        and selector(text)
    )


@functools.cache
def matches(patterns: str, text: str) -> bool:
    """Say whether cibuildwheel's selector `patterns` (blank-separated, with braces) picks the identifier `text`."""
    from cibuildwheel.selector import selector_matches  # noqa: PLC0415 - start-up time

    return selector_matches(patterns, text)


def native_arch() -> str:
    """Return this machine's architecture as cibuildwheel spells it for this platform."""
    machine = platform.machine()
    if sys.platform == "win32":
        return {"AMD64": "AMD64", "ARM64": "ARM64"}.get(machine, "x86")
    return machine


def native_family() -> Family:
    """Return the family that this machine builds without a container."""
    if sys.platform == "darwin":
        return "macosx"
    if sys.platform == "win32":
        return "win"
    return "musllinux" if platform.libc_ver()[0] != "glibc" else "manylinux"
