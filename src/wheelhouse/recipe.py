"""`recipes/<project>/recipe.toml` in, a frozen `Recipe` out: how to build a project's wheels.

TOML, no templating; the only substitutions are `{name}` and `{version}`, in `source.url`. Field names follow PEP 621, 517, 725,
427 and 794, cibuildwheel and auditwheel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic_core import PydanticCustomError

from wheelhouse.config import Toolchain
from wheelhouse.errors import InvalidFileError
from wheelhouse.toml import Duration, Strict, load_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE_NAME = "recipe.toml"


def _version(value: str) -> str:
    try:
        Version(value)
    except InvalidVersion as error:
        raise ValueError(f"`{value}` is not a version (PEP 440)") from error
    return value


def _specifier(value: str) -> str:
    try:
        SpecifierSet(value)
    except InvalidSpecifier as error:
        raise ValueError(f"`{value}` is not a version specifier (PEP 440), as in `<2.9.11`") from error
    return value


def _requirement(value: str) -> str:
    try:
        Requirement(value)
    except InvalidRequirement as error:
        raise ValueError(f"`{value}` is not a requirement (PEP 508)") from error
    return value


def _name(value: str) -> str:
    try:
        canonicalize_name(value, validate=True)
    except InvalidName as error:
        raise ValueError(f"`{value}` is not a project name (PEP 508)") from error
    return value


def _import_name(value: str) -> str:
    if not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(f"`{value}` cannot be imported: write a dotted module name")
    return value


def _patch_file(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"`{value}` leaves the recipe's folder")
    return value


VersionText = Annotated[str, pydantic.AfterValidator(_version)]
SpecifierText = Annotated[str, pydantic.AfterValidator(_specifier)]
RequirementText = Annotated[str, pydantic.AfterValidator(_requirement)]
NameText = Annotated[str, pydantic.AfterValidator(_name)]
ImportName = Annotated[str, pydantic.AfterValidator(_import_name)]
Sha256 = Annotated[
    str, pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the source, 64 lowercase hex digits")
]


class PackageTable(Strict):
    """Who the recipe is for."""

    name: NameText
    import_names: tuple[ImportName, ...] | None = None
    """PEP 794. Default: the name with `-` and `.` as `_`."""


class VersionTable(Strict):
    """One version that can be built."""

    version: VersionText
    sha256: Sha256
    build_number: Annotated[int, pydantic.Field(ge=0)] = 0
    """PEP 427 build tag: raise it to rebuild what was published. 0: no tag."""


class PatchTable(Strict):
    """A change to the source that upstream has not released."""

    file: Annotated[str, pydantic.AfterValidator(_patch_file)]
    """Unified diff beside the recipe, applied with `-p1` and no fuzz."""
    when_version: SpecifierText = ""
    upstream_status: Annotated[str, pydantic.Field(min_length=1)]
    """Yocto's habit: `Submitted <url>`, `Backport <url>`, `Pending`, `Inappropriate <why>`."""


class SourceTable(Strict):
    """Where the source comes from. Default: the sdist on the configured index."""

    url: str | None = None
    """Address of a `.tar.gz` or `.zip`, with `{name}` and `{version}` filled in."""
    patches: tuple[PatchTable, ...] = ()
    subdirectory: Annotated[str, pydantic.AfterValidator(_patch_file)] = ""

    @pydantic.field_validator("url")
    @classmethod
    def _substitutions(cls, value: str | None) -> str | None:
        if value is not None:
            if unknown := set(re.findall(r"{([^{}]*)}", value)) - {"name", "version"}:
                raise ValueError(f"only {{name}} and {{version}} are filled in, not {{{min(unknown)}}}")
            if not re.match(r"(https?|file)://", value):
                raise ValueError("a source URL starts with https://, http:// or file://")
        return value


class SystemPackages(Strict):
    """Packages of the build image or machine, by image family."""

    manylinux: tuple[str, ...] = ()
    """dnf names (AlmaLinux)."""
    musllinux: tuple[str, ...] = ()
    """apk names (Alpine)."""
    debian: tuple[str, ...] = ()
    """apt names (Debian, Ubuntu)."""


