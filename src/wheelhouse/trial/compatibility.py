"""A wheel's tags and a build identifier in; whether the target's installers take the wheel, and its glibc, out."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from packaging.tags import compatible_tags, cpython_tags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.tags import Tag

    from wheelhouse.target import BuildIdentifier

#: glibc of the names that PEP 600 replaced.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_PERENNIAL = re.compile(r"manylinux_(\d+)_(\d+)_\w+")


def fits(tags: Iterable[Tag], target: BuildIdentifier) -> bool:
    """Say whether one of a wheel's tags is for the Python, ABI, libc and architecture of `target`."""
    return any(_python_fits(tag, target) and _platform_fits(tag.platform, target) for tag in tags)


def _python_fits(tag: Tag, target: BuildIdentifier) -> bool:
    if target.implementation != "cp" and tag.interpreter in {
        target.python_tag,
        f"graalpy{target.python[0]}{target.python[1]}",
    }:
        return True  # their ABI tags name a release, which a build identifier does not
    return (tag.interpreter, tag.abi) in _python_and_abi(target)


@functools.cache
def _python_and_abi(target: BuildIdentifier) -> frozenset[tuple[str, str]]:
    tags = list(compatible_tags(python_version=target.python, interpreter=target.python_tag, platforms=["any"]))
    if target.implementation == "cp":
        tags += cpython_tags(python_version=target.python, abis=[target.abi_tag], platforms=["any"])
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def _platform_fits(platform: str, target: BuildIdentifier) -> bool:
    if platform == "any" or not target.is_linux:
        return True  # other platforms' installers are asked themselves
    if not platform.endswith(f"_{target.arch}"):
        return False
    return platform == f"linux_{target.arch}" or platform.startswith(target.family)


def needed_glibc(tags: Iterable[Tag]) -> tuple[int, int] | None:
    """Return the lowest glibc that a wheel's tags ask for (PEP 600); None where they name none."""
    found = [version for tag in tags if (version := _glibc(tag.platform)) is not None]
    return min(found, default=None)


def _glibc(platform: str) -> tuple[int, int] | None:
    if match := _PERENNIAL.fullmatch(platform):
        return int(match[1]), int(match[2])
    return _LEGACY.get(platform.split("_", 1)[0])
