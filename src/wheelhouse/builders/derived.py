"""An image and system packages in, an image that has them too out: made once for all Pythons, kept while used."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import time
from typing import TYPE_CHECKING

from wheelhouse.builders.engine import oci_platform
from wheelhouse.builders.image import PROBE_SECONDS, last_line
from wheelhouse.builders.kept import KEPT_SECONDS
from wheelhouse.errors import BuildError, MachineError
from wheelhouse.process import Failure
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.builders.image import Contents, Image, Images
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.recipe import SystemPackages

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
#: Raised when a derived image would be made otherwise from the same base and packages.
_DERIVED_FORMAT = "1"
_DERIVED = "localhost/wheelhouse/derived"


class DerivedImages:
    """Images of one engine with system packages on top. Remembers in the cache when each was last used."""

    def __init__(self, images: Images, engine: Engine, processes: Processes, cache: Path) -> None:
        self._images = images
        self._engine = engine
        self._processes = processes
        self._memory = cache / "images"

    def having(self, image: Image, packages: SystemPackages, log: JobLog) -> tuple[Image, Sequence[str]]:
        """Return an image that has the system packages too, and their versions as `name=version`.

        Made once for a base and a set of packages, shared by all Pythons.

        Raises BuildError naming a package that does not exist, MachineError where the network is missing.
        """
        contents = self._images.contents(image)
        wanted = sorted(set(getattr(packages, contents.family))) if contents.family else []
        others = {name for key in _VERSIONS for name in getattr(packages, key)}
        if not wanted:
            if others:
                log.line(
                    f"no system-packages.{contents.family or '?'} in the recipe: nothing is installed in {contents.os}"
                )
            return image, ()
        name = f"{_DERIVED_FORMAT}\n{image.digest}\n{chr(10).join(wanted)}"
        reference = f"{_DERIVED}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        derived = self._images.find(reference, image.arch)
        if not derived.here:
            with self._images.alone(reference):
                derived = self._images.find(reference, image.arch)
                if not derived.here:
                    self._remove_unused()
                    self._install(image, contents, wanted, reference, log)
                    derived = self._images.find(reference, image.arch)
        self._used(reference).touch()
        return derived, self._versions(derived, contents, wanted)

    def _used(self, reference: str) -> Path:
        """Return the file whose time is that of a derived image's last use."""
        self._memory.mkdir(parents=True, exist_ok=True)
        return self._memory / f"{reference.rsplit(':', 1)[1]}.used"

    def _remove_unused(self) -> None:
        """Remove derived images that no build has asked for in long: they take much room, and are made anew at need."""
        oldest = time.time() - KEPT_SECONDS
        for used in self._memory.glob("*.used"):
            if used.stat().st_mtime < oldest:
                command = [self._engine.name, "image", "rm", f"{_DERIVED}:{used.stem}"]
                self._processes.run(command, env=self._engine.environment, check=False)
                used.unlink(missing_ok=True)

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
        said = self._processes.run(command, env=self._engine.environment, check=False, timeout=PROBE_SECONDS)
        versions = [line for line in said.output.splitlines() if _package_of(line, wanted)]
        write_atomically(path, "\n".join(versions).encode())
        return versions


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
            f"system packages cannot be fetched in {image.reference}: {last_line(output)}",
            hint="containers need the network once for system-packages; later builds use the image that was kept",
        )
    return BuildError(
        f"system packages cannot be installed in {image.reference}: {last_line(output)}",
        where=f"system-packages.{contents.family}",
        hint="the log has all that the package manager said",
    )


def _package_of(line: str, wanted: Sequence[str]) -> bool:
    """Say whether `libpq-dev=15.3-1` (apt, dnf) or `libpq-dev-15.3-r0` (apk) is one of `wanted`."""
    return any(re.fullmatch(rf"{re.escape(name)}(=|-\d).*", line) for name in wanted)
