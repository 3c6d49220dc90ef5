"""A recipe, one of its versions and a build identifier in; a `Job` out, with defaults and overrides resolved.

After this nobody looks at a recipe again: a job holds all that a build is determined by, save what is found out on the
way (the hashes of build requirements, the builder's tools).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from wheelhouse.errors import InvalidFileError, Problem
from wheelhouse.recipe import SystemPackages
from wheelhouse.target import matches
from wheelhouse.toml import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.config import Config, Toolchain
    from wheelhouse.recipe import BuildTable, OverrideTable, Recipe, RepairTable, ResourcesTable, TestTable
    from wheelhouse.target import BuildIdentifier

BuilderName = Literal["cibuildwheel", "host"]
Table = TypeVar("Table", bound=Strict)
#: How cibuildwheel's options that name an image end.
_IMAGE = "-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A patch file and the hash of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """Where a source comes from and what it must be."""

    project: NormalizedName
    version: Version
    sha256: str
    url: str | None
    """None: the sdist on the configured index."""
    patches: tuple[Patch, ...] = ()
    subdirectory: str = ""

    @property
    def digest(self) -> str:
        """Name of this very source tree: the archive's hash, and the patches' in order."""
        if not self.patches and not self.subdirectory:
            return self.sha256
        parts = [self.sha256, *(patch.sha256 for patch in self.patches), self.subdirectory]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairSpec:
    """What auditwheel may do."""

    allow_grafted: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSpec:
    """What proves that a wheel works, in a clean environment."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    imports: tuple[str, ...] = ()
    command: str | None = None
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recipe version for one build identifier."""

    project: NormalizedName
    version: Version
    build_number: int
    target: BuildIdentifier
    source: SourceSpec
    system_packages: SystemPackages = field(default_factory=SystemPackages)
    requires: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    toolchain: Toolchain = "auto"
    extension: bool = True
    abi3: bool = False
    cibuildwheel: Mapping[str, Any] = field(default_factory=dict)
    """Without the options that name images."""
    image: str | None = None
    """Build image, as the recipe or `wheelhouse.toml` has it; None: cibuildwheel's own, or not a Linux target."""
    repair: RepairSpec = field(default_factory=RepairSpec)
    test: TestSpec = field(default_factory=TestSpec)
    timeout: float = 1800.0
    """Seconds, for the whole job."""
    memory: int = 0
    """Bytes that the job needs at its peak; 0: not said."""
    depends: tuple[NormalizedName, ...] = ()
    id: str = field(init=False, compare=False, repr=False)
    """`psycopg2-2.9.10-cp313-manylinux_x86_64`; unique in a plan, safe as a file name."""

    def __post_init__(self) -> None:
        """Write the id down: a plan asks for it a dozen times."""
        object.__setattr__(self, "id", f"{self.project}-{self.version}-{self.target}")

    def __str__(self) -> str:
        """Return the id."""
        return self.id

    def recipe_inputs(self) -> dict[str, str]:
        """Return what the recipe contributes to the build key, name to canonical text.

        What cannot change the wheel's bytes (timeout, memory, tests, the allowance of grafted libraries) is left out.
        """
        values: dict[str, object] = {
            "recipe.build-number": self.build_number,
            "recipe.system-packages": {family: names for family, names in self.system_packages if names},
            "recipe.build.requires": self.requires,
            "recipe.build.constraints": self.constraints,
            "recipe.build.environment": self.environment,
            "recipe.build.config-settings": self.config_settings,
            "recipe.build.toolchain": self.toolchain,
            "recipe.cibuildwheel": self.cibuildwheel,
            "recipe.repair.exclude": self.repair.exclude,
            "recipe.repair.strip": self.repair.strip,
            "source.sha256": self.source.sha256,
            "source.subdirectory": self.source.subdirectory,
        }
        inputs = {name: _canonical(value) for name, value in values.items() if value or value == 0}
        for number, patch in enumerate(self.source.patches):
            inputs[f"source.patch.{number}.{patch.path.name}"] = patch.sha256
        return inputs


def split_id(job: str) -> tuple[str, str, str]:
    """Return project, version and build identifier of a job's id, as texts; empty ones where it is none."""
    project, *rest = job.rsplit("-", 3)
    if len(rest) != 3:  # noqa: PLR2004 - version, Python, platform
        return "", "", ""
    return project, rest[0], f"{rest[1]}-{rest[2]}"


