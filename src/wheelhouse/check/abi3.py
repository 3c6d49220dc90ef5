"""The binaries of an abi3 wheel in; what they use beyond the stable ABI of the Python they promise, out (PEP 384).

The tables are abi3info's, and the rule is that of abi3audit, which a test runs beside this one: importing abi3audit
itself costs a second, for parsers of other platforms' binaries and an HTTP cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.check.contents import Contents
    from wheelhouse.check.elf import Elf
    from wheelhouse.finding import Finding

_MOST_NAMES = 5


def check_abi3(contents: Contents) -> Iterator[Finding]:
    """Audit every extension of a wheel with an abi3 tag."""
    promised = [_minor(tag.interpreter) for tag in contents.name.tags if tag.abi == "abi3"]
    minors = [minor for minor in promised if minor is not None]
    if not minors:
        return
    for member, elf in contents.binaries:
        if ".so" in member.name:
            yield from _audit(elf, max(minors), member.name)


def _minor(interpreter: str) -> int | None:
    text = interpreter.removeprefix("cp3")
    return int(text) if interpreter.startswith("cp3") and text.isdigit() else None


def _audit(elf: Elf, minor: int, where: str) -> Iterator[Finding]:
    from abi3info import DATAS, FUNCTIONS  # noqa: PLC0415 - 0.15 s, for abi3 wheels only
    from abi3info.models import Symbol  # noqa: PLC0415

    unstable: list[str] = []
    later: dict[str, str] = {}
    for name in sorted(elf.python_symbols):
        known = FUNCTIONS.get(Symbol(name)) or DATAS.get(Symbol(name))
        if known is not None:
            if (known.added.major, known.added.minor) > (3, minor):
                later[name] = str(known.added)
        elif not name.startswith("PyInit_"):
            unstable.append(name)
    if unstable:
        yield Code.ABI3_VIOLATION.finding(
            f"uses {_some(unstable)}, not in the stable ABI", where=where, hint="compile with Py_LIMITED_API defined"
        )
    if later:
        newest = max(later.values(), key=lambda version: tuple(int(part) for part in version.split(".")))
        yield Code.ABI3_VIOLATION.finding(
            f"uses {_some([f'{name} (since {added})' for name, added in later.items()])}; the wheel promises 3.{minor}",
            where=where,
            hint=f"build the abi3 wheel with Python {newest} and its tag",
        )


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
