"""A recipe's variables in; the same with CPython's own compiler flags before the recipe's out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How CPython compiles extension modules where nobody says otherwise (OPT in its Makefile, without warnings).
OPTIMIZED = "-DNDEBUG -fwrapv -O3"
_COMPILERS = ("CFLAGS", "CXXFLAGS")


def compiler_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables, their flags for compilers behind those of CPython.

    setuptools and autoconf take what is set in place of their own flags, the optimisation among them: a recipe that
    asks for one flag more would get slow code. What the recipe itself says of optimisation comes last, and counts.
    """
    added = {name: f"{OPTIMIZED} {environment[name]}" for name in _COMPILERS if name in environment}
    return {**environment, **added}
