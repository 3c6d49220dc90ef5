"""How a machine, its network, package managers, auditwheel and patches say that they cannot go on."""

from __future__ import annotations

import re

from wheelhouse.diagnose.clue import Rule, Weight

_QUOTE = "['\"`‘’“”]"
_OWN = frozenset({"source", "requirements"})

LIMITS = (
    Rule(
        kind="out-of-memory",
        pattern=re.compile(
            r"(?P<name>fatal error: Killed|virtual memory exhausted|[Cc]annot allocate memory|std::bad_alloc|LLVM ERROR: out of memory|out of memory|MemoryError\b"
            r"|cc1(?:plus)? terminated with signal 9|signal: 9, SIGKILL|[Kk]illed signal terminated program|exit(?:ed with)? (?:code|status) 137|died with <Signals\.SIGKILL)"
        ),
        message="the machine ran out of memory",
        mend=("resources.memory: 4 GB", "wheelhouse build --jobs 1", 'build.environment: MAX_JOBS = "1"'),
        weight=Weight.DECISIVE,
    ),
    Rule(
        kind="out-of-memory",
        pattern=re.compile(r"^(?:make.*|.*: line \d+:.*)?\b(?P<name>Killed)\b(?:\s|$)"),
        message="a process was killed, most likely because the machine ran out of memory",
        mend=("resources.memory: 4 GB", "wheelhouse build --jobs 1", 'build.environment: MAX_JOBS = "1"'),
        weight=Weight.DECISIVE,
    ),
    Rule(
        kind="disk-full",
        pattern=re.compile(r"(?P<name>No space left on device|Disk quota exceeded|ENOSPC\b|Write error: .*full)"),
        message="the disk is full",
        mend=("make room, or move the caches: WHEELHOUSE_CACHE, TMPDIR",),
        weight=Weight.DECISIVE,
    ),
    Rule(
        kind="timeout",
        pattern=re.compile(r"(?P<name>did not end within \d+ s and was stopped)"),
        message="the build ran longer than it may",
        mend=("resources.timeout: 2h",),
        weight=Weight.DECISIVE,
    ),
    Rule(
        kind="read-only",
        pattern=re.compile(r"Read-only file system: ?(?P<name>\S*)"),
        message="the build writes where it may not ({name})",
    ),
    Rule(
        kind="wrong-architecture",
        pattern=re.compile(r"(?P<name>[Ee]xec format error|cannot execute binary file)"),
        message="a program for another architecture was started, and this machine cannot emulate it",
        mend=("install qemu-user-static and binfmt-support, or build on a machine of that architecture",),
    ),
)

_UNREACHABLE = (
    r"(?P<name>Name or service not known|Temporary failure in name resolution|[Cc]ould not resolve host\S*|[Nn]etwork is unreachable|nodename nor servname provided"
    r"|Failed to establish a new connection|dns error|failed to lookup address information|No route to host|Could not resolve '\S+'|unable to access 'https?://|Connection refused|getaddrinfo failed"
    r"|Failed to connect to \S+|network connectivity is disabled)"
)

NETWORK = (
    Rule(
        kind="no-network",
        pattern=re.compile(_UNREACHABLE),
        message="the package index cannot be reached",
        mend=("index.url: an index that this machine reaches (wheelhouse.toml)", "check proxy and DNS of this machine"),
        stages=_OWN,
    ),
    Rule(
        kind="no-network",
        pattern=re.compile(_UNREACHABLE),
        message="the build wants to download something, and builds have no network",
        mend=(
            "system-packages: the library, so that the build need not download it",
            "build.requires: what it downloads, where that is a package",
            "cibuildwheel.before-all: fetch it by address and hash",
        ),
    ),
)

