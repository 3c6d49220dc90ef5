"""An unpacked source in, its extension modules and the libraries they ask for out: read, never run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelhouse.diagnose.clue import Missing
from wheelhouse.lifecycle.literals import asked_of_pkg_config, declared_extensions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Folders whose files are not part of what is built.
_ASIDE = re.compile(
    r"(?:^|/)(?:(?:[\w-]+-)?tests?|testing|docs?|examples?|benchmarks?|samples?|demos?|ci|\.[^/]+)(?:/|$)",
    re.IGNORECASE,
)
#: Back ends that do not read a setup.py which lies there all the same.
_NO_SETUP = frozenset({"mesonpy", "scikit_build_core.build"})
#: A file that is larger was generated, and says nothing that its origin does not.
_LARGEST = 4_000_000
_MOST_FILES = 5_000
_MESON_MODULE = re.compile(r"\bextension_module\(\s*'(?P<name>[\w.]+)'(?P<rest>(?:[^()]|\([^()]*\))*)\)")
_MESON_SUBDIR = re.compile(r"\bsubdir\s*:\s*'(?P<name>[\w/.]+)'")
_MESON_DEPENDENCY = re.compile(r"(?<![\w.])dependency\(\s*'(?P<name>[\w.+-]+)'(?P<rest>[^()]*)")
_CMAKE_MODULE = re.compile(r"\b(?:pybind11_add_module|nanobind_add_module|[Pp]ython3?_add_library)\(\s*(?P<name>\w+)")
_CMAKE_PACKAGE = re.compile(r"\bfind_package\(\s*(?P<name>\w+)(?P<rest>[^)]*)\)", re.IGNORECASE)
_CMAKE_PKG_CONFIG = re.compile(r"\bpkg_(?:check|search)_modules?\(\s*\w+\s+(?P<rest>[^)]*)\)", re.IGNORECASE)
_INIT = re.compile(r"\bPyInit_(?P<name>\w+)\s*\(")
_INCLUDE = re.compile(
    r"^[ \t]*#[ \t]*(?P<word>include|if|ifdef|ifndef|endif)\b[ \t]*(?:[<\"](?P<name>[\w./+-]+)[>\"])?", re.MULTILINE
)
_EXTERN = re.compile(r"^cdef extern from\s+[\"']<?(?P<name>[\w./+-]+\.h\w*)>?[\"']", re.MULTILINE)
_HEADERS = frozenset({".h", ".hh", ".hpp", ".pxd"})
_C_FILES = _HEADERS | {".c", ".cc", ".cpp", ".cxx"}
_SCRIPTS = (".py", ".pyx", ".pxi", ".toml", ".cfg", ".cmake", ".rs", ".in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An extension module that the source has."""

    name: str
    """Dotted, as it is imported."""
    where: str
    """The file that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Something of the system that the source asks for."""

    missing: Missing
    where: str
    """The file that says so."""


