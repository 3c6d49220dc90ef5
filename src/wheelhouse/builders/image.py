"""A target in, a build image out: which one, what is in it, and a copy of it that has system packages too.

An image is known by its digest. What it holds is found out by one short container, once, and remembered on disk.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import hashlib
import importlib.resources
import re
import shlex
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pydantic
from filelock import FileLock, Timeout

from wheelhouse.builders.engine import oci_platform
from wheelhouse.errors import BuildError, CanceledError, MachineError
from wheelhouse.process import Failure
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.recipe import SystemPackages
    from wheelhouse.target import BuildIdentifier

Family = Literal["manylinux", "musllinux", "debian"]
"""Keys of a recipe's `[system-packages]`: dnf, apk and apt names."""

_FAMILIES: dict[str, Family] = {
    "apt-get": "debian",
    "apk": "musllinux",
    "dnf": "manylinux",
    "microdnf": "manylinux",
    "yum": "manylinux",
}
_INSTALL = {
    "apt-get": "export DEBIAN_FRONTEND=noninteractive; apt-get update -q && "
    "apt-get install -q -y --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*",
    "apk": "apk add --no-cache {packages}",
    "dnf": "dnf -y install --setopt=install_weak_deps=0 {packages} && dnf -y clean all",
    "microdnf": "microdnf -y install --setopt=install_weak_deps=0 {packages} && microdnf -y clean all",
    "yum": "yum -y install {packages} && yum -y clean all",
}
_VERSIONS = {
    "debian": "dpkg-query -W -f '${Package}=${Version}\\n'",
    "musllinux": "apk info -v",
    "manylinux": "rpm -qa --qf '%{NAME}=%{VERSION}-%{RELEASE}\\n'",
}
#: How each package manager says that there is no such package.
_UNKNOWN_PACKAGE = (
    re.compile(r"E: Unable to locate package (?P<name>\S+)"),
    re.compile(r"E: Package '(?P<name>[^']+)' has no installation candidate"),
    re.compile(r"^\s+(?P<name>\S+) \(no such package\):", re.MULTILINE),
    re.compile(r"No match for argument: (?:\x1b\[\d+m)*(?P<name>[^\s\x1b]+)"),
    re.compile(r"No package matches '(?P<name>[^']+)'"),
    re.compile(r"No package (?P<name>\S+) available"),
)
_NO_NETWORK = re.compile(
    r"Temporary failure resolving|Could not resolve|Couldn't resolve host|Failed to fetch|Failed to download metadata"
    r"|temporary error \(try again later\)|Network is unreachable"
)
#: How the engines say that an image is not here.
_NO_IMAGE = re.compile(r"no such (image|object)|not known|not found|reference does not match", re.IGNORECASE)
#: Raised when a derived image would be made otherwise from the same base and packages.
_DERIVED_FORMAT = "1"
_PULL_SECONDS = 1800.0
_PROBE_SECONDS = 120.0

# One `key=value` a line; what is not there says nothing.
_PROBE = """
. /etc/os-release; echo "os=$PRETTY_NAME"
for tool in apt-get apk dnf microdnf yum; do command -v $tool >/dev/null && { echo "installer=$tool"; break; }; done
for tool in uv auditwheel patchelf; do
  command -v $tool >/dev/null && echo "$tool=$($tool --version 2>/dev/null | head -n 1)"
done
command -v manylinux-interpreters >/dev/null && echo "fetches-pythons=yes"
for python in /opt/python/*/bin/python; do [ -x "$python" ] && echo "python=${python%/bin/python}"; done
true
"""


class Contents(pydantic.BaseModel):
    """What an image holds, as far as a build asks."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    os: str = "an unnamed system"
    """os-release's PRETTY_NAME."""
    installer: Literal["apt-get", "apk", "dnf", "microdnf", "yum"] | None = None
    uv: str | None = None
    auditwheel: str | None = None
    patchelf: str | None = None
    pythons: tuple[str, ...] = ()
    """Folders below /opt/python."""
    fetches_pythons: bool = False
    """It can install further Pythons, from the network."""

    @property
    def family(self) -> Family | None:
        """The key of `[system-packages]` that holds names for this image."""
        return _FAMILIES[self.installer] if self.installer else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A build image, here or elsewhere."""

    reference: str
    """What the engine is told."""
    arch: str
    digest: str | None
    """`sha256:…`: of the reference where it has one, else of the image here; None: not known from here."""
    here: bool
    """Whether the engine has it."""


def default_reference(target: BuildIdentifier, chosen: str | None) -> str:
    """Return the image for a target: `chosen`, where short names (`manylinux_2_28`) mean cibuildwheel's pinned ones."""
    arch = f"pypy_{target.arch}" if target.implementation == "pp" and target.family == "manylinux" else target.arch
    name = chosen or _defaults().get(option_name(target), "")
    return _pinned().get(arch, {}).get(name, name)


