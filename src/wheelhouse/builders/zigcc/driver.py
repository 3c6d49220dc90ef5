"""A gcc command line in, the `zig cc` command line that does the same out; `run` then becomes that command.

Runs as CC, CXX, AR and so on, once for every file that is compiled: it imports `os`, and nothing of wheelhouse. The
shims that call it are written by the package that this module is in.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing `typing` would double the start-up time
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    class Settings(TypedDict):
        """What a shim knows; written into it as a literal."""

        zig: str
        """Path of the zig executable."""
        target: str
        """As zig spells it, e.g. `x86_64-linux-gnu.2.17`."""
        triplet: str
        """As Debian's multiarch and gcc spell it, e.g. `x86_64-linux-gnu`."""
        always: list[str]
        """Flags for every compilation."""
        linking: list[str]
        """Flags for every link: search paths, `-s`."""


#: gcc's version that zig claims to be when a build asks (old numpy.distutils and configure scripts do).
GCC_VERSION = "12"

#: Linker flags that lld as zig calls it refuses, and whose absence does not change what a wheel does.
_DROPPED_LINKER_FLAGS = (
    "--exclude-libs",
    "-Bsymbolic-functions",
    "-Map",
    "--warn-common",
    "--unresolved-symbols",
    "--dynamic-list",
    "-plugin-opt",
    "--push-state",
    "--pop-state",
    "--no-as-needed",
    "--version-exports-section",
    "--default-symver",
    "--fatal-warnings",
)
#: Those of the above whose value may stand in the next word.
_DROPPED_WITH_VALUE = ("--exclude-libs", "-Map", "--dynamic-list", "-plugin-opt", "--unresolved-symbols")
_DROPPED_KEYWORDS = ("pack-relative-relocs", "text")
#: Tuning for the machine that builds has no place in a wheel for others.
_DROPPED_FLAGS = frozenset(
    [
        "-mtune=generic",
        "-march=native",
        "-mtune=native",
        "-mcpu=native",
        "-fno-semantic-interposition",
        "-ffat-lto-objects",
        "-fno-fat-lto-objects",
        "-fuse-linker-plugin",
        "-fno-use-linker-plugin",
    ]
)
_CXX_SUFFIXES = (".cpp", ".cc", ".cxx", ".C", ".c++", ".cp", ".CPP", ".mm")
_NO_LINK = frozenset(["-c", "-E", "-S", "-M", "-MM", "-fsyntax-only"])


def run(mode: str, settings: Settings, arguments: list[str]) -> None:
    """Answer, or become zig in `mode` (`cc`, `c++`, `ar`, `ranlib`). Does not return."""
    if mode in {"cc", "c++"}:
        answer = answers(arguments, settings)
        if answer is not None:
            sys.stdout.write(answer + "\n")
            sys.exit(0)
        if mode == "cc" and is_cxx(arguments):
            mode = "c++"
        words = [settings["zig"], mode, *translate(arguments, settings)]
    else:
        words = [settings["zig"], mode, *arguments]
    os.execv(settings["zig"], words)  # noqa: S606 - the arguments are a list; no shell is wanted


def answers(arguments: list[str], settings: Settings) -> str | None:
    """Return what gcc would say to a question about itself; None: it is no such question."""
    for argument in arguments:
        if argument in {"-dumpversion", "-dumpfullversion"}:
            return GCC_VERSION
        if argument in {"-dumpmachine", "-print-multiarch", "--print-multiarch"}:
            return settings["triplet"]
        if argument in {"-print-search-dirs", "--print-search-dirs"}:
            folders = [flag[2:] for flag in settings["linking"] if flag.startswith("-L")]
            return f"install: \nprograms: =\nlibraries: ={':'.join(folders)}"
    return None


def is_cxx(arguments: list[str]) -> bool:
    """Say whether a source file is C++: setuptools compiles those with CC as well."""
    return any(word.endswith(_CXX_SUFFIXES) for word in arguments if not word.startswith("-"))


def translate(arguments: list[str], settings: Settings) -> list[str]:
    """Return the arguments for `zig cc` or `zig c++`."""
    folders = [*_library_folders(arguments), *(flag[2:] for flag in settings["linking"] if flag.startswith("-L"))]
    words: list[str] = []
    for word in _without_dropped_values(arguments):
        words += _rewrite(word, folders)
    links = not _NO_LINK.intersection(words)
    return ["-target", settings["target"], *words, *settings["always"], *(settings["linking"] if links else [])]


def _library_folders(arguments: list[str]) -> Iterator[str]:
    for number, word in enumerate(arguments):
        if word == "-L" and number + 1 < len(arguments):
            yield arguments[number + 1]
        elif word.startswith("-L"):
            yield word[2:]
        elif word.startswith("-Wl,-L"):
            yield word[6:]


def _without_dropped_values(arguments: list[str]) -> Iterator[str]:
    """Write `-Xlinker X` as `-Wl,X`, and leave out values of dropped flags that stand in a `-Wl,` word of their own."""
    words = iter(arguments)
    skip_value = False
    for word in words:
        text = f"-Wl,{next(words, '')}" if word == "-Xlinker" else word
        if skip_value and text.startswith("-Wl,") and not text.startswith("-Wl,-"):
            skip_value = False
            continue
        skip_value = text.startswith("-Wl,") and text[4:] in _DROPPED_WITH_VALUE
        yield text


def _rewrite(word: str, folders: list[str]) -> list[str]:  # noqa: PLR0911 - a table of cases reads best as one
    if word in _DROPPED_FLAGS or word.startswith("-specs="):  # specs are Fedora's hardening, for gcc's own driver
        return []
    if word.startswith("-Wl,"):
        return _rewrite_linker(word[4:].split(","))
    if word.startswith("-Wp,-"):
        return _rewrite_preprocessor(word[4:].split(","))
    if word.startswith("-flto="):
        return ["-flto=thin"] if word == "-flto=thin" else ["-flto"]
    if word.startswith("-march=x86-64"):
        return ["-mcpu=" + word[len("-march=") :].replace("-", "_")]
    if word.startswith("-l:"):
        return [_find_library(word[3:], folders) or word]
    return [word]


def _rewrite_linker(parts: list[str]) -> list[str]:
    kept: list[str] = []
    beside: list[str] = []
    words = iter(parts)
    for part in words:
        if part in _DROPPED_WITH_VALUE:
            next(words, None)
        elif part.startswith(_DROPPED_LINKER_FLAGS):
            continue
        elif part == "-h":
            kept += ["-soname", next(words, "")]
        elif part.startswith("-h") and len(part) > len("-h"):
            kept += ["-soname", part[2:]]
        elif part == "-z":
            keyword = next(words, "")
            kept += [] if keyword in _DROPPED_KEYWORDS else ["-z", keyword]
        elif part.startswith("-z") and part[2:] in _DROPPED_KEYWORDS:
            continue
        elif part.startswith("-L"):
            beside.append(part)
        else:
            kept.append(part)
    return [*beside, *(["-Wl," + ",".join(kept)] if kept else [])]


def _rewrite_preprocessor(parts: list[str]) -> list[str]:
    """`-Wp,-DX` and `-Wp,-U,X`: the compiler itself takes them."""
    return [part for part in parts if part]


def _find_library(name: str, folders: list[str]) -> str | None:
    for folder in folders:
        path = os.path.join(folder, name)  # noqa: PTH118 - pathlib takes longer to import than all of this to run
        if os.path.exists(path):  # noqa: PTH110 - likewise
            return path
    return None
