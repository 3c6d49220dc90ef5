"""A build identifier in; what uv and packaging call the machine that its build runs on out.

Build requirements run where the build runs: in the container or on the machine of the target. What is only ever
cross-built (Pyodide, Android, iOS) builds with this machine's own wheels.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from packaging.tags import Tag, compatible_tags, cpython_tags, generic_tags, mac_platforms

from wheelhouse.target import native_arch, native_family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.markers import Environment

    from wheelhouse.target import BuildIdentifier

#: The glibc that today's build images have at least (cibuildwheel's default is manylinux_2_28), by architecture.
_GLIBC = {"i686": 17, "armv7l": 31, "riscv64": 39, "loongarch64": 38}
_GLIBC_DEFAULT = 28
_OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
_OLDEST_GLIBC_DEFAULT = 17
_LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
_MUSL_MINOR = 2
_PYPY_ABI = 73
#: What `uv pip compile --python-platform` knows beyond `<arch>-manylinux_2_N` (uv 0.13). Where a key is missing, uv
#: resolves for all platforms and the wheels are picked by tag.
_UV = {
    "manylinux_riscv64": "riscv64-unknown-linux",
    "musllinux_x86_64": "x86_64-unknown-linux-musl",
    "musllinux_aarch64": "aarch64-unknown-linux-musl",
    "macosx_x86_64": "x86_64-apple-darwin",
    "macosx_arm64": "aarch64-apple-darwin",
    "win_AMD64": "x86_64-pc-windows-msvc",
    "win_x86": "i686-pc-windows-msvc",
    "win_ARM64": "aarch64-pc-windows-msvc",
}
_UV_MANYLINUX_ARCHS = frozenset({"x86_64", "aarch64"})
_UV_MANYLINUX = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_WIN_TAGS = {"AMD64": "win_amd64", "x86": "win32", "ARM64": "win_arm64"}
_MAC_VERSION = {"x86_64": (13, 0), "arm64": (14, 0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A Python on an operating system and architecture, as the resolver and the wheel's tags see it."""

    name: str
    """As a platform tag without Python, e.g. `manylinux_2_28_x86_64`; part of the question that a lock answers."""
    uv: str | None
    """For `--python-platform`; None: uv has no name for it."""
    tags: tuple[Tag, ...]
    """Best first."""
    environment: Environment


@functools.cache  # a plan asks for few platforms, thousands of times
def platform_of(target: BuildIdentifier, *, image: str | None = None) -> Platform:
    """Return the platform that the target's build requirements run on.

    `image` is the build image, whose name may tell its glibc (`manylinux2014`, `manylinux_2_34`).
    """
    family, arch = target.family, target.arch
    if family in {"pyodide", "android", "ios"}:
        family, arch = native_family(), native_arch()
    if arch == "universal2":
        arch = native_arch() if native_family() == "macosx" else "arm64"
    platforms = tuple(_platforms(family, arch, image))
    return Platform(
        name=platforms[0],
        uv=_uv_name(family, arch, image) if target.implementation == "cp" and not target.freethreaded else None,
        tags=tuple(_tags(target, platforms)),
        environment=_environment(target, family, arch),
    )


def _glibc(arch: str, image: str | None) -> int:
    found = re.search(r"manylinux(?:_2_(\d+)|(2014))", image or "")
    if found is None:
        return _GLIBC.get(arch, _GLIBC_DEFAULT)
    return int(found[1]) if found[1] else 17


def _uv_name(family: str, arch: str, image: str | None) -> str | None:
    if family == "manylinux" and arch in _UV_MANYLINUX_ARCHS:
        glibc = _glibc(arch, image)
        minor = max((known for known in _UV_MANYLINUX if known <= glibc), default=_UV_MANYLINUX[0])
        return f"{arch}-manylinux_2_{minor}"
    return _UV.get(f"{family}_{arch}")


def _platforms(family: str, arch: str, image: str | None) -> Iterator[str]:
    if family == "manylinux":
        for minor in range(_glibc(arch, image), _OLDEST_GLIBC.get(arch, _OLDEST_GLIBC_DEFAULT) - 1, -1):
            yield f"manylinux_2_{minor}_{arch}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{arch}"
        yield f"linux_{arch}"
    elif family == "musllinux":
        for minor in range(_MUSL_MINOR, -1, -1):
            yield f"musllinux_1_{minor}_{arch}"
        yield f"linux_{arch}"
    elif family == "macosx":
        yield from mac_platforms(_MAC_VERSION.get(arch, (14, 0)), arch)
    else:
        yield _WIN_TAGS.get(arch, "win_amd64")


def _tags(target: BuildIdentifier, platforms: tuple[str, ...]) -> Iterator[Tag]:
    if target.implementation == "cp":
        yield from cpython_tags(target.python, abis=[target.abi_tag], platforms=platforms)
    else:
        yield from generic_tags(target.python_tag, abis=_other_abis(target), platforms=platforms)
    yield from compatible_tags(target.python, target.python_tag, platforms)


def _other_abis(target: BuildIdentifier) -> list[str]:
    """Return the ABI tags of PyPy and GraalPy; a GraalPy's number stands in its identifier, as in `gp312_250`."""
    python = f"{target.python[0]}{target.python[1]}"
    if target.implementation == "pp":
        return [f"pypy{python}_pp{_PYPY_ABI}"]
    number = target.text.partition("-")[0].rpartition("_")[2]
    return [f"graalpy{number}_{python}_native"]


def _environment(target: BuildIdentifier, family: str, arch: str) -> Environment:
    system, sys_platform, os_name = {
        "macosx": ("Darwin", "darwin", "posix"),
        "win": ("Windows", "win32", "nt"),
    }.get(family, ("Linux", "linux", "posix"))
    implementation, name = {"pp": ("PyPy", "pypy"), "gp": ("GraalVM", "graalpy")}.get(
        target.implementation, ("CPython", "cpython")
    )
    version = f"{target.python[0]}.{target.python[1]}"
    return cast(
        "Environment",
        {
            "implementation_name": name,
            "implementation_version": f"{version}.0",
            "os_name": os_name,
            "platform_machine": arch,
            "platform_python_implementation": implementation,
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": sys_platform,
        },
    )
