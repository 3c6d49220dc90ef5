"""A wheel with one fault, and what the checks should say of it: the form of the cases beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from wheelhouse.check import Expectation
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from check.wheel_factory import Wheel
    from wheelhouse.check.archive import Limits
    from wheelhouse.check.codes import Code

#: What the factory's wheel with a binary should be.
OURS = Expectation(
    project=canonicalize_name("spam"), version=Version("1.0"), target=BuildIdentifier.parse("cp311-manylinux_x86_64")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """A wheel with one fault, and what may be said besides."""

    wheel: Wheel
    says: str
    """A part of the message."""
    expected: Expectation | None = None
    besides: tuple[Code, ...] = ()
    limits: Limits | None = None
    afterwards: Callable[[Path], None] | None = None
    """Changes the written file."""

    @classmethod
    def of(cls, says: str, wheel: Wheel, *besides: Code, **more: Any) -> Spoilt:
        """Return a case, in few words."""
        return cls(wheel=wheel, says=says, besides=besides, **more)


#: Name of a case -> the code that it is for, and how to make it.
Cases = dict[str, tuple["Code", "Callable[[], Spoilt]"]]