def option_name(target: BuildIdentifier) -> str:
    """Return the option that names a target's image in cibuildwheel's configuration."""
    arch = f"pypy_{target.arch}" if target.implementation == "pp" and target.family == "manylinux" else target.arch
    return f"{target.family}-{arch}-image"


@functools.cache
def _pinned() -> dict[str, dict[str, str]]:
    text = _resource("pinned_docker_images.cfg")
    parser = configparser.ConfigParser(inline_comment_prefixes=("#",))
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


@functools.cache
def _defaults() -> dict[str, str]:
    table = tomllib.loads(_resource("defaults.toml"))["tool"]["cibuildwheel"]
    return {name: value for name, value in table.items() if name.endswith("-image")}


@functools.cache
def python_folder(target: BuildIdentifier) -> str:
    """Return where cibuildwheel expects a target's Python in an image, e.g. `/opt/python/cp313-cp313`."""
    entries = tomllib.loads(_resource("build-platforms.toml"))["linux"]["python_configurations"]
    return next(str(entry["path_str"]) for entry in entries if entry["identifier"] == str(target))


def _resource(name: str) -> str:
    return importlib.resources.files("cibuildwheel").joinpath("resources", name).read_text("utf-8")


class Images:
    """The images of one engine. Remembers in the cache what it found out."""

    def __init__(self, engine: Engine, processes: Processes, cache: Path) -> None:
        self._engine = engine
        self._processes = processes
        self._memory = cache / "images"

    def find(self, reference: str, arch: str) -> Image:
        """Look for an image; nothing is pulled. Raises MachineError where the engine cannot look."""
        named = re.search(r"@(sha256:[0-9a-f]{64})$", reference)
        digest = named[1] if named else None
        form = "{{.Id}} {{.Os}}/{{.Architecture}}"
        found = self._processes.run(
            [self._engine.name, "image", "inspect", "--format", form, reference],
            env=self._engine.environment,
            check=False,
        )
        words = found.output.split()
        if found.returncode == 0 and words[-1] in _platforms(arch):
            identity = words[0] if words[0].startswith("sha256:") else f"sha256:{words[0]}"
            return Image(reference=reference, arch=arch, digest=digest or identity, here=True)
        if found.returncode != 0 and not _NO_IMAGE.search(found.output):
            raise MachineError(
                f"{self._engine.name} does not work: it said `{_last_line(found.output)}`",
                hint=f"`{self._engine.name} info` must work for this user",
            )
        return Image(reference=reference, arch=arch, digest=digest, here=False)

    def pull(self, image: Image, log: JobLog) -> Image:
        """Bring an image here, if it is not. Raises MachineError where it cannot be had."""
        if image.here:
            return image
        with self._alone(image.reference):
            now = self.find(image.reference, image.arch)
            if now.here:
                return now
            log.line(f"pulling {image.reference}")
            command = [self._engine.name, "pull", f"--platform={oci_platform(image.arch)}", image.reference]
            said = self._processes.run(command, env=self._engine.environment, check=False, timeout=_PULL_SECONDS)
            log.line(said.output.rstrip())
            now = self.find(image.reference, image.arch)
        if said.returncode != 0 or not now.here:
            raise MachineError(
                f"the image {image.reference} is not here and cannot be pulled: {_last_line(said.output)}",
                hint="name one that can be had under [images] in wheelhouse.toml, or build with --builder host",
            )
        return now

    def contents(self, image: Image) -> Contents:
        """Say what a local image holds. Raises MachineError where it does not run."""
        assert image.digest is not None  # noqa: S101 - a local image has one
        path = self._memory / f"{image.digest.removeprefix('sha256:')}.json"
        with contextlib.suppress(OSError, pydantic.ValidationError):
            return Contents.model_validate_json(path.read_bytes())
        command = self._engine.run_command(
            image.reference, ["sh", "-c", _PROBE], platform=oci_platform(image.arch), network=False
        )
        said = self._processes.run(command, env=self._engine.environment, check=False, timeout=_PROBE_SECONDS)
        if said.returncode != 0:
            raise MachineError(
                f"the image {image.reference} does not run: {_last_line(said.output)}",
                hint=f"`{shlex.join(command[:-2])} true` must work",
            )
        contents = _parse_contents(said.output)
        write_atomically(path, contents.model_dump_json().encode())
        return contents

    def with_packages(self, image: Image, packages: SystemPackages, log: JobLog) -> tuple[Image, Sequence[str]]:
        """Return an image that has the system packages too, and their versions as `name=version`.

        Made once for a base and a set of packages, shared by all Pythons.

        Raises BuildError naming a package that does not exist, MachineError where the network is missing.
        """
        contents = self.contents(image)
        wanted = sorted(set(getattr(packages, contents.family))) if contents.family else []
        others = {name for key in _VERSIONS for name in getattr(packages, key)}
        if not wanted:
            if others:
                log.line(
                    f"no system-packages.{contents.family or '?'} in the recipe: nothing is installed in {contents.os}"
                )
            return image, ()
        name = f"{_DERIVED_FORMAT}\n{image.digest}\n{chr(10).join(wanted)}"
        reference = f"localhost/wheelhouse/derived:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        derived = self.find(reference, image.arch)
        if not derived.here:
            with self._alone(reference):
                derived = self.find(reference, image.arch)
                if not derived.here:
                    self._install(image, contents, wanted, reference, log)
                    derived = self.find(reference, image.arch)
        return derived, self._versions(derived, contents, wanted)

    def _install(self, image: Image, contents: Contents, wanted: Sequence[str], reference: str, log: JobLog) -> None:
        assert contents.installer is not None  # noqa: S101 - packages are wanted of one only
        script = _INSTALL[contents.installer].format(packages=shlex.join(wanted))
        name = f"wheelhouse-{reference.rsplit(':', 1)[1]}"
        log.line(f"installing {' '.join(wanted)} in {image.reference} ({contents.os})")
        engine, env = self._engine, self._engine.environment
        command = engine.run_command(
            image.reference,
            ["sh", "-c", script],
            network=True,
            platform=oci_platform(image.arch),
            name=name,
            keep=True,
        )
        self._processes.run([engine.name, "rm", "--force", name], env=env, check=False)
        try:
            said = self._processes.run(command, env=env, check=False)
            log.line(said.output.rstrip())
            if said.returncode != 0:
                raise _install_error(said.output, contents, image)
            shell = '--change=CMD ["/bin/bash"]'
            self._processes.run([engine.name, "commit", shell, name, reference], env=env, log=log.path)
        except Failure as error:
            raise MachineError(f"the image with {' '.join(wanted)} cannot be kept: {error}") from error
        finally:
            engine.remove_named(name)

    def _versions(self, derived: Image, contents: Contents, wanted: Sequence[str]) -> Sequence[str]:
        assert derived.digest is not None  # noqa: S101 - it was just made or found
        assert contents.family is not None  # noqa: S101 - it has packages
        path = self._memory / f"{derived.digest.removeprefix('sha256:')}.packages"
        with contextlib.suppress(OSError):
            return path.read_text("utf-8").split()
        command = self._engine.run_command(
            derived.reference, ["sh", "-c", _VERSIONS[contents.family]], platform=oci_platform(derived.arch)
        )
        said = self._processes.run(command, env=self._engine.environment, check=False, timeout=_PROBE_SECONDS)
        versions = [line for line in said.output.splitlines() if _package_of(line, wanted)]
        write_atomically(path, "\n".join(versions).encode())
        return versions

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Let one job at a time, of all processes, do `what`; the others wait and find it done."""
        self._memory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._memory / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.lock")
        while True:
            if self._processes.canceled:
                raise CanceledError("stopped")
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0.5)
                break
        try:
            yield
        finally:
            lock.release()


def _platforms(arch: str) -> set[str]:
    """Return how an image for `arch` may describe itself; 32-bit x86 also runs from images that say amd64."""
    names = {"/".join(oci_platform(arch).split("/")[:2])}
    return names | {"linux/amd64"} if arch == "i686" else names


def _parse_contents(output: str) -> Contents:
    pairs = [(key, value) for key, _, value in (line.partition("=") for line in output.splitlines())]
    found = dict(pairs)
    return Contents(
        os=found.get("os", Contents().os),
        installer=found.get("installer"),
        uv=found.get("uv") or None,
        auditwheel=found.get("auditwheel") or None,
        patchelf=found.get("patchelf") or None,
        pythons=tuple(value for key, value in pairs if key == "python"),
        fetches_pythons="fetches-pythons" in found,
    )


def _install_error(output: str, contents: Contents, image: Image) -> BuildError | MachineError:
    missing = sorted({found["name"] for pattern in _UNKNOWN_PACKAGE for found in pattern.finditer(output)})
    if missing and not _NO_NETWORK.search(output):
        names = ", ".join(f"`{name}`" for name in missing)
        return BuildError(
            f"{contents.os} has no package {names}",
            where=f"system-packages.{contents.family}",
            hint=f"look the name up with {contents.installer} in {image.reference}",
        )
    if _NO_NETWORK.search(output):
        return MachineError(
            f"system packages cannot be fetched in {image.reference}: {_last_line(output)}",
            hint="containers need the network once for system-packages; later builds use the image that was kept",
        )
    return BuildError(
        f"system packages cannot be installed in {image.reference}: {_last_line(output)}",
        where=f"system-packages.{contents.family}",
        hint="the log has all that the package manager said",
    )


def _package_of(line: str, wanted: Sequence[str]) -> bool:
    """Say whether `libpq-dev=15.3-1` (apt, dnf) or `libpq-dev-15.3-r0` (apk) is one of `wanted`."""
    return any(re.fullmatch(rf"{re.escape(name)}(=|-\d).*", line) for name in wanted)


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