def _canonical(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def make_job(recipe: Recipe, version: Version, target: BuildIdentifier, config: Config) -> Job | None:
    """Resolve a recipe for one version and build identifier.

    Returns None where an override with `skip` says not to build it. `version` must be one of the recipe's.
    """
    return next(iter(make_jobs(recipe, version, (target,), config)), None)


def make_jobs(recipe: Recipe, version: Version, targets: Iterable[BuildIdentifier], config: Config) -> tuple[Job, ...]:
    """Resolve a recipe for one version and many build identifiers, without those that an override skips.

    What does not depend on the identifier is resolved once for each set of overrides that apply together.
    """
    overrides = [override for override in recipe.override if _covers(override.when_version, version)]
    source: SourceSpec | None = None
    templates: dict[tuple[bool, ...], tuple[partial[Job], Mapping[str, Any]] | None] = {}
    jobs: list[Job] = []
    for target in targets:
        applies = tuple(matches(override.select, str(target)) for override in overrides)
        if applies not in templates:
            source = source or _source(recipe, version)
            chosen = list(compress(overrides, applies))
            templates[applies] = None if any(o.skip for o in chosen) else _resolve(recipe, source, chosen, config)
        if template := templates[applies]:
            make, options = template
            jobs.append(make(target=target, image=_image(options, target, config)))
    return tuple(jobs)


def _resolve(
    recipe: Recipe, source: SourceSpec, overrides: list[OverrideTable], config: Config
) -> tuple[partial[Job], Mapping[str, Any]]:
    """Return a job that lacks its target and image, and cibuildwheel's options with those that name images."""
    build = _merge_build(recipe.build, [o.build for o in overrides])
    repair: RepairTable = _merge(recipe.repair, [o.repair for o in overrides])
    test: TestTable = _merge(recipe.test, [o.test for o in overrides])
    resources: ResourcesTable = _merge(recipe.resources, [o.resources for o in overrides])
    options = dict(recipe.cibuildwheel)
    for override in overrides:
        options |= override.cibuildwheel or {}
    strip = config.repair.strip if repair.strip is None else repair.strip
    job = partial(
        Job,
        project=recipe.project,
        version=source.version,
        build_number=recipe.versions[source.version].build_number,
        source=source,
        system_packages=_merge(recipe.system_packages, [o.system_packages for o in overrides]),
        requires=build.requires,
        constraints=build.constraints,
        environment=build.environment,
        config_settings=build.config_settings,
        toolchain=build.toolchain or config.build.toolchain,
        extension=build.extension,
        abi3=recipe.targets.abi3,
        cibuildwheel=_without_images(options),
        repair=RepairSpec(allow_grafted=repair.allow_grafted, exclude=repair.exclude, strip=strip),
        test=TestSpec(
            imports=recipe.import_names if test.imports is None else test.imports,
            command=test.command,
            requires=test.requires,
        ),
        timeout=resources.timeout or config.build.timeout,
        memory=_bytes(resources.memory),
        depends=tuple(canonicalize_name(name) for name in recipe.depends.build),
    )
    return job, options


def _image(options: Mapping[str, Any], target: BuildIdentifier, config: Config) -> str | None:
    """Return the image of a target: the recipe's, for Linux or in general, else `wheelhouse.toml`'s."""
    if not target.is_linux:
        return None
    arch = f"pypy_{target.arch}" if target.implementation == "pp" and target.family == "manylinux" else target.arch
    name = f"{target.family}-{arch}{_IMAGE}"
    image: str | None = options.get("linux", {}).get(name) or options.get(name)
    return image or config.images.get(target.platform_tag)


def _without_images(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the options that name images: a job has one, in a field of its own."""
    kept: dict[str, Any] = {}
    for name, value in options.items():
        if name == "linux":
            if inner := _without_images(value):
                kept[name] = inner
        elif not name.endswith(_IMAGE):
            kept[name] = value
    return kept


def _covers(specifier: str, version: Version) -> bool:
    return not specifier or SpecifierSet(specifier).contains(version, prereleases=True)


def _source(recipe: Recipe, version: Version) -> SourceSpec:
    url = recipe.source.url
    entry = recipe.versions[version]
    files = [patch.file for patch in recipe.source.patches if _covers(patch.when_version, version)]
    return SourceSpec(
        project=recipe.project,
        version=version,
        sha256=entry.sha256,
        # As the recipe spells them: an address has its own idea of a name and of a version.
        url=None if url is None else url.replace("{name}", recipe.package.name).replace("{version}", entry.version),
        patches=tuple(_patch(recipe.folder / file) for file in files),
        subdirectory=recipe.source.subdirectory,
    )


def _patch(path: Path) -> Patch:
    try:
        return Patch(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    except OSError as error:
        problem = Problem(file=path, message=f"cannot be read: {error.strerror}")
        raise InvalidFileError(f"{path} is not valid", problems=[problem]) from error


def _merge(base: Table, overrides: list[Table | None]) -> Table:
    """Let the keys that an override names win over the base's."""
    changes = {key: getattr(table, key) for table in overrides if table is not None for key in table.model_fields_set}
    return base.model_copy(update=changes) if changes else base


def _merge_build(base: BuildTable, overrides: list[BuildTable | None]) -> BuildTable:
    """As `_merge`; environments and config settings are merged variable by variable."""
    merged = base
    for table in overrides:
        if table is None:
            continue
        changes: dict[str, object] = {key: getattr(table, key) for key in table.model_fields_set}
        for key in ("environment", "config_settings"):
            if key in changes:
                changes[key] = {**getattr(merged, key), **getattr(table, key)}
        merged = merged.model_copy(update=changes)
    return merged


def _bytes(text: str | None) -> int:
    if text is None:
        return 0
    return int(float(text[:-2]) * {"MB": 10**6, "GB": 10**9}[text[-2:]])
