"""The binaries of a wheel in, findings out on each: how it is linked, what it leaks, whether Python will find it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wheelhouse.check.codes import Code
from wheelhouse.check.promise import is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.tags import Tag

    from wheelhouse.check.contents import Contents, Expectation, Member
    from wheelhouse.check.elf import Elf
    from wheelhouse.finding import Finding

#: `_x.cpython-313t-x86_64-linux-gnu.so`, `_x.pypy310-pp73-x86_64-linux-gnu.so`, `_x.abi3.so`
_SUFFIX = re.compile(
    r"[^/.]+\.(?:cpython-(?P<cpython>3\d+t?)(?P<flags>[dmu]*)|(?P<pypy>pypy3\d+)-pp\d+)-(?P<triplet>[\w-]+)\.so"
)
#: Where Debian's multiarch triplets, which CPython uses, differ from platform tags.
_TRIPLETS = {
    "i386": "i686",
    "powerpc64le": "ppc64le",
    "powerpc64": "ppc64",
    "arm": "armv7l",
    "loongarch64": "loongarch64",
}
_FOREIGN_SUFFIXES = (".pyd", ".dll", ".dylib")
_DEFAULT_EXECUTABLE = {"x86_64", "i686"}
_MEGABYTE = 1e6


def check_binaries(contents: Contents, expectation: Expectation | None) -> Iterator[Finding]:
    """Look at every binary on its own, and for one at all where the recipe expects it."""
    for member, elf in contents.binaries:
        yield from _linking(member, elf)
        yield from _suffix(member.name, contents)
    for member in contents.members:
        if member.build_paths:
            yield Code.BUILD_PATH.finding(
                f"holds paths of the machine that built it: {', '.join(member.build_paths)}",
                where=member.name,
                hint="-ffile-prefix-map, or strip the debug sections",
            )
    yield from _debug(contents)
    elsewhere = all(is_elsewhere(platform) for platform in contents.platforms)
    if elsewhere and any(member.name.endswith((*_FOREIGN_SUFFIXES, ".so")) for member in contents.members):
        yield Code.UNKNOWN_BINARY.finding(f"binaries for {', '.join(contents.platforms)} are not looked into")
    elif expectation is not None and expectation.extension and not contents.binaries and not elsewhere:
        yield Code.NO_EXTENSION.finding(
            "holds no extension module or executable",
            hint="the build went on without it, often for want of a header: see the log; "
            "or set `build.extension = false` in the recipe",
        )


def _linking(member: Member, elf: Elf) -> Iterator[Finding]:
    leaks = [entry for entry in elf.rpath if not entry.startswith(("$ORIGIN", "${ORIGIN}"))]
    if leaks:
        yield Code.RPATH.finding(
            f"looks for libraries in {', '.join(entry or 'the current folder' for entry in leaks)}",
            where=member.name,
            hint="`patchelf --remove-rpath`; a Python built with --enable-shared passes its own path on",
        )
    escapes = [entry for entry in elf.rpath if entry not in leaks and _leaves(member.name, entry)]
    if escapes:
        yield Code.RPATH.finding(f"looks for libraries outside site-packages: {', '.join(escapes)}", where=member.name)
    if elf.stack == "executable" or (elf.stack == "unmarked" and elf.arch in _DEFAULT_EXECUTABLE):
        yield Code.EXECUTABLE_STACK.finding(
            "asks for an executable stack" if elf.stack == "executable" else "does not say that its stack is no code",
            where=member.name,
            hint="glibc 2.41 and later refuse to load it; link with `-Wl,-z,noexecstack`",
        )
    if elf.text_relocations:
        yield Code.TEXT_RELOCATIONS.finding(
            "has text relocations", where=member.name, hint="hardened systems refuse to load it; compile with -fPIC"
        )
    if not elf.relro:
        yield Code.HARDENING.finding("has no RELRO", where=member.name, hint="link with `-Wl,-z,relro`")


def _leaves(name: str, entry: str) -> bool:
    """Say whether an `$ORIGIN` path leaves the folder that the wheel is installed in."""
    depth = name.count("/")
    parts = name.split("/")
    if len(parts) > 2 and parts[0].endswith(".data"):  # noqa: PLR2004 - x.data/scripts/…: not under site-packages
        return False
    for part in re.sub(r"^\$(ORIGIN|\{ORIGIN\})", "", entry).split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def _suffix(name: str, contents: Contents) -> Iterator[Finding]:
    file = name.rpartition("/")[2]
    found = _SUFFIX.fullmatch(file)
    tags = contents.name.tags
    if found is None or all(tag.abi == "none" for tag in tags):
        return  # plain .so and .abi3.so are found by every Python; no ABI tag: no promise for a certain Python
    python = f"cp{found['cpython']}{found['flags']}" if found["cpython"] else found["pypy"].replace("pypy", "pp")
    if not any(_loads(python, tag) for tag in tags):
        wheel = ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags}))
        yield Code.SUFFIX.finding(f"is for {python}, the wheel for {wheel}", where=name)
    machine = found["triplet"].partition("-")[0]
    arch = _TRIPLETS.get(machine, machine)
    if not any(platform.endswith(f"_{arch}") or platform == "any" for platform in contents.platforms):
        yield Code.SUFFIX.finding(
            f"is named for {found['triplet']}, the wheel is for {', '.join(contents.platforms)}", where=name
        )


def _loads(python: str, tag: Tag) -> bool:
    """Say whether the one Python that finds such a suffix is the one of the tag."""
    if python.startswith("pp"):
        return tag.interpreter == python
    # abi3 promises every later Python too, so a suffix for one Python breaks it.
    return tag.abi == python


def _debug(contents: Contents) -> Iterator[Finding]:
    sizes = {member.name: elf.debug_size for member, elf in contents.binaries if elf.debug_size}
    if sizes:
        largest = max(sizes, key=lambda name: sizes[name])
        yield Code.DEBUG_SECTIONS.finding(
            f"debug sections of {sum(sizes.values()) / _MEGABYTE:.2f} MB, the largest here",
            where=largest,
            hint="`repair.strip = true` drops them",
        )
