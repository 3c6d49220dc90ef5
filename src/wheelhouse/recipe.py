"""`recipes/<project>/recipe.toml` in, a frozen `Recipe` out: how to build a project's wheels.

TOML, no templating; the only substitutions are `{name}` and `{version}`, in `source.url`. Field names follow PEP 621,
517, 725, 427 and 794, cibuildwheel and auditwheel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pydantic
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from wheelhouse.config import Toolchain
from wheelhouse.recipe_fields import (
    ImportName,
    Memory,
    NameText,
    PathInside,
    Reason,
    RequirementText,
    Sha256,
    SourceUrl,
    SpecifierText,
    SystemPackage,
    Text,
    VariableName,
    VersionText,
)
from wheelhouse.recipe_rules import recipe_rules
from wheelhouse.toml import Count, Duration, Flag, Strict, load_toml, section

FILE_NAME = "recipe.toml"


class PackageTable(Strict):
    """Who the recipe is for."""

    name: NameText
    """The project's name. Normalised (PEP 503), it is the folder's name."""
    import_names: tuple[ImportName, ...] | None = None
    """What `import` takes (PEP 794). Default: the name with `-` and `.` as `_`."""
    retired: Reason | None = None
    """Why it is no longer built; it is then left out of `--all`, and built only where it is named or depended on."""


class VersionTable(Strict):
    """One version that can be built."""

    version: VersionText
    """The version (PEP 440), as the source's file name has it."""
    sha256: Annotated[Sha256, pydantic.Field(description="a source without its sha256 is refused")]
    """Digest of the source archive: 64 hex digits in lower case. A source without it is refused."""
    build_number: Count = 0
    """PEP 427 build tag: raise it to rebuild what was published. 0: no tag."""


class PatchTable(Strict):
    """A change to the source that upstream has not released."""

    file: PathInside
    """Unified diff beside the recipe, applied with `-p1` and no fuzz."""
    when_version: SpecifierText = ""
    """Versions that need it (PEP 440), e.g. `<2.9.11`. Default: all."""
    upstream_status: Reason
    """Yocto's habit: `Submitted <url>`, `Backport <url>`, `Pending`, `Inappropriate <why>`."""


class SourceTable(Strict):
    """Where the source comes from. Default: the sdist on the configured index."""

    url: SourceUrl | None = None
    """Address of a `.tar.gz` or `.zip`, with `{name}` and `{version}` filled in."""
    patches: tuple[PatchTable, ...] = ()
    """Changes to the source, in the order in which they are applied."""
    subdirectory: PathInside = ""
    """Folder inside the archive that holds `pyproject.toml` or `setup.py`."""


class SystemPackages(Strict):
    """Packages of the build image or machine, by image family."""

    manylinux: tuple[SystemPackage, ...] = ()
    """dnf names (AlmaLinux)."""
    musllinux: tuple[SystemPackage, ...] = ()
    """apk names (Alpine)."""
    debian: tuple[SystemPackage, ...] = ()
    """apt names (Debian, Ubuntu)."""

    @property
    def empty(self) -> bool:
        """Whether none is named for any family."""
        return not (self.manylinux or self.musllinux or self.debian)


class DependsTable(Strict):
    """Other recipes that must be built first; their wheels are offered to the build."""

    build: tuple[NameText, ...] = ()
    """Names of recipes of the same registry."""


class TargetsTable(Strict):
    """What to build for, by cibuildwheel's selectors. Default: `wheelhouse.toml`'s."""

    build: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] | None = None
    """Selectors of the build identifiers to build for, e.g. `cp313-*`."""
    skip: tuple[str, ...] = ()
    """Selectors of those to leave out; added to `wheelhouse.toml`'s."""
    abi3: Flag = False
    """The wheels use the limited API (PEP 384): the lowest Python's wheel serves all later ones."""


