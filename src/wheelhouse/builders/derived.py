"""An image and system packages in, an image that has them too out: made once for all Pythons, kept while used."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wheelhouse.builders.engine import oci_platform
from wheelhouse.builders.image import last_line
from wheelhouse.builders.kept import KEPT_SECONDS
from wheelhouse.builders.packages import PackageLists
from wheelhouse.errors import BuildError, MachineError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
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
_DERIVED_FORMAT = "2"
_DERIVED = "localhost/wheelhouse/derived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """An image with system packages on top of another."""

    image: Image
    """Named by its digest: its name may be given to a newer one meanwhile."""
    packages: Mapping[str, str]
    """What it has beyond its base, name to version: what was asked for, and what came with that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """A derived image that is wanted."""

    base: Image
    contents: Contents
    """Of the base."""
    packages: tuple[str, ...]
    """Sorted: their order changes nothing."""

    @property
    def reference(self) -> str:
        """The name of the newest such image."""
        name = "\n".join((_DERIVED_FORMAT, self.base.arch, self.base.digest or "", *self.packages))
        return f"{_DERIVED}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"

    def met(self, digest: str, before: Mapping[str, str], now: Mapping[str, str]) -> Derived:
        """Return the image with this digest, from what the base has installed and what it has."""
        beyond = {name: version for name, version in now.items() if before.get(name) != version}
        return Derived(image=replace(self.base, reference=digest, digest=digest), packages=beyond)


class DerivedImages:
    """Images of one engine with system packages on top. Remembers in the cache when each was last used.

    One object a run, safe to use from many threads: all jobs of a run see the same image.
    """

    def __init__(self, images: Images, engine: Engine, processes: Processes, cache: Path) -> None:
        self._images = images
        self._engine = engine
        self._processes = processes
        self._memory = cache / "images"
        self._lists = PackageLists(engine, processes, cache)
        self._known: dict[str, Derived] = {}
        """By reference: what this run has looked up or made."""
        self._anew: set[str] = set()
        """References that this run has made anew because that was asked for."""
        self._listed: Mapping[str, str] | None = None

    def known(self, image: Image, packages: SystemPackages) -> Derived | None:
        """Return the image with these packages if it is here and known; None: it has to be made or looked into.

        Asks the engine once a run for all there are, and makes none.
        """
        wish = self._wish(image, packages)
        if wish is None:
            return Derived(image=image, packages={})
        reference = wish.reference
        if reference not in self._known:
            if self._listed is None:
                self._listed = self._list()
            digest, before = self._listed.get(reference), self._lists.recall(image.digest or "")
            now = self._lists.recall(digest) if digest else None
            if digest is None or before is None or now is None:
                return None
            self._known[reference] = wish.met(digest, before, now)
        return self._known[reference]

    def having(
        self, image: Image, packages: SystemPackages, log: JobLog, *, timeout: float, upgrade: bool = False
    ) -> Derived:
        """Return an image that has the system packages too. Made once for a base and a set of packages.

        With `upgrade` it is made anew, once a run, with the versions that the distribution has now. `timeout` (seconds)
        is for installing them. Raises BuildError naming a package that does not exist, MachineError where the network
        is missing, BuildTimeoutError.
        """
        wish = self._wish(image, packages)
        if wish is None:
            self._tell_of_none(image, packages, log)
            return Derived(image=image, packages={})
        reference = wish.reference
        with self._images.alone(reference):
            outdated = upgrade and reference not in self._anew
            if reference not in self._known or outdated:
                self._known[reference] = self._made(wish, log, timeout, anew=outdated)
                self._anew |= {reference} if upgrade else set()
        self._used(reference).touch()
        return self._known[reference]

    def _wish(self, image: Image, packages: SystemPackages) -> _Wish | None:
        if packages.empty:
            return None
        contents = self._images.contents(image)
        names = getattr(packages, contents.family) if contents.family else ()
        return _Wish(base=image, contents=contents, packages=tuple(sorted(set(names)))) if names else None

    def _tell_of_none(self, image: Image, packages: SystemPackages, log: JobLog) -> None:
        if not packages.empty:
            contents = self._images.contents(image)
            log.line(
                f"no system-packages.{contents.family or '?'} in the recipe: nothing is installed in {contents.os}"
            )

    def _list(self) -> Mapping[str, str]:
        """Return the digests of the derived images that are here, by reference: one question for all."""
        form = "{{.ID}} {{.Repository}}:{{.Tag}}"
        command = [self._engine.name, "images", "--no-trunc", f"--filter=reference={_DERIVED}", f"--format={form}"]
        said = self._processes.run(command, env=self._engine.environment, check=False)
        lines = said.output.splitlines() if said.returncode == 0 else []
        return {reference: digest for digest, _, reference in (line.partition(" ") for line in lines)}

    def _made(self, wish: _Wish, log: JobLog, timeout: float, *, anew: bool) -> Derived:
        found = before = self._images.find(wish.reference, wish.base.arch)
        if anew or not before.here:
            self._remove_unused()
            self._install(wish, log, timeout)
            found = self._images.find(wish.reference, wish.base.arch)
            if before.here and before.digest != found.digest:
                self._remove(before.digest or "")
        assert found.digest is not None  # noqa: S101 - it was just made or found
        assert wish.contents.family is not None  # noqa: S101 - packages are wished of one only
        base, full = (self._lists.read(image, wish.contents.family) for image in (wish.base, found))
        return wish.met(found.digest, base, full)

    def _used(self, reference: str) -> Path:
        """Return the file whose time is that of a derived image's last use."""
        self._memory.mkdir(parents=True, exist_ok=True)
        return self._memory / f"{reference.rsplit(':', 1)[1]}.used"

    def _remove_unused(self) -> None:
        """Remove derived images that no build has asked for in long: they take much room, and are made anew at need."""
        oldest = time.time() - KEPT_SECONDS
        for used in self._memory.glob("*.used"):
            if used.stat().st_mtime < oldest:
                self._remove(f"{_DERIVED}:{used.stem}")
                used.unlink(missing_ok=True)

    def _remove(self, name: str) -> None:
        """Remove an image; one that a container of another run still has stays."""
        self._processes.run([self._engine.name, "image", "rm", name], env=self._engine.environment, check=False)

    def _install(self, wish: _Wish, log: JobLog, timeout: float) -> None:
        contents, image, wanted = wish.contents, wish.base, shlex.join(wish.packages)
        assert contents.installer is not None  # noqa: S101 - packages are wished of one only
        name = f"wheelhouse-{wish.reference.rsplit(':', 1)[1]}"
        log.line(f"installing {wanted} in {image.reference} ({contents.os})")
        engine, env = self._engine, self._engine.environment
        command = engine.run_command(
            image.reference,
            ["sh", "-c", _INSTALL[contents.installer].format(packages=wanted)],
            network=True,
            platform=oci_platform(image.arch),
            name=name,
            keep=True,
        )
        self._processes.run([engine.name, "rm", "--force", name], env=env, check=False)
        try:
            said = self._processes.run(command, env=env, check=False, timeout=timeout)
            log.line(said.output.rstrip())
            if said.returncode != 0:
                raise _install_error(said.output, contents, image)
            shell = '--change=CMD ["/bin/bash"]'
            self._processes.run([engine.name, "commit", shell, name, wish.reference], env=env, log=log.path)
        except Failure as error:
            raise MachineError(f"the image with {wanted} cannot be kept: {error}") from error
        finally:
            engine.remove_named(name)


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
