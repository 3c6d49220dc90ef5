"""What a process had mapped after its imports in; the libraries that a wheel takes from the machine out.

PEP 600 names the libraries that every machine of a platform has. Whatever else comes from outside of the wheel was on
the machine of the trial, and need not be on the user's.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Parts of the C library that no policy lists: the loader, and what it loads by name (nsswitch.conf, character sets).
_LIBC = re.compile(r"ld-linux.*|ld64\.so.*|ld-musl-.*|libc\.musl-.*|libnss_.*|libc-\d.*")
_LIBC_FOLDERS = frozenset({"gconv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedObject:
    """One mapped file: a library, an extension module or the interpreter."""

    path: str
    soname: str | None
    needed: tuple[str, ...]

    @property
    def name(self) -> str:
        """What others need it as."""
        return self.soname or PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A library of the machine that the wheel uses."""

    library: SharedObject
    needed_by: str | None
    """Path of the wheel's file that is linked with it; None: it was opened at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrounding:
    """Where the files of a trial lie, as the process sees them."""

    site: str
    """The wheel and its dependencies."""
    executable: str
    standard: tuple[str, ...]
    """The folders of the standard library."""
    allowed: tuple[str, ...]
    """Names of libraries that may come from the machine; `*` stands for anything."""

    def is_inside(self, item: SharedObject) -> bool:
        """Say whether the wheel, or what it depends on, brought the file."""
        return _under(item.path, self.site)

    def is_python(self, item: SharedObject) -> bool:
        """Say whether the file belongs to the interpreter."""
        return (
            item.path == self.executable
            or item.name.startswith(("libpython", "libpypy"))
            or any(_under(item.path, folder) for folder in self.standard)
        )

    def is_allowed(self, item: SharedObject) -> bool:
        """Say whether every machine of the platform has it."""
        path = PurePosixPath(item.path)
        return (
            _LIBC.fullmatch(item.name) is not None
            or not _LIBC_FOLDERS.isdisjoint(path.parts)
            or any(fnmatch(item.name, pattern) for pattern in self.allowed)
        )


def leaks(objects: Sequence[SharedObject], surrounding: Surrounding) -> tuple[Leak, ...]:
    """Return the libraries that the wheel takes from the machine; not those that they need in their turn."""
    inside = [item for item in objects if surrounding.is_inside(item)]
    outside = [item for item in objects if not surrounding.is_inside(item)]
    python = [item for item in outside if surrounding.is_python(item)]
    others = [item for item in outside if not surrounding.is_python(item)]
    allowed = [item for item in others if surrounding.is_allowed(item)]
    suspects = [item for item in others if not surrounding.is_allowed(item)]

    carried = {item.name for item in inside}
    linked = {name: item.path for item in inside for name in item.needed if name not in carried}
    found = [Leak(library=item, needed_by=linked[item.name]) for item in suspects if item.name in linked]

    # The interpreter and the allowed libraries bring their own: those are theirs, and so are the ones of a leak.
    explained = _closure([*python, *allowed, *(leak.library for leak in found)], others)
    unexplained = [item for item in suspects if item.name not in explained and item.name not in linked]
    needed_by_each_other = {name for item in unexplained for name in item.needed}
    found += [Leak(library=i, needed_by=None) for i in unexplained if i.name not in needed_by_each_other]
    return tuple(found)


def _closure(start: Iterable[SharedObject], among: Iterable[SharedObject]) -> set[str]:
    """Return the names of what `start` needs, and of what that needs."""
    by_name = {item.name: item for item in among}
    names: set[str] = set()
    waiting = [name for item in start for name in item.needed]
    while waiting:
        name = waiting.pop()
        if name not in names and name in by_name:
            names.add(name)
            waiting += by_name[name].needed
    return names


def _under(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")


@functools.cache
def system_libraries(family: str) -> tuple[str, ...]:
    """Return what PEP 600 (`manylinux`) or PEP 656 (`musllinux`) lets a wheel take from the machine.

    The lists are auditwheel's. Its policies are read as data: importing them takes a third of a second.
    """
    file = importlib.resources.files("auditwheel").joinpath(f"policy/{family}-policy.json")
    policies: list[Mapping[str, Sequence[str]]] = json.loads(file.read_text("utf-8"))
    return tuple(sorted({name for policy in policies for name in policy["lib_whitelist"]}))