class BuildTable(Strict):
    """How the build back end is called, with either builder."""

    requires: tuple[RequirementText, ...] = ()
    """Build requirements beside those of the source's `pyproject.toml`."""
    constraints: tuple[RequirementText, ...] = ()
    """Bounds on build requirements, e.g. `setuptools<80`."""
    environment: Mapping[VariableName, Text] = pydantic.Field(default_factory=dict)
    """Variables of the build. `CFLAGS` and `CXXFLAGS` come behind the flags that CPython itself was compiled with."""
    config_settings: Mapping[str, str | tuple[str, ...]] = pydantic.Field(default_factory=dict)
    """What the back end is told (PEP 517), key by key."""
    toolchain: Toolchain | None = None
    """Compiler of the host builder. Default: `wheelhouse.toml`'s."""
    extension: Flag = True
    """A wheel without an extension module (or executable) is an error. `false`: one wheel serves every target."""


class RepairTable(Strict):
    """What auditwheel may do."""

    allow_grafted: tuple[str, ...] = ()
    """Library names (`libpq`) that may be copied into the wheel; any other is a finding."""
    exclude: tuple[str, ...] = ()
    """Library names (`libcuda.so.1`) that are left to the machine that installs the wheel."""
    strip: Flag | None = None
    """Take debug symbols out. Default: `wheelhouse.toml`'s."""


class TestTable(Strict):
    """What proves that the wheel works."""

    imports: tuple[ImportName, ...] | None = None
    """Modules that are imported from the installed wheel. Default: `package.import-names`."""
    command: Text | None = None
    """Shell command run in the clean environment, in an empty folder."""
    requires: tuple[RequirementText, ...] = ()
    """What is installed beside the wheel for the test."""


class ResourcesTable(Strict):
    """What a build may use."""

    timeout: Duration | None = None
    """How long one job may take, e.g. `90s`, `30m`, `2h`. Default: `wheelhouse.toml`'s."""
    memory: Memory | None = None
    """What one job needs at its peak, e.g. `4 GB`: fewer are run at once on small machines."""


class OverrideTable(Strict):
    """Another answer for some build identifiers or versions. Later ones win, key by key."""

    select: str = "*"
    """cibuildwheel selector over build identifiers."""
    when_version: SpecifierText = ""
    """Versions that it holds for (PEP 440). Default: all."""
    reason: Reason
    """Why, for whoever meets it next."""
    skip: Flag = False
    """Do not build for these."""
    system_packages: SystemPackages | None = None
    build: BuildTable | None = None
    cibuildwheel: Mapping[str, Any] | None = None
    repair: RepairTable | None = None
    test: TestTable | None = None
    resources: ResourcesTable | None = None


class Recipe(Strict):
    """One recipe: all of `recipe.toml`."""

    package: PackageTable
    version: Annotated[tuple[VersionTable, ...], pydantic.Field(min_length=1)]
    source: SourceTable = section()
    system_packages: SystemPackages = section()
    depends: DependsTable = section()
    targets: TargetsTable = section()
    build: BuildTable = section()
    override: tuple[OverrideTable, ...] = ()
    cibuildwheel: Mapping[str, Any] = pydantic.Field(default_factory=dict)
    repair: RepairTable = section()
    test: TestTable = section()
    resources: ResourcesTable = section()

    _folder: Path = pydantic.PrivateAttr(default=Path())

    @cached_property
    def project(self) -> NormalizedName:
        """The normalised name (PEP 503)."""
        return canonicalize_name(self.package.name)

    @property
    def folder(self) -> Path:
        """Where the recipe and its patches lie."""
        return self._folder

    @cached_property
    def versions(self) -> Mapping[Version, VersionTable]:
        """The versions, in the recipe's order (newest first)."""
        return {Version(entry.version): entry for entry in self.version}

    @property
    def import_names(self) -> tuple[str, ...]:
        """What `import` takes."""
        return self.package.import_names or (re.sub(r"[-.]+", "_", self.package.name),)


def load_recipe(path: Path) -> Recipe:
    """Read one recipe.

    Raises InvalidFileError with every problem of the file: of its values, of their order, of what lies beside it.
    """
    recipe = load_toml(path, Recipe, rules=recipe_rules(path.parent))
    recipe._folder = path.parent  # noqa: SLF001 - set once, here, before anyone else sees it
    return recipe
