"""`wheelhouse.toml` in, frozen settings out; also the folders a run works in.

Search order of the registry: `--registry`, `WHEELHOUSE_REGISTRY`, the nearest `wheelhouse.toml` upwards of the current
folder, and last the recipes that come with wheelhouse (then `dist/` and `.wheelhouse/` lie in the current folder).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic

from wheelhouse.address import check_issuer, check_mongodb, check_networks, check_public_url, pypi
from wheelhouse.errors import UsageError
from wheelhouse.recipe_fields import FolderText
from wheelhouse.salt_config import SaltSettings
from wheelhouse.selector import selector_problems
from wheelhouse.target import known_identifiers
from wheelhouse.toml import Age, Count, Duration, Flag, Strict, find_all, load_toml, section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.errors import Location

BuilderChoice = Literal["auto", "cibuildwheel", "host"]
Toolchain = Literal["auto", "zig", "system"]
ENVIRONMENT_REGISTRY = "WHEELHOUSE_REGISTRY"
#: Names the folder of records, logs and results, whatever `[paths]` says: one for many registries.
ENVIRONMENT_STATE = "WHEELHOUSE_STATE"
FILE_NAME = "wheelhouse.toml"


def _pattern(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9*](?:[A-Za-z0-9._*-]*[A-Za-z0-9*])?", text):
        raise ValueError("a project's name, with `*` for any characters, as in `acme-*`")
    return text


Pattern = Annotated[str, pydantic.AfterValidator(_pattern)]
"""Names of projects in any spelling."""


class IndexSettings(Strict):
    """Where sources and build requirements come from."""

    url: str | None = None
    """Simple API root (PEP 503/691). Default: `UV_DEFAULT_INDEX`, `PIP_INDEX_URL`, then PyPI."""


class TargetSettings(Strict):
    """What recipes build for when they do not say."""

    build: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("cp311-*", "cp312-*", "cp313-*", "cp314-*")
    """cibuildwheel selectors of build identifiers."""
    skip: tuple[str, ...] = ()
    """Selectors of those to leave out, for every recipe."""
    archs: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("auto",)
    """`auto` is this machine's own; `all`; or names as cibuildwheel has them."""


class BuildSettings(Strict):
    """How jobs are run."""

    builder: BuilderChoice = "auto"
    """`cibuildwheel` builds in containers, `host` without; `auto`: in containers if engine and image are there."""
    toolchain: Toolchain = "auto"
    """Compiler of the host builder: `zig` reaches an old glibc, `system` is the machine's own; `auto`: zig first."""
    jobs: Count = 0
    """How many jobs at once; 0: one more than processors, fewer where memory would not do."""
    timeout: Duration = 1800.0
    """How long one job may take, e.g. `90s`, `30m`, `2h`."""


class RepairSettings(Strict):
    """How wheels are repaired."""

    strip: Flag = True
    """Take debug symbols out."""


class PublishSettings(Strict):
    """Where `wheelhouse publish` sends wheels."""

    url: str | None = None
    """Address that uploads go to, without credentials. `TWINE_REPOSITORY_URL` goes first."""
    repository: str | None = None
    """Section of `.pypirc`, where `url` is not set. `TWINE_REPOSITORY` goes first."""
    trusted_publishing: Literal["automatic", "always", "never"] = "automatic"
    """A token by the CI job's identity; `automatic`: where there are no credentials, and both sides know how."""
    audience: str | None = None
    """Whom that identity may be made for, where it is not the index's host name."""
    spool_megabytes: Count = 10_000
    """How much may wait on disk for an index that is down."""


class PathSettings(Strict):
    """Where results go, relative to `wheelhouse.toml`."""

    dist: FolderText = "dist"
    """Finished wheels."""
    state: FolderText = ".wheelhouse"
    """Records, logs and results."""