PACKAGES = (
    Rule(
        kind="unknown-package",
        pattern=re.compile(
            rf"E: (?:Unable to locate package|Package {_QUOTE}?|Couldn't find any package by (?:glob|regex) {_QUOTE}?)\s*(?P<name>[\w.+:-]+)(?:{_QUOTE} has no installation candidate|{_QUOTE}|$)"
        ),
        message="the image's package manager (apt) does not know `{name}`",
        mend=("system-packages.debian: another name for {name}",),
    ),
    Rule(
        kind="unknown-package",
        pattern=re.compile(
            rf"(?:No match for argument: |Unable to find a match: |No package |nothing provides |No matches found for: )(?P<name>[\w.+:-]+)(?: available)?"
        ),
        message="the image's package manager (dnf) does not know `{name}`",
        mend=(
            "system-packages.manylinux: another name for {name}",
            "cibuildwheel.before-all: dnf install -y epel-release",
        ),
    ),
    Rule(
        kind="unknown-package",
        pattern=re.compile(r"^\s+(?P<name>[\w.+:-]+) \(no such package\):"),
        message="the image's package manager (apk) does not know `{name}`",
        mend=("system-packages.musllinux: another name for {name}",),
    ),
)

REPAIR = (
    Rule(
        kind="symbols-too-new",
        pattern=re.compile(
            r"cannot repair .* to (?P<name>\S+) ABI because of the presence of too-recent versioned symbols"
        ),
        message="the extension needs a newer C library than {name} promises",
        mend=("build.toolchain: zig", "images.{platform_tag}: an older image (wheelhouse.toml)"),
    ),
    Rule(
        kind="symbols-too-new",
        pattern=re.compile(
            r"(?P<name>too-recent versioned symbols|depends on black-listed symbols|version `GLIBC(?:XX)?_[\d.]+' not found)"
        ),
        message="the extension needs a newer C library than its tag promises",
        mend=("build.toolchain: zig", "images.{platform_tag}: an older image (wheelhouse.toml)"),
    ),
    Rule(
        kind="wrong-architecture",
        pattern=re.compile(
            r"Invalid binary wheel(?:: no ELF executable or shared library file found|, found the following shared library/libraries in purelib folder:\s*(?P<name>.*))"
        ),
        message="the wheel says that it is pure Python and yet holds a library, or the other way round",
        mend=("build.extension: false",),
    ),
)

SOURCES = (
    Rule(
        kind="patch-failed",
        pattern=re.compile(
            r"(?:Hunk #(?P<name>\d+) FAILED|error: patch failed: (?P<file>\S+)|[Hh]unk (?P<hunk>\d+) .*(?:does not apply|failed|differs))"
        ),
        message="a patch does not apply to this version of the source",
        mend=("source.patches: a patch made for {version}, or `when-version` to leave it out",),
    ),
    Rule(
        kind="hash-mismatch",
        pattern=re.compile(
            r"(?P<name>THESE PACKAGES DO NOT MATCH THE HASHES|[Hh]ash mismatch|expected sha256|sha256 mismatch)"
        ),
        message="a downloaded file is not the one whose hash was written down",
        mend=("version.sha256: the hash that the index states, if you trust it",),
    ),
    Rule(
        kind="requirements",
        pattern=re.compile(
            r"(?P<name>No solution found when resolving dependencies|ResolutionImpossible|No matching distribution found for \S+|Could not find a version that satisfies the requirement \S+)"
        ),
        message="the build requirements have no solution in wheels for this target",
        mend=(
            "build.constraints: bounds that can be met",
            "depends.build: a recipe for the requirement that has no wheel",
        ),
    ),
)

#: Said after something else went wrong: only where nothing else was said.
LAST = (
    Rule(
        kind="undefined-symbol",
        pattern=re.compile(r"(?:undefined symbol: |undefined reference to [`‘'])(?P<name>[\w.@:~()]+)"),
        message="nothing that is linked defines `{name}`",
        weight=Weight.PROBE,
    ),
    Rule(
        kind="compile-error",
        pattern=re.compile(r"^(?P<name>\S+?:\d+(?::\d+)?): (?:fatal )?error: (?P<what>.*)"),
        message="{name} does not compile: {what}",
        mend=("version: another release of {project}", "source.patches: a patch that mends it"),
        weight=Weight.PROBE,
    ),
)
