"""How compilers, linkers, pkg-config, CMake, Meson and Rust say that something is missing."""

from __future__ import annotations

import re

from wheelhouse.diagnose.clue import Rule, Weight

_QUOTE = "['\"`‘’“”]"

HEADERS = (
    Rule(
        kind="missing-python-headers",
        pattern=re.compile(rf"fatal error: {_QUOTE}?(?P<name>Python\.h|pyconfig\.h){_QUOTE}?[: ]"),
        message="the headers of Python {python} ({name}) are not on this machine",
        mend=("system-packages.debian: python3-dev", "or a Python that has its headers: `uv python install {python}`"),
    ),
    Rule(
        kind="python-too-new",
        pattern=re.compile(
            rf"fatal error: {_QUOTE}?(?P<name>longintrepr\.h|node\.h|graminit\.h|eval\.h|pyfpe\.h|code\.h)\b"
        ),
        message="{project} {version} includes `{name}`, which newer Pythons (such as {python}) no longer have",
        mend=("version: a newer release of {project}", "build.requires: Cython>=3", "targets.skip: {python_tag}-*"),
    ),
    Rule(
        kind="missing-header",
        pattern=re.compile(
            rf"(?:fatal error|error): {_QUOTE}?(?P<name>[\w./+-]+\.(?:h|hh|hpp|hxx|H|inc))(?:{_QUOTE} file not found|{_QUOTE}?: No such file)"
        ),
        message="the header `{name}` is not there",
        missing="header",
    ),
    Rule(
        kind="missing-header",
        pattern=re.compile(
            rf"(?:Cannot open include file: |include file |header ){_QUOTE}(?P<name>[\w./+-]+\.h\w*){_QUOTE}(?:: No such| not found)"
        ),
        message="the header `{name}` is not there",
        missing="header",
    ),
    Rule(
        kind="missing-header",
        pattern=re.compile(
            rf"(?:Couldn't find|could not find|Cannot find|cannot find|Can't find|missing) (?:the )?{_QUOTE}?(?P<name>[\w/+-]+\.h){_QUOTE}?(?![\w/])"
        ),
        message="the header `{name}` is not there",
        missing="header",
    ),
    Rule(
        kind="missing-header",
        pattern=re.compile(
            rf"^\S+: {_QUOTE}?(?P<name>C?\+\+ ?standard library|cstddef|cstdint|iostream|vector){_QUOTE}? file not found"
        ),
        message="the headers of the C++ library are not there",
        mend=("system-packages.debian: g++", "system-packages.manylinux: gcc-c++", "system-packages.musllinux: g++"),
    ),
    Rule(
        kind="missing-source",
        pattern=re.compile(
            rf"(?:fatal error|error): (?:no such file or directory: )?{_QUOTE}?(?P<name>[\w./+-]+\.(?:c|cc|cpp|cxx|pyx|f|f90|S)){_QUOTE}?(?:: No such file|$)"
        ),
        message="the source holds no `{name}`: it must be generated first, or was left out of the sdist",
        mend=("build.requires: Cython", "source.url: an archive that holds the file"),
    ),
)

LIBRARIES = (
    Rule(
        kind="missing-library",
        pattern=re.compile(
            r"(?:cannot find|unable to find library|library not found for) -l:?(?P<name>[\w.+-]+?)(?:[:\s'\"]|$)"
        ),
        message="the library `{name}` is not there to link with",
        missing="library",
    ),
    Rule(
        kind="missing-library",
        pattern=re.compile(rf"unable to find (?:dynamic |static )?system library {_QUOTE}(?P<name>[\w.+-]+){_QUOTE}"),
        message="the library `{name}` is not there to link with",
        missing="library",
    ),
    Rule(
        kind="missing-library",
        pattern=re.compile(
            rf"ERROR: (?:C|C\+\+|Fortran) (?:shared or static |shared |static )?library {_QUOTE}(?P<name>[\w.+-]+){_QUOTE} not found"
        ),
        message="the library `{name}` is not there to link with",
        missing="library",
    ),
    Rule(
        kind="missing-library",
        pattern=re.compile(
            rf"LINK : fatal error LNK1181: cannot open input file {_QUOTE}(?P<name>[\w.+-]+?)\.lib{_QUOTE}"
        ),
        message="the library `{name}` is not there to link with",
        missing="library",
    ),
    Rule(
        kind="missing-library",
        pattern=re.compile(rf"required library {_QUOTE}(?P<name>[\w.+-]+){_QUOTE} could not be located"),
        message="auditwheel cannot find `{name}`, which the extension needs, to copy it into the wheel",
        mend=('repair.exclude: "{name}"',),
        missing="library",
    ),
    Rule(
        kind="missing-library",
        pattern=re.compile(
            r"(?:ImportError|OSError): lib(?P<name>[\w+.-]+?)\.so[\w.]*: cannot open shared object file"
        ),
        message="`lib{name}` is not there at run time",
        missing="library",
        stages=frozenset({"source", "requirements", "build"}),
    ),
)

