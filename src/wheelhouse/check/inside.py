"""The names of a wheel's files in, notes out on what probably should not be there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.check.contents import Contents
    from wheelhouse.finding import Finding

_BYTECODE = re.compile(r"\.py[co]$")
_LEFTOVER = re.compile(
    r"\.(?:o|obj|gcda|gcno|orig|rej|swp|la|c|cc|cpp|cxx)$|(?:^|/)(?:\.DS_Store|CMakeCache\.txt|\.git(?:ignore)?|direct_url\.json)$"
)
_COMMON_FOLDERS = frozenset(
    {"test", "tests", "doc", "docs", "example", "examples", "src", "build", "dist", "benchmarks", "scripts"}
)
_MOST_NAMES = 3


def check_inside(contents: Contents) -> Iterator[Finding]:
    """Look for bytecode, leftovers of the build, and folders that would lie in everybody's site-packages."""
    names = [member.name for member in contents.members]
    if bytecode := [name for name in names if _BYTECODE.search(name)]:
        yield Code.BYTECODE.finding(
            f"compiled Python files: {_some(bytecode)}", hint="installers compile by themselves"
        )
    if leftovers := [name for name in names if _LEFTOVER.search(name)]:
        yield Code.LEFTOVERS.finding(f"sources and leftovers of the build: {_some(leftovers)}")
    top = sorted({name.split("/")[0] for name in names if "/" in name} & _COMMON_FOLDERS)
    if top and str(contents.name.project) not in top:
        yield Code.TOP_LEVEL.finding(
            f"installs into site-packages as {', '.join(top)}",
            hint="leave it out of the packages that the build collects",
        )


def import_names(contents: Contents) -> tuple[str, ...]:
    """Return what the wheel lets one import, as far as its files tell; private names only where there are no others."""
    names = {name for member in contents.members if (name := _import_name(member.name)) is not None}
    names -= _COMMON_FOLDERS - {str(contents.name.project)}
    public = {name for name in names if not name.startswith("_")}
    return tuple(sorted(public or names))


def _import_name(path: str) -> str | None:
    """Return `yaml` for `yaml/__init__.py`, `six` for `six.py` and `_cffi_backend` for its extension module."""
    folder, slash, rest = path.partition("/")
    if slash:
        found = folder if rest == "__init__.py" else None
    else:
        found = path.partition(".")[0] if path.endswith((".py", ".so", ".pyd")) else None
    return found if found is not None and found.isidentifier() else None


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
