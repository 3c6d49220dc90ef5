"""Platform tags and the binaries in; where a tag promises more than the binaries keep, out.

The rules are auditwheel's policies (PEP 600, 656): symbol versions, allowed libraries, forbidden symbols. They are
applied here to facts that are at hand already: auditwheel's own command unpacks the wheel and resolves every library on
the machine it runs on, which costs from 0.1 to 8 seconds and lets that machine into the answer. A test holds the two
together.
"""

from __future__ import annotations

import functools
import logging
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditwheel.policy import Policy, WheelPolicies

    from wheelhouse.check.contents import Contents
    from wheelhouse.check.elf import Elf
    from wheelhouse.finding import Finding

_LINUX = re.compile(
    r"(?P<family>manylinux|musllinux)(?:_(?P<major>\d+)_(?P<minor>\d+)|(?P<year>1|2010|2014))_(?P<arch>\w+)"
)
#: What the old names of manylinux mean (PEP 600).
_OLD_NAMES = {"1": (2, 5), "2010": (2, 12), "2014": (2, 17)}
_LOADER = ("ld-linux", "ld64.so", "ld-musl")
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_ELSEWHERE = (
    "macosx",
    "win",
    "ios",
    "android",
    "pyodide",
    "wasm",
    "emscripten",
    "freebsd",
    "openbsd",
    "netbsd",
    "graal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxTag:
    """A manylinux or musllinux platform tag."""

    family: str
    version: tuple[int, int]
    arch: str

    @classmethod
    def parse(cls, platform: str) -> LinuxTag | None:
        """Parse a platform tag; None for one that is neither."""
        found = _LINUX.fullmatch(platform)
        if found is None or (found["year"] and found["family"] == "musllinux"):
            return None
        version = _OLD_NAMES[found["year"]] if found["year"] else (int(found["major"]), int(found["minor"]))
        return cls(family=found["family"], version=version, arch=found["arch"])

    def __str__(self) -> str:
        """Return the tag by its PEP 600 or 656 name."""
        return f"{self.family}_{self.version[0]}_{self.version[1]}_{self.arch}"


def check_promise(contents: Contents, exclude: tuple[str, ...]) -> Iterator[Finding]:
    """Hold every platform tag against the binaries. `exclude` are libraries left to the machine that installs."""
    if not contents.binaries:
        return
    tags: set[LinuxTag] = set()
    for platform in contents.platforms:
        tag = LinuxTag.parse(platform)
        if tag is not None:
            tags.add(tag)
        elif platform == "any":
            yield from _binary_in_any(contents)
        elif platform.startswith("linux_"):
            yield Code.LINUX_TAG.finding(
                f"has the tag {platform}, which says nothing of the C library", hint="`wheelhouse repair` finds the tag"
            )
            yield from _architecture(contents, platform.removeprefix("linux_"))
    for arch in sorted({tag.arch for tag in tags}):
        yield from _architecture(contents, arch)
        # The oldest tag promises most: what it keeps, the others keep.
        for family in ("manylinux", "musllinux"):
            claims = [tag for tag in tags if tag.arch == arch and tag.family == family]
            if claims:
                yield from _claim(min(claims, key=lambda tag: tag.version), contents, exclude)


def is_elsewhere(platform: str) -> bool:
    """Say whether a platform tag is of a system whose binaries are not ELF files of Linux."""
    return platform.startswith(_ELSEWHERE)


def _binary_in_any(contents: Contents) -> Iterator[Finding]:
    for member, _ in contents.binaries:
        yield Code.BINARY_IN_ANY.finding(
            "a binary, in a wheel for any platform", where=member.name, hint="`wheelhouse repair` gives it its tag"
        )


def _architecture(contents: Contents, arch: str) -> Iterator[Finding]:
    for member, elf in contents.binaries:
        if elf.arch != arch:
            yield Code.ARCHITECTURE.finding(f"is for {elf.arch}, the tag is for {arch}", where=member.name)


def _claim(tag: LinuxTag, contents: Contents, exclude: tuple[str, ...]) -> Iterator[Finding]:
    policy = _policy(tag)
    if policy is None:
        yield Code.PLATFORM_TAG.finding(f"no policy is known for {tag}", hint="PEP 600, PEP 656")
        return
    broken = [
        (member.name, problem)
        for member, elf in contents.binaries
        for problem in problems(elf, policy, tag, inside=_inside(contents), exclude=exclude)
    ]
    if not broken:
        return
    kept = best_policy(contents, tag, exclude)
    hint = f"the binaries keep {kept}" if kept else "`wheelhouse repair` grafts what is missing; no tag fits as it is"
    for name, problem in broken:
        yield Code.PLATFORM_TAG.finding(f"{problem}: more than {tag} gives", where=name, hint=hint)


def _inside(contents: Contents) -> frozenset[str]:
    """Return the names by which libraries in the wheel are found, and those that need them."""
    return frozenset(
        name for member, elf in contents.binaries for name in (member.name.rpartition("/")[2], elf.soname) if name
    )


def problems(
    elf: Elf, policy: Policy, tag: LinuxTag, *, inside: frozenset[str], exclude: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield what a binary needs and a policy does not give."""
    if elf.arch != tag.arch:
        return  # said already
    for library in elf.needed:
        outside = library not in policy.whitelist and library not in inside and not library.startswith(_LOADER)
        if outside and not any(fnmatch(library, pattern) for pattern in exclude):
            yield f"needs {library}, which is not in the wheel"
    for library, version in sorted(elf.versions):
        if not library.startswith(_LOADER) and library not in inside and not _has_version(policy, tag, version):
            yield f"needs {version} of {library}"
    if elf.level is not None:
        yield f"needs a processor of level {elf.level}"
    if "PyFPE_jbuf" in elf.undefined:
        yield "needs PyFPE_jbuf of a Python built with fpectl"
    yield from _forbidden(elf, policy, inside)


def _has_version(policy: Policy, tag: LinuxTag, version: str) -> bool:
    prefix, _, number = version.partition("_")
    known = policy.symbol_versions.get(prefix)
    return (known is None or number in known) and not _too_new(version, tag)


def _forbidden(elf: Elf, policy: Policy, inside: frozenset[str]) -> Iterator[str]:
    """Yield symbols that not every build of a library has; auditwheel lets grafted libraries use them."""
    if elf.soname in inside and not elf.is_extension:
        return
    for library in sorted(policy.blacklist.keys() & set(elf.needed)):
        if symbols := sorted(policy.blacklist[library] & elf.undefined):
            yield f"needs {', '.join(symbols)} of {library}, which not every {library} has"


def _too_new(version: str, tag: LinuxTag) -> bool:
    found = _GLIBC.fullmatch(version)
    return found is not None and tag.family == "manylinux" and (int(found[1]), int(found[2])) > tag.version


def best_policy(contents: Contents, like: LinuxTag, exclude: tuple[str, ...] = ()) -> str | None:
    """Return the most portable tag that all binaries keep, of the family and architecture of `like`; None: none."""
    policies = _policies(like.family, like.arch, None)
    if policies is None:
        return None
    inside = _inside(contents)
    for policy in sorted(policies, key=lambda policy: policy.priority, reverse=True):
        tag = LinuxTag.parse(policy.name)
        if tag is not None and not any(
            True for _, elf in contents.binaries for _ in problems(elf, policy, tag, inside=inside, exclude=exclude)
        ):
            return str(policy.name)
    return None


def _policy(tag: LinuxTag) -> Policy | None:
    """Return the policy of a tag; for a glibc between two policies that of the next newer one."""
    policies = _policies(tag.family, tag.arch, f"musllinux_{tag.version[0]}_{tag.version[1]}")
    if policies is None:
        return None
    known = [(parsed.version, policy) for policy in policies if (parsed := LinuxTag.parse(policy.name)) is not None]
    return next((policy for version, policy in sorted(known, key=lambda pair: pair[0]) if version >= tag.version), None)


@functools.cache  # auditwheel validates its whole policy file each time it loads it
def _policies(family: str, arch: str, musl_policy: str | None) -> WheelPolicies | None:
    # A quarter of a second, only for wheels that hold binaries.
    from auditwheel.architecture import Architecture  # noqa: PLC0415
    from auditwheel.libc import Libc  # noqa: PLC0415
    from auditwheel.policy import WheelPolicies  # noqa: PLC0415

    libc = Libc.GLIBC if family == "manylinux" else Libc.MUSL
    # auditwheel remarks on the machine's own musl; these are the wheel's affairs.
    logging.getLogger("auditwheel").addHandler(logging.NullHandler())
    try:
        policies = WheelPolicies(
            libc=libc, arch=Architecture(arch), musl_policy=musl_policy if libc is Libc.MUSL else None
        )
    except (ValueError, AssertionError, IndexError):
        return None
    return policies