CONFIGURATION = (
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(
            rf"ERROR: Dependency (?:lookup for )?{_QUOTE}?(?P<name>[\w.+-]+){_QUOTE}? (?:not found|with method)"
        ),
        message="Meson does not find the dependency `{name}`",
        missing="pkg-config",
    ),
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(rf"ERROR: Dependency {_QUOTE}(?P<name>[\w.+-]+){_QUOTE} is required but not found"),
        message="Meson does not find the dependency `{name}`",
        missing="pkg-config",
    ),
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(rf"Invalid version, need {_QUOTE}(?P<name>[\w.+-]+){_QUOTE} \[.*found"),
        message="the machine's `{name}` is too old for this source",
        mend=("images.{platform_tag}: a newer image (wheelhouse.toml)",),
    ),
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(
            rf"[Pp]ackage {_QUOTE}?(?P<name>[\w.+-]+){_QUOTE}? was not found in the pkg-config search path"
        ),
        message="pkg-config does not know `{name}`",
        missing="pkg-config",
        weight=Weight.PROBE,
    ),
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(
            rf"(?:No package|Package) {_QUOTE}(?P<name>[\w.+-]+){_QUOTE}(?:, required by [^,]+,)? (?:not )?found"
        ),
        message="pkg-config does not know `{name}`",
        missing="pkg-config",
        weight=Weight.PROBE,
    ),
    Rule(
        kind="missing-pkg-config-module",
        pattern=re.compile(r"Trying pkg-config --exists (?:--print-errors )?(?P<name>[\w.+-]+)$"),
        message="pkg-config does not know `{name}`",
        missing="pkg-config",
        weight=Weight.PROBE,
    ),
    Rule(
        kind="missing-cmake-package",
        pattern=re.compile(r"^  Could NOT find (?P<name>[\w+-]+)\b"),
        message="CMake does not find `{name}`",
        missing="cmake",
    ),
    Rule(
        kind="missing-cmake-package",
        pattern=re.compile(
            rf"^  Could not find a package configuration file provided by {_QUOTE}(?P<name>[\w+.-]+){_QUOTE}"
        ),
        message="CMake does not find `{name}`",
        missing="cmake",
    ),
    Rule(
        kind="missing-cmake-package",
        pattern=re.compile(r"^-- Could NOT find (?P<name>[\w+-]+)\b"),
        message="CMake does not find `{name}`",
        missing="cmake",
        weight=Weight.PROBE,
    ),
    Rule(
        kind="missing-tool",
        pattern=re.compile(
            rf"(?:No such file or directory: {_QUOTE}|{_QUOTE}|\b)(?P<name>pkg-config|pkgconf){_QUOTE}?(?: (?:is|was) (?:not found|required)|: (?:command )?not found|$|{_QUOTE})(?<!\w)"
        ),
        message="the program `{name}` is not there",
        missing="tool",
        weight=Weight.PROBE,
    ),
)

CMAKE = (
    Rule(
        kind="cmake-too-new",
        pattern=re.compile(r"Compatibility with CMake < (?P<name>[\d.]+) has been removed"),
        message="the source asks for a CMake older than any that newer CMakes still imitate",
        mend=('build.environment: CMAKE_POLICY_VERSION_MINIMUM = "{name}"', "build.constraints: cmake<4"),
    ),
    Rule(
        kind="cmake-too-old",
        pattern=re.compile(r"CMake (?P<name>[\d.]+)(?:\.\.\.[\d.]+)? or higher is required"),
        message="the CMake of this machine is older than {name}, which the source needs",
        mend=("build.requires: cmake>={name}",),
    ),
    Rule(
        kind="missing-cmake",
        pattern=re.compile(
            rf"(?:CMake must be installed|[Cc]annot find (?:the )?CMake|CMake is not installed|Could not find (?:CMake|cmake)"
            rf"|CMakeNotFoundError|CMake executable (?:is )?(?:not found|could not be found)|[Nn]o such file or directory: {_QUOTE}(?:\S*/)?cmake{_QUOTE}"
            r"|\bcmake: (?:command )?not found|Problem with the CMake installation)"
        ),
        message="CMake is not there",
        mend=("build.requires: cmake", "build.requires: ninja"),
    ),
    Rule(
        kind="missing-tool",
        pattern=re.compile(
            rf"(?:[Nn]o such file or directory: {_QUOTE}|Could not detect )(?P<name>[Nn]inja)\b|(?:CMAKE_MAKE_PROGRAM is not set|unable to find a build program corresponding to \"Ninja)"
        ),
        message="ninja is not there",
        mend=("build.requires: ninja",),
    ),
)