class TrustedPublisher(Strict):
    """A job of a CI service that may upload with no secret, by the identity that its service gives it (OIDC)."""

    issuer: Annotated[str, pydantic.AfterValidator(check_issuer)]
    """`github`, `gitlab`, or the https address of another issuer."""
    projects: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    """What it may upload: names of projects, `*` for any characters."""
    actions: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("upload",)
    """What it may do to them; the actions are those of a token's scopes."""
    repository: str | None = None
    """`owner/name`; a GitLab project's path. `*` stands for any characters, here and in all that follows."""
    workflow: str | None = None
    """The workflow's file in that repository, as `release.yml`; for GitLab its path, as `.gitlab-ci.yml`. No `*`."""
    environment: str | None = None
    """The environment that the job runs in, as `pypi`."""
    ref: str | None = None
    """As `refs/tags/*`."""
    claims: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Any claim by its name: for other issuers, or to ask for more, as `repository_owner_id`."""

    @pydantic.model_validator(mode="after")
    def _says_who(self) -> TrustedPublisher:
        short = [name for name in ("repository", "workflow", "environment", "ref") if getattr(self, name) is not None]
        if self.issuer in {"github", "gitlab"}:
            if self.repository is None or not self.repository.strip("*/"):
                raise ValueError("`repository` is missing: else every job of everybody there could upload")
        elif short:
            raise ValueError(f"`{short[0]}` is for github and gitlab; `claims` takes any claim of any issuer")
        elif not any(value.strip("*") for value in self.claims.values()):
            raise ValueError("`claims` is missing: else whoever has an account there could upload")
        return self


class ServeSettings(Strict):
    """What `wheelhouse serve` serves, and to whom."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for every interface."""
    port: Annotated[int, pydantic.Field(strict=True, ge=0, le=65535)] = 8080
    """0: any that is free."""
    store: str = ""
    """Where files are kept: a folder, relative to this file, or `s3://bucket/prefix`. Default: `index` in the state."""
    max_upload: Annotated[int, pydantic.Field(strict=True, ge=1)] = 4096
    """Mebibytes that one uploaded file may have."""
    min_upload_rate: Count = 1000
    """Bytes a second that an upload has to bring, after a minute that each is given; 0: any."""
    spool_megabytes: Count = 10_000
    """How much may wait on this machine's disk for a store that is down."""
    audit_mongodb: Annotated[str, pydantic.AfterValidator(check_mongodb)] = ""
    """Gets a record of every upload: `mongodb://user@host/database`; `WHEELHOUSE_AUDIT_PASSWORD` has the password."""
    cache_megabytes: Count = 2_000
    """How much of a bucket's files is kept on this machine's disk, to be read faster, and while the bucket is down."""
    anonymous_read: Literal["nobody", "local", "everybody"] = "local"
    """Who may read without a token; `local`: programs on this machine."""
    anonymous_upload: Literal["nobody", "local"] = "nobody"
    """Who may upload without a token."""
    attestations: Literal["verify", "accept", "refuse"] = "accept"
    """Of uploads (PEP 740): `verify` publishes those that a trusted publisher of the project has signed and refuses
    any others; `accept` takes the file and leaves them aside; `refuse` takes no file that has some."""
    stage_days: Annotated[int, pydantic.Field(strict=True, ge=1, le=9999)] = 7
    """What is staged for longer and not published is dropped by `wheelhouse index gc`."""
    gc_hours: Count = 24
    """How often one of all servers of the store does what `wheelhouse index gc` does; 0: none does."""
    tokens: str = ""
    """File of tokens, relative to this file; default: `tokens.json` in the state. Servers of one store share it."""
    trusted_publishers: tuple[TrustedPublisher, ...] = ()
    """Jobs of CI services that may upload with no secret."""
    audience: str = ""
    """Whom their identities have to be made for; default: the host name of `url`."""
    signing_key: str = ""
    """File of the key that their tokens are signed with. Default: `signing-key` in the state; made when missing."""
    tls_cert: str = ""
    """PEM file of the certificate and its chain, relative to this file; the index then speaks https."""
    tls_key: str = ""
    """PEM file of the certificate's key, without a password."""
    url: Annotated[str, pydantic.AfterValidator(check_public_url)] = ""
    """Address that the index is known by, where that is a proxy's: `https://wheels.example/pypi/`."""
    trusted_proxies: Annotated[tuple[str, ...], pydantic.AfterValidator(check_networks)] = ()
    """Addresses or networks of proxies whose `X-Forwarded-For` says who asks, as `10.0.0.0/8`."""
    log: Literal["text", "json"] = "text"
    """Form of the log's lines."""
    access_log: Literal["all", "notable", "nothing"] = "notable"
    """Requests that the log tells of; `notable`: all but pages and files that were read without trouble."""
    metrics: Literal["nobody", "local", "everybody"] = "local"
    """Who may read `/metrics` without a token of scope `metrics:*`."""
    grace: Duration = 30.0
    """How long requests in flight are given when the server is told to stop."""


