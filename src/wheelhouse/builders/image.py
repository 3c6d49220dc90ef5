"""A target in, a build image out: which one, and what is in it.

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

from wheelhouse.builders.engine import oci_platform
from wheelhouse.errors import MachineError
from wheelhouse.locking import holding
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
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
#: How the engines say that an image is not here.
_NO_IMAGE = re.compile(r"no such (image|object)|not known|not found|reference does not match", re.IGNORECASE)
_PULL_SECONDS = 1800.0
PROBE_SECONDS = 120.0

# One `key=value` a line; what is not there says nothing.
_PROBE = """
. /etc/os-release; echo "os=$PRETTY_NAME"
for tool in apt-get apk dnf microdnf yum; do command -v $tool >/dev/null && { echo "installer=$tool"; break; }; done
for tool in uv auditwheel; do
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
                f"{self._engine.name} does not work: it said `{last_line(found.output)}`",
                hint=f"`{self._engine.name} info` must work for this user",
            )
        return Image(reference=reference, arch=arch, digest=digest, here=False)

    def pull(self, image: Image, log: JobLog) -> Image:
        """Bring an image here, if it is not. Raises MachineError where it cannot be had."""
        if image.here:
            return image
        with self.alone(image.reference):
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
                f"the image {image.reference} is not here and cannot be pulled: {last_line(said.output)}",
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
        said = self._processes.run(command, env=self._engine.environment, check=False, timeout=PROBE_SECONDS)
        if said.returncode != 0:
            raise MachineError(
                f"the image {image.reference} does not run: {last_line(said.output)}",
                hint=f"`{shlex.join(command[:-2])} true` must work",
            )
        contents = _parse_contents(said.output)
        write_atomically(path, contents.model_dump_json().encode())
        return contents

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Let one job at a time, of all processes, do `what`; the others wait and find it done."""
        self._memory.mkdir(parents=True, exist_ok=True)
        lock = self._memory / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.lock"
        with holding(lock, self._processes.go_on):
            yield


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
        pythons=tuple(value for key, value in pairs if key == "python"),
        fetches_pythons="fetches-pythons" in found,
    )


def last_line(output: str) -> str:
    """Return the last line of what a command said that is not blank."""
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