class Sources:
    """The files of a source that take part in its build, by their paths inside."""

    def __init__(self, root: Path, pyproject: Mapping[str, Any]) -> None:
        self._root = root
        self.pyproject = pyproject
        self.backend = str(pyproject.get("build-system", {}).get("build-backend", "")).partition(":")[0]
        self.paths = tuple(_files(root))

    def named(self, *names: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and bytes of the files with one of these names or suffixes, nearest to the top first."""
        for path in sorted(self.paths, key=lambda path: (path.count("/"), path)):
            if path.rpartition("/")[2] in names or Path(path).suffix in names:
                yield path, (self._root / path).read_bytes()

    def mention(self, word: str) -> bool:
        """Say whether a file that is compiled, or says how, has a word: a name, a header, a module of pkg-config."""
        pattern = re.compile(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])")
        files = self.named("meson.build", "CMakeLists.txt", *_C_FILES, *_SCRIPTS)
        return any(pattern.search(data) for _, data in files)

    def has(self, path: str) -> bool:
        """Say whether a file or, with a slash at its end, a folder of this path is there."""
        return (self._root / path).exists()


def find_extensions(sources: Sources) -> tuple[Extension, ...]:
    """Return the extension modules: those that are declared; else those that file names and C sources tell of."""
    for read in (_declared, _in_meson, _in_cmake, _in_cython, _in_c):
        if (read is not _declared or sources.backend not in _NO_SETUP) and (found := list(read(sources))):
            unique = {extension.name: extension for extension in reversed(found) if extension.name}
            return tuple(unique.values())[::-1]
    return ()


def find_wishes(sources: Sources) -> tuple[Wish, ...]:
    """Return what the source asks of the system without a condition, as far as it says so in words known here."""
    wishes = [*_meson_wishes(sources), *_cmake_wishes(sources), *_script_wishes(sources)]
    if not any(wish.missing.kind == "pkg-config" for wish in wishes):  # which knows in which folder a header lies
        wishes += _header_wishes(sources)
    return tuple({wish.missing: wish for wish in reversed(wishes)}.values())[::-1]


def _files(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if not _ASIDE.search(str(inside / name)))
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                count += 1
                if count > _MOST_FILES:
                    return
                yield str(inside / name)


def _declared(sources: Sources) -> Iterator[Extension]:
    yield from _in_pyproject(sources)
    yield from _in_setup(sources)


def _in_pyproject(sources: Sources) -> Iterator[Extension]:
    tool = sources.pyproject.get("tool", {})
    for key in ("ext-modules", "ext_modules"):
        for entry in tool.get("setuptools", {}).get(key, ()):
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                yield Extension(name=entry["name"], where="pyproject.toml")
    maturin = tool.get("maturin", {}).get("module-name")
    if isinstance(maturin, str):
        yield Extension(name=maturin, where="pyproject.toml")


def _build_scripts(sources: Sources) -> Iterator[tuple[str, bytes]]:
    """Yield the Python that a build runs: setup.py, and the back end that lies in the source (PEP 517)."""
    yield from ((path, data) for path, data in sources.named("setup.py", "build.py") if "/" not in path)
    for folder in sources.pyproject.get("build-system", {}).get("backend-path", ()):
        prefix = "" if folder == "." else f"{folder}/"
        yield from (
            (path, data) for path, data in sources.named(".py") if path.rpartition("/")[0] == prefix.rstrip("/")
        )


def _in_setup(sources: Sources) -> Iterator[Extension]:
    for path, data in _build_scripts(sources):
        yield from (Extension(name=extension.name, where=path) for extension in declared_extensions(data))


def _in_meson(sources: Sources) -> Iterator[Extension]:
    for path, data in sources.named("meson.build"):
        for found in _MESON_MODULE.finditer(_text(data)):
            subdir = _MESON_SUBDIR.search(found["rest"])
            package = f"{subdir['name'].replace('/', '.')}." if subdir else ""
            yield Extension(name=package + found["name"], where=path)


def _in_cmake(sources: Sources) -> Iterator[Extension]:
    for path, data in sources.named("CMakeLists.txt"):
        yield from (Extension(name=found["name"], where=path) for found in _CMAKE_MODULE.finditer(_text(data)))


def _in_cython(sources: Sources) -> Iterator[Extension]:
    for path, _ in sources.named(".pyx"):
        parts = Path(path).with_suffix("").parts
        start = len(parts) - 1
        while start and any(sources.has("/".join([*parts[:start], f"__init__{end}"])) for end in (".py", ".pyx")):
            start -= 1
        yield Extension(name=".".join(parts[start:]), where=path)


def _in_c(sources: Sources) -> Iterator[Extension]:
    for path, data in sources.named(".c", ".cc", ".cpp", ".cxx"):
        names = dict.fromkeys(found["name"] for found in _INIT.finditer(_text(data)))
        yield from (Extension(name=name, where=path) for name in names)


def _meson_wishes(sources: Sources) -> Iterator[Wish]:
    for path, data in sources.named("meson.build"):
        if path.startswith("subprojects/"):
            continue
        for dependency in _MESON_DEPENDENCY.finditer(_without_comments(data)):
            required = re.search(r"\brequired\s*:\s*(?P<value>[\w.]+)", dependency["rest"])
            if dependency["name"] not in {"threads", "python", "python3"} and (
                required is None or required["value"] == "true"
            ):
                yield Wish(missing=Missing(kind="pkg-config", name=dependency["name"]), where=path)


def _cmake_wishes(sources: Sources) -> Iterator[Wish]:
    for path, data in sources.named("CMakeLists.txt"):
        text = _without_comments(data)
        for found in _CMAKE_PACKAGE.finditer(text):
            if "REQUIRED" in found["rest"].split():
                yield Wish(missing=Missing(kind="cmake", name=found["name"]), where=path)
        for found in _CMAKE_PKG_CONFIG.finditer(text):
            words = found["rest"].split()
            if "REQUIRED" in words:
                for word in words:
                    name = re.split("[<>=]", word)[0]
                    if not name.isupper():
                        yield Wish(missing=Missing(kind="pkg-config", name=name), where=path)


def _script_wishes(sources: Sources) -> Iterator[Wish]:
    if sources.backend in _NO_SETUP:
        return
    for path, data in _build_scripts(sources):
        for module in asked_of_pkg_config(data):
            yield Wish(missing=Missing(kind="pkg-config", name=module), where=path)
        for extension in declared_extensions(data):
            for library in extension.libraries:
                yield Wish(missing=Missing(kind="library", name=library), where=path)


def _header_wishes(sources: Sources) -> Iterator[Wish]:
    """Yield headers that are included whatever the platform: those between `#if` and `#endif` are left out.

    Where a build script lists its sources, others are not looked into; where no file declares an extension, none are.
    """
    declared = [extension for _, data in _build_scripts(sources) for extension in declared_extensions(data)]
    if not declared and not any(any(read(sources)) for read in (_in_pyproject, _in_meson, _in_cmake, _in_cython)):
        return
    listed = {source for extension in declared for source in extension.sources}
    whole = not listed or not all(extension.sources for extension in declared)
    own = {path.rpartition("/")[2] for path in sources.paths}
    for path, data in sources.named(*_C_FILES, ".pyx", ".pxd"):
        if not whole and path not in listed and Path(path).suffix not in _HEADERS:
            continue
        text = _text(data)
        names = _EXTERN.finditer(text) if path.endswith((".pyx", ".pxd")) else _unconditional(text)
        for found in names:
            name = found["name"]
            if name.rpartition("/")[2] not in own:
                yield Wish(missing=Missing(kind="header", name=name), where=path)


def _unconditional(text: str) -> Iterator[re.Match[str]]:
    guard = re.search(r"^\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+\1\b", text, re.MULTILINE)
    depth = -1 if guard and not re.search(r"^\s*#\s*if", text[: guard.start()], re.MULTILINE) else 0
    for found in _INCLUDE.finditer(text):
        if found["word"] == "endif":
            depth -= 1
        elif found["word"] != "include":
            depth += 1
        elif depth <= 0 and found["name"]:
            yield found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _without_comments(data: bytes) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", _text(data))


def module_names(extensions: Iterable[Extension]) -> tuple[str, ...]:
    """Return the names that an import statement can have."""
    return tuple(e.name for e in extensions if all(part.isidentifier() for part in e.name.split(".")))
