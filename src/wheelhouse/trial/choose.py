"""A target and a wheel in; what can run it here, or why nothing can, out.

A minimal container comes first, because nothing of the machine is in it; then a Python of this machine; then emulation;
then the image that the wheel was built in, which has more in it than a machine that installs it.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wheelhouse.builders.engine import Engine, find_engine, oci_platform
from wheelhouse.errors import BuildTimeoutError, MachineError
from wheelhouse.target import native_arch, native_family
from wheelhouse.trial.compatibility import needed_glibc
from wheelhouse.trial.interpreter import Container, Emulated, Host
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wheelhouse.builders import Unavailable, interpreters
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.trial.interpreter import Interpreter

#: `WHEELHOUSE_SYSROOT_AARCH64` names the folder with the libraries and Pythons of an architecture that is emulated.
ENVIRONMENT_SYSROOT = "WHEELHOUSE_SYSROOT_"
_EMULATORS = {"i686": "i386", "armv7l": "arm"}
_PYTHON_FOLDERS = ("usr/local/bin", "usr/bin")
_GLIBC_BANNER = re.compile(rb"GNU C Library .{0,80}?version (\d+)\.(\d+)")
_INVENTORY_SECONDS = 120.0
#: Says the glibc of an image, and where each of its Pythons really is.
_INVENTORY = """\
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
for python in /opt/python/*/bin/python /usr/local/bin/python3.* /usr/bin/python3.*; do
  if [ -x "$python" ]; then
    echo "python $python $(readlink -f "$python")"
    [ -n "$libc" ] || libc=$("$python" -c 'import os; print(os.confstr("CS_GNU_LIBC_VERSION"))' 2>/dev/null)
  fi
done
echo "libc $libc"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotExecuted:
    """Why a wheel cannot be run here."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an image has."""

    glibc: tuple[int, int] | None
    pythons: Mapping[str, PurePosixPath]
    """`python3.13t`, or `cp313-cp313t` as manylinux images name them -> the executable, links followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where wheels can be tried: one object a run. Images are looked into once each."""

    pythons: Callable[[], Iterable[interpreters.Interpreter]]
    """The Pythons of this machine."""
    engine: Engine | None
    images: Mapping[str, str]
    """Minimal image by platform tag (`test-images`)."""
    environment: Mapping[str, str]
    processes: Processes
    _inventories: dict[tuple[str, str | None], Inventory | str] = field(default_factory=dict)
    _engines: list[Engine | Unavailable] = field(default_factory=list)
    """The one of this machine, once somebody has asked for it."""

    def any_engine(self) -> Engine | None:
        """Return the engine that there is, whether or not it was wanted for tests."""
        if self.engine is None and not self._engines:
            self._engines.append(find_engine(self.processes, self.environment))
        found = self.engine or self._engines[0]
        return found if isinstance(found, Engine) else None

    def inventory(self, engine: Engine, image: str, platform: str | None) -> Inventory | str:
        """Return what an image has, or why that cannot be said."""
        known = self._inventories.get((image, platform))
        if known is None:
            known = self._look_into(engine, image, platform)
            self._inventories[image, platform] = known
        return known

    def _look_into(self, engine: Engine, image: str, platform: str | None) -> Inventory | str:
        command = engine.run_command(image, ["sh", "-c", _INVENTORY], platform=platform)
        try:
            done = self.processes.run(command, env=engine.environment, check=False, timeout=_INVENTORY_SECONDS)
        except (BuildTimeoutError, MachineError) as error:
            return error.message
        lines = done.output.splitlines()
        if done.returncode != 0 or not any(line.startswith("libc") for line in lines):
            return next((line for line in reversed(lines) if line.strip()), f"status {done.returncode}")
        return _parse_inventory(lines)


def choose(
    target: BuildIdentifier, wheel: Path, surroundings: Surroundings, *, built_in: str | None = None
) -> Interpreter | NotExecuted:
    """Return what runs a wheel of this target, the cleanest first; or why nothing here can.

    `built_in` is the image that it was built in, if there was one.

    Raises InvalidWheelError (the filename), CanceledError.
    """
    glibc = needed_glibc(WheelName.parse(wheel.name).tags)
    reasons: list[str] = []
    for option in (_container, _host, _emulated):
        found = option(target, glibc, surroundings)
        if isinstance(found, Host):
            # Whoever asked for a container learns why it was not used.
            return replace(found, instead="; ".join(reason for reason in reasons if reason))
        if not isinstance(found, NotExecuted):
            return found
        reasons.append(found.reason)
    if built_in is not None:
        found = _where_it_was_built(built_in, target, glibc, surroundings)
        if not isinstance(found, NotExecuted):
            return found
        reasons.append(found.reason)
    return NotExecuted(reason="; ".join(reason for reason in reasons if reason))


def _container(
    target: BuildIdentifier, glibc: tuple[int, int] | None, surroundings: Surroundings
) -> Interpreter | NotExecuted:
    image, engine = surroundings.images.get(target.platform_tag), surroundings.engine
    if image is None or not target.is_linux:
        return NotExecuted(reason="")
    if engine is None:
        return NotExecuted(reason=f"no container engine for {image}")
    if (refusal := engine.cannot_run(target.arch)) is not None:
        return NotExecuted(reason=refusal.reason)
    return _in_image(engine, image, target, glibc, surroundings)


def _where_it_was_built(
    image: str, target: BuildIdentifier, glibc: tuple[int, int] | None, surroundings: Surroundings
) -> Interpreter | NotExecuted:
    engine = surroundings.any_engine()
    if engine is None or not target.is_linux or engine.cannot_run(target.arch) is not None:
        return NotExecuted(reason="")
    return _in_image(engine, image, target, glibc, surroundings)


def _in_image(
    engine: Engine,
    image: str,
    target: BuildIdentifier,
    glibc: tuple[int, int] | None,
    surroundings: Surroundings,
) -> Interpreter | NotExecuted:
    platform = None if target.arch == engine.arch else oci_platform(target.arch)
    inventory = surroundings.inventory(engine, image, platform)
    if isinstance(inventory, str):
        return NotExecuted(reason=f"{image} cannot be looked into: {inventory}")
    if (refused := _too_old(image, inventory.glibc, glibc)) is not None:
        return refused
    names = (f"{target.python_tag}-{target.abi_tag}", f"python{target.python_version}")
    executable = next((inventory.pythons[name] for name in names if name in inventory.pythons), None)
    if executable is None or target.implementation != "cp":
        return NotExecuted(reason=f"{image} has no {names[0]}")
    return Container(engine=engine, image=image, executable=executable, platform=platform)


def _host(
    target: BuildIdentifier, glibc: tuple[int, int] | None, surroundings: Surroundings
) -> Interpreter | NotExecuted:
    if os.name != "posix" or target.family != native_family() or target.arch != native_arch():
        return NotExecuted(reason=f"this machine is {native_family()}_{native_arch()}")
    if (refused := _too_old("this machine", host_glibc(), glibc)) is not None:
        return refused
    libc = "musl" if target.family == "musllinux" else "glibc"
    for python in surroundings.pythons():
        if python.serves(target) and python.arch == target.arch and (not target.is_linux or python.libc == libc):
            return Host(executable=python.executable, version=python.version_text)
    return NotExecuted(reason=f"no Python {target.python_version} on this machine")


def _emulated(
    target: BuildIdentifier, glibc: tuple[int, int] | None, surroundings: Surroundings
) -> Interpreter | NotExecuted:
    if target.arch == native_arch() or not target.is_linux or target.implementation != "cp":
        return NotExecuted(reason="")
    variable = f"{ENVIRONMENT_SYSROOT}{target.arch.upper()}"
    folder = surroundings.environment.get(variable)
    if not folder:
        return NotExecuted(reason=f"no emulation ({variable} is not set)")
    sysroot = Path(folder).absolute()
    arch = _EMULATORS.get(target.arch, target.arch)
    path = surroundings.environment.get("PATH")
    emulator = next((e for n in ("-static", "") if (e := shutil.which(f"qemu-{arch}{n}", path=path))), None)
    if emulator is None:
        return NotExecuted(reason=f"qemu-{arch} is not on PATH")
    if (refused := _too_old(str(sysroot), sysroot_glibc(sysroot), glibc)) is not None:
        return refused
    for place in _PYTHON_FOLDERS:
        executable = sysroot / place / f"python{target.python_version}"
        if executable.is_file():
            return Emulated(emulator=Path(emulator), sysroot=sysroot, executable=executable)
    return NotExecuted(reason=f"{sysroot} has no python{target.python_version}")


def _too_old(where: str, has: tuple[int, int] | None, needs: tuple[int, int] | None) -> NotExecuted | None:
    if needs is None or (has is not None and has >= needs):
        return None
    found = f"glibc {has[0]}.{has[1]}" if has is not None else "no glibc"
    return NotExecuted(reason=f"the wheel needs glibc {needs[0]}.{needs[1]}, {where} has {found}")


def host_glibc() -> tuple[int, int] | None:
    """Return the glibc of this machine; None where it has another C library."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        return None
    return _version(name or "")


def sysroot_glibc(sysroot: Path) -> tuple[int, int] | None:
    """Return the glibc of a tree of another architecture, from the banner that libc.so.6 prints when it is run."""
    for folder in ("lib", "lib64", "usr/lib", "usr/lib64"):
        # Debian keeps libraries in folders by architecture, one level down.
        places = [sysroot / folder, *sorted((sysroot / folder).glob("*-linux-gnu*"))]
        for path in (place / "libc.so.6" for place in places if (place / "libc.so.6").is_file()):
            if (found := _GLIBC_BANNER.search(path.read_bytes())) is not None:
                return int(found[1]), int(found[2])
    return None


def _parse_inventory(lines: Iterable[str]) -> Inventory:
    glibc: tuple[int, int] | None = None
    pythons: dict[str, PurePosixPath] = {}
    for line in lines:
        match line.split():
            case ["libc", "glibc", version]:
                glibc = _version(version)
            case ["python", path, real]:
                place = PurePosixPath(path)
                name = place.parts[3] if place.is_relative_to("/opt/python") else place.name
                pythons.setdefault(name, PurePosixPath(real))
            case _:
                pass
    return Inventory(glibc=glibc, pythons=pythons)


def _version(text: str) -> tuple[int, int] | None:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
