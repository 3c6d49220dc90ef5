"""A machine in; what the builders have here, as values that go into JSON and into a fleet's grains, out."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from wheelhouse import __version__
from wheelhouse.builders import Unavailable
from wheelhouse.builders.engine import OCI_PLATFORMS, find_engine
from wheelhouse.builders.interpreters import Interpreters
from wheelhouse.builders.toolchain import CROSS_ARCHS, Compilers
from wheelhouse.target import known_identifiers, native_arch, native_family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.process import Processes


def capabilities(processes: Processes, environment: Mapping[str, str], *, cache: Path) -> dict[str, Any]:
    """Return version, architecture, C library, engine, emulated and cross-compiled architectures, Pythons, memory."""
    import psutil  # noqa: PLC0415 - start-up time

    libc, libc_version = platform.libc_ver()
    arch = native_arch()
    engine = find_engine(processes, environment)
    emulates: list[str] = []
    name = ""
    if not isinstance(engine, Unavailable):
        name = engine.name
        emulates = [other for other in OCI_PLATFORMS if other != arch and engine.cannot_run(other) is None]
    compilers = Compilers(processes, environment, cache)
    crosses = sorted(CROSS_ARCHS - {arch}) if compilers.zig is not None and arch in CROSS_ARCHS else []
    return {
        "version": __version__,
        "arch": arch,
        "libc": "musl" if native_family() == "musllinux" else libc or "glibc",
        "libc_version": libc_version,
        "engine": name,
        "emulates": emulates,
        "crosses": crosses,
        "pythons": _pythons(Interpreters(processes, environment, cache), compilers, arch),
        "memory": psutil.virtual_memory().total,
    }


def _pythons(interpreters: Interpreters, compilers: Compilers, arch: str) -> list[str]:
    """Return the Pythons that the host builder can build for, natively."""
    family = native_family()
    natives = {
        target.python_version: target
        for target in known_identifiers().values()
        if target.family == family and target.arch == arch and target.implementation == "cp"
    }
    found = []
    for version, target in natives.items():
        python = interpreters.find(target)
        if not isinstance(python, Unavailable) and compilers.unavailable(target, python) is None:
            found.append(version)
    return found