RUST = (
    Rule(
        kind="rust-too-old",
        pattern=re.compile(
            r"requires rustc (?P<name>[\d.]+) or newer|supported[- ]rust[- ]version[^\d]*(?P<other>[\d.]+)|requires Rust (?P<third>[\d.]+)"
        ),
        message="the Rust compiler of this machine is too old for this source",
        mend=(
            "cibuildwheel.before-all: install a newer Rust (rustup)",
            "build.constraints: an older release of the crate's package",
        ),
    ),
    Rule(
        kind="rust-too-old",
        pattern=re.compile(
            r"(?:feature `edition20\d\d` is required|lock file version `?\d+`? (?:requires|was found)|cannot be built because it requires rustc)"
        ),
        message="the Rust compiler of this machine is too old for this source",
        mend=("cibuildwheel.before-all: install a newer Rust (rustup)",),
    ),
    Rule(
        kind="missing-rust",
        pattern=re.compile(
            rf"(?:can't find Rust compiler|[Rr]ust not found|Cargo, the Rust package manager, is not installed|error: command {_QUOTE}?cargo{_QUOTE}?"
            rf"|[Nn]o such file or directory: {_QUOTE}?(?:\S*/)?(?:cargo|rustc)\b|\b(?:cargo|rustc): (?:command )?not found|needs Rust|requires a Rust"
            r"|rustup could not choose a version|cargo metadata.* failed to start|Couldn't find rustc|puccinialin)"
        ),
        message="the source needs Rust (cargo, rustc), which is not there",
        mend=(
            "system-packages.debian: cargo",
            "system-packages.manylinux: cargo",
            "system-packages.musllinux: cargo",
        ),
    ),
)

_COMPILER = r"(?:\S*/)?(?:[\w.-]+-)?(?:gcc|g\+\+|cc|c\+\+|clang(?:\+\+)?)(?:-\d+)?"

COMPILERS = (
    Rule(
        kind="missing-compiler",
        pattern=re.compile(
            rf"(?:[Nn]o such file or directory: {_QUOTE}|unable to execute {_QUOTE}|command {_QUOTE}|Program {_QUOTE}|/(?:ba)?sh: (?:(?:line )?\d+: )?|^)"
            r"(?P<name>(?:\S*/)?(?:gfortran|flang|ifort|f77|f95)(?:-\d+)?)"
            rf"(?:{_QUOTE} failed: No such|{_QUOTE} not found|: (?:command )?not found|{_QUOTE}: No such|{_QUOTE}?$)"
        ),
        message="there is no Fortran compiler",
        mend=(
            "system-packages.debian: gfortran",
            "system-packages.manylinux: gcc-gfortran",
            "system-packages.musllinux: gfortran",
        ),
    ),
    Rule(
        kind="missing-compiler",
        pattern=re.compile(
            r"No CMAKE_Fortran_COMPILER could be found|Fortran compiler (?:not found|cannot)|[Nn]o Fortran compiler|\['gfortran'\]"
        ),
        message="there is no Fortran compiler",
        mend=(
            "system-packages.debian: gfortran",
            "system-packages.manylinux: gcc-gfortran",
            "system-packages.musllinux: gfortran",
        ),
    ),
    Rule(
        kind="missing-compiler",
        pattern=re.compile(
            rf"(?:[Nn]o such file or directory: {_QUOTE}|unable to execute {_QUOTE}|error: command {_QUOTE}|/(?:ba)?sh: (?:(?:line )?\d+: )?)"
            rf"(?P<name>{_COMPILER})(?:{_QUOTE} failed: No such|: (?:command )?not found|{_QUOTE}: No such|{_QUOTE}$)"
        ),
        message="the compiler `{name}` is not there",
        mend=(
            "build.toolchain: zig (`pip install wheelhouse[zig]`)",
            "system-packages.debian: build-essential",
            "system-packages.manylinux: gcc gcc-c++ make",
            "system-packages.musllinux: build-base",
        ),
    ),
    Rule(
        kind="missing-compiler",
        pattern=re.compile(
            r"No CMAKE_(?P<name>C|CXX|CUDA)_COMPILER could be found|Could not find compiler set in environment variable (?P<variable>\w+)"
            r"|ERROR: Unknown compiler\(s\): \[(?P<list>.*)\]|no acceptable C compiler found|[Nn]o C compiler found"
            r"|g\+\+: fatal error: cannot execute|gcc: fatal error: cannot execute|cannot execute 'cc1"
        ),
        message="there is no working compiler",
        mend=(
            "build.toolchain: zig (`pip install wheelhouse[zig]`)",
            "system-packages.debian: build-essential",
            "system-packages.manylinux: gcc gcc-c++ make",
            "system-packages.musllinux: build-base",
        ),
    ),
)