class DependsTable(Strict):
    """Other recipes that must be built first; their wheels are offered to the build."""

    build: tuple[NameText, ...] = ()


class TargetsTable(Strict):
    """What to build for, by cibuildwheel's selectors. Default: `wheelhouse.toml`'s."""

    build: tuple[str, ...] | None = None
    skip: tuple[str, ...] = ()
    abi3: bool = False
    """The wheels use the limited API (PEP 384): the lowest Python's wheel serves all later ones."""


class BuildTable(Strict):
    """How the build back end is called, with either builder."""

    requires: tuple[RequirementText, ...] = ()
    """Build requirements beside those of the source's `pyproject.toml`."""
    constraints: tuple[RequirementText, ...] = ()
    """Bounds on build requirements, e.g. `setuptools<80`."""
    environment: Mapping[str, str] = pydantic.Field(default_factory=dict)
    config_settings: Mapping[str, str | tuple[str, ...]] = pydantic.Field(default_factory=dict)
    toolchain: Toolchain | None = None
    extension: bool = True
    """A wheel without an extension module (or executable) is an error."""


class RepairTable(Strict):
    """What auditwheel may do."""

    allow_grafted: tuple[str, ...] = ()
    """Library names (`libpq`) that may be copied into the wheel; any other is a finding."""
    exclude: tuple[str, ...] = ()
    """Library names (`libcuda.so.1`) that are left to the machine that installs the wheel."""
    strip: bool | None = None


class TestTable(Strict):
    """What proves that the wheel works."""

    imports: tuple[ImportName, ...] | None = None
    """Default: `package.import-names`."""
    command: str | None = None
    """Shell command run in the clean environment, in an empty folder."""
    requires: tuple[RequirementText, ...] = ()


class ResourcesTable(Strict):
    """What a build may use."""

    timeout: Duration | None = None
    memory: Annotated[str, pydantic.Field(pattern=r"^\d+(\.\d+)? ?(MB|GB)$")] | None = None
    """What one job needs at its peak, e.g. `4 GB`: fewer are run at once on small machines."""


class OverrideTable(Strict):
    """Another answer for some build identifiers or versions. Later ones win, key by key."""

    select: str = "*"
    """cibuildwheel selector over build identifiers."""
    when_version: SpecifierText = ""
    reason: Annotated[str, pydantic.Field(min_length=1)]
    skip: bool = False
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
    source: SourceTable = SourceTable()
    system_packages: SystemPackages = SystemPackages()
    depends: DependsTable = DependsTable()
    targets: TargetsTable = TargetsTable()
    build: BuildTable = BuildTable()
    override: tuple[OverrideTable, ...] = ()
    cibuildwheel: Mapping[str, Any] = pydantic.Field(default_factory=dict)
    repair: RepairTable = RepairTable()
    test: TestTable = TestTable()
    resources: ResourcesTable = ResourcesTable()

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

    Raises InvalidFileError with every problem of the file, the folder's name and missing patches included.
    """
    recipe = load_toml(path, Recipe)
    recipe._folder = path.parent  # noqa: SLF001 - set once, here, before anyone else sees it
    if problems := [f"{path}: {problem}" for problem in _outside_the_schema(recipe)]:
        raise InvalidFileError(f"{path} is not valid", problems=problems)
    return recipe


def _outside_the_schema(recipe: Recipe) -> Iterable[str]:
    folder = recipe.folder.name
    if folder != recipe.project:
        yield f"package.name: the folder is `{folder}`, the project `{recipe.project}`: they must be the same (PEP 503)"
    if len(recipe.versions) != len(recipe.version):
        yield "version: one version stands twice"
    for number, patch in enumerate(recipe.source.patches):
        if not (recipe.folder / patch.file).is_file():
            yield f"source.patches[{number}].file: {patch.file} does not exist beside the recipe"