class MirrorSettings(Strict):
    """What other indexes are behind ours, and what may be had from them."""

    enabled: Flag = True
    """Serve what others have, on demand."""
    upstreams: tuple[str, ...] = ()
    """Their Simple API roots; the first that has a project answers for it. Default: where sources come from."""
    offline: Flag = False
    """Ask nobody: what was fetched before is all there is."""
    min_age: Age = 0.0
    """How old a file has to be before it is shown, as `14d`: by then much of what is malicious has been found out."""
    min_age_of: Mapping[Pattern, Age] = pydantic.Field(default_factory=dict)
    """The same for some projects, as `acme-* = "0s"`."""
    allow: tuple[Pattern, ...] = ()
    """Projects that may be had, `*` for any characters; all others are answered with 403. Default: all."""
    deny: tuple[Pattern, ...] = ()
    """Projects that may not, whatever `allow` says."""
    policy: Mapping[Pattern, Literal["private", "overlay", "mirror"]] = pydantic.Field(default_factory=dict)
    """Whose files of a project are shown: ours (`private`), ours and others' (`overlay`), others' (`mirror`).

    Default: `private` for what has files here, `mirror` for all else. Of a private name no other index is ever asked.
    """
    budget_megabytes: Annotated[int, pydantic.Field(strict=True, ge=1)] = 20_000
    """Disk that fetched files may take; those that were not used for longest go first."""


class Config(Strict):
    """All of `wheelhouse.toml`."""

    index: IndexSettings = section()
    targets: TargetSettings = section()
    build: BuildSettings = section()
    repair: RepairSettings = section()
    images: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Build image by platform tag (`manylinux_x86_64`): a reference, best by digest, or cibuildwheel's short name."""
    test_images: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Minimal image by platform tag, in which built wheels are installed and imported."""
    publish: PublishSettings = section()
    paths: PathSettings = section()
    serve: ServeSettings = section()
    mirror: MirrorSettings = section()
    salt: SaltSettings = section()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The folders of a run. All paths are absolute."""

    registry: Path
    """Folder that holds one folder a recipe."""
    dist: Path
    """Finished, checked wheels: what `publish` takes."""
    state: Path
    """Records, results, logs, locks of this workspace."""
    cache: Path
    """Downloads shared by all workspaces of the user, by hash."""
    config: Config

    @property
    def results(self) -> Path:
        """One folder a build key: the wheel and its record, committed by one rename."""
        return self.state / "results"

    @property
    def jobs(self) -> Path:
        """One folder a job: the latest record and log, whatever the outcome."""
        return self.state / "jobs"

    @property
    def locks(self) -> Path:
        """Build requirements as resolved."""
        return self.state / "requirements"

    @property
    def spool(self) -> Path:
        """What was accepted for an index and is not yet there."""
        return self.state / "spool"

    @property
    def mirror(self) -> Path:
        """Pages and files of other indexes."""
        return self.state / "mirror"

    @property
    def index_spool(self) -> Path:
        """What the index has acknowledged and its store does not have yet."""
        return self.state / "index-spool"

    @property
    def work(self) -> Path:
        """Work in progress; nothing in it outlives its job."""
        return self.state / "work"