STRICTNESS = (
    Rule(
        kind="compiler-too-strict",
        pattern=re.compile(r"error: .*\[-Werror=(?P<name>[\w+-]+)=?\w*\]"),
        message="the compiler takes the warning `{name}` for an error",
        mend=('build.environment: CFLAGS = "-Wno-error={name}"',),
    ),
    Rule(
        kind="compiler-too-strict",
        pattern=re.compile(
            r"error: .*\[-W(?P<name>implicit-function-declaration|incompatible-(?:function-)?pointer-types|int-conversion|implicit-int)\]"
        ),
        message="newer compilers refuse what this source does (`{name}`)",
        mend=('build.environment: CFLAGS = "-Wno-error={name}"', "version: a newer release of {project}"),
    ),
    Rule(
        kind="compiler-too-old",
        pattern=re.compile(
            rf"unrecognized command[- ]line option {_QUOTE}(?P<name>-std=[\w+]+)|[Cc]\+\+(?P<standard>\d\d) (?:or (?:later|newer|above) )?(?:compatible )?(?:compiler )?(?:is )?required"
            rf"|invalid value {_QUOTE}c\+\+(?P<value>\w+){_QUOTE}|NumPy requires GCC|requires (?:at least )?GCC"
        ),
        message="the compiler of this machine is too old, or is not asked for the C++ that the source needs",
        mend=('build.environment: CXXFLAGS = "-std=c++17"', "images.{platform_tag}: a newer image (wheelhouse.toml)"),
    ),
)

TOOLS = (
    Rule(
        kind="missing-tool",
        pattern=re.compile(
            rf"(?:[Nn]o such file or directory: {_QUOTE}|^(?:Error: )?|\s|{_QUOTE}|/(?:ba)?sh: (?:(?:line )?\d+: )?)"
            rf"(?P<name>[\w.+-]*[\w]_config|[\w.+]+-config|llvm-config[\w.-]*){_QUOTE}?"
            rf"(?: executable)?(?: was| is)?(?: not found|: (?:command )?not found|: No such file|$)"
        ),
        message="the program `{name}` is not there",
        missing="tool",
    ),
    Rule(
        kind="missing-git",
        pattern=re.compile(
            rf"(?:[Nn]o such file or directory: {_QUOTE}?git\b|\bgit: (?:command )?not found|executable {_QUOTE}?git{_QUOTE}? not found"
            r"|setuptools-scm was unable to detect version|not a git repository|command git not found|git was not found)"
        ),
        message="the build asks git for its version or for files, and there is no git or no repository",
        mend=(
            'build.environment: SETUPTOOLS_SCM_PRETEND_VERSION = "{version}"',
            "system-packages.debian: git",
            "system-packages.manylinux: git",
            "system-packages.musllinux: git",
        ),
    ),
    Rule(
        kind="missing-tool",
        pattern=re.compile(
            rf"(?:FileNotFoundError: .*[Nn]o such file or directory: {_QUOTE}|unable to execute {_QUOTE}|Program {_QUOTE}|make(?:\[\d+\])?: )(?P<name>[\w.+-]+)"
            rf"(?:{_QUOTE} not found|{_QUOTE}: No such file|: No such file or directory$|: Command not found|{_QUOTE}$)"
        ),
        message="the program `{name}` is not there",
        missing="tool",
    ),
    Rule(
        kind="missing-tool",
        pattern=re.compile(r"/(?:ba)?sh: (?:(?:line )?\d+: )?(?P<name>[\w.+-]+): (?:command )?not found"),
        message="the program `{name}` is not there",
        missing="tool",
    ),
)