def load_config(path: Path) -> Config:
    """Read `wheelhouse.toml`.

    Raises InvalidFileError with every problem of the file.
    """
    return load_toml(path, Config, rules=_rules)


def _rules(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for key in ("build", "skip"):
        for place, text in find_all(table, "targets", key, "*"):
            if isinstance(text, str):
                yield from ((place, problem) for problem in selector_problems(text))
    for place, arch in find_all(table, "targets", "archs", "*"):
        archs = {"auto", "all", *(target.arch for target in known_identifiers().values())}
        if isinstance(arch, str) and arch not in archs:
            yield place, f"`{arch}` is no architecture; there are {', '.join(sorted(archs))}"
    for key in ("images", "test-images"):
        for place, images in find_all(table, key):
            platforms = {target.platform_tag for target in known_identifiers().values() if target.is_linux}
            for tag in images if isinstance(images, dict) else ():
                if tag not in platforms:
                    yield (*place, tag), f"`{tag}` is no platform with images; there are {', '.join(sorted(platforms))}"


def find_workspace(
    *, start: Path, registry: Path | None, environment: Mapping[str, str], dist: Path | None = None
) -> Workspace:
    """Find the registry and the folders to work in.

    `registry` is the folder with `wheelhouse.toml` (or the file itself). Raises UsageError, InvalidFileError.
    """
    base = find_registry(start=start, registry=registry, environment=environment)
    fallback = registry is None and not environment.get(ENVIRONMENT_REGISTRY) and base not in (start, *start.parents)
    root = start if fallback else base  # nothing is written beside the recipes that come with wheelhouse
    file = base / FILE_NAME
    config = load_config(file) if file.is_file() else Config()
    return Workspace(
        registry=base / "recipes",
        dist=(dist.absolute() if dist is not None else root / config.paths.dist),
        state=Path(environment.get(ENVIRONMENT_STATE) or root / config.paths.state).absolute(),
        cache=user_cache(environment),
        config=config,
    )


def find_registry(*, start: Path, registry: Path | None, environment: Mapping[str, str]) -> Path:
    """Find the folder with `wheelhouse.toml` and `recipes/`.

    Raises UsageError where the one that was named is none.
    """
    named = registry or (Path(environment[ENVIRONMENT_REGISTRY]) if environment.get(ENVIRONMENT_REGISTRY) else None)
    if named is None:
        found = next((folder for folder in (start, *start.parents) if (folder / FILE_NAME).is_file()), None)
        return found or bundled()
    folder = (named.parent if named.name == FILE_NAME else named).absolute()
    if not (folder / FILE_NAME).is_file() and not (folder / "recipes").is_dir():
        raise UsageError(
            f"{folder} has neither {FILE_NAME} nor recipes/",
            hint=f"--registry or {ENVIRONMENT_REGISTRY} names the folder that has them; `wheelhouse init` makes one",
        )
    return folder


def bundled() -> Path:
    """Return the registry that comes with wheelhouse: in the installed package, or in the checkout."""
    package = Path(__file__).parent
    inside = package / "bundled"
    return inside if inside.is_dir() else package.parents[1]


def user_cache(environment: Mapping[str, str]) -> Path:
    """Return the user's cache folder: `WHEELHOUSE_CACHE`, else the platform's own place."""
    chosen = environment.get("WHEELHOUSE_CACHE")
    if chosen:
        return Path(chosen).absolute()
    import platformdirs  # noqa: PLC0415 - start-up time

    return Path(platformdirs.user_cache_dir("wheelhouse", appauthor=False))


def configured_index(config: Config, environment: Mapping[str, str]) -> str | None:
    """Return the Simple API root that was configured for sources and build requirements; None: the default one."""
    chosen = (config.index.url, environment.get("UV_DEFAULT_INDEX"), environment.get("PIP_INDEX_URL"))
    return next((url for url in chosen if url), None)


def index_url(config: Config, environment: Mapping[str, str]) -> str:
    """Return the Simple API root that sources and build requirements come from."""
    if (url := configured_index(config, environment)) is not None:
        return url
    return pypi()
