"""A source tree in, what it says of how to build it out; and those facts remembered by the digest of the source."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from wheelhouse.errors import SourceError
from wheelhouse.record import write_atomically
from wheelhouse.source.backends import asked_for

if TYPE_CHECKING:
    from pathlib import Path

#: Raised when facts are read otherwise, so that what an older wheelhouse remembered is read anew.
_FORMAT = 1
#: PEP 517 and PEP 518: what a source without the table means.
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES: tuple[str, ...] = ("setuptools>=40.8",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What a source says of how to build it. The same for the same `SourceSpec.digest`, for ever."""

    requires: tuple[str, ...]
    """`build-system.requires` (PEP 518), setuptools where there is no `pyproject.toml`; then what the back end will ask
    for beyond these (PEP 517's `get_requires_for_build_wheel`), as far as it can be known without running it."""
    backend: str
    """`build-system.build-backend` (PEP 517), e.g. `mesonpy`."""
    epoch: int
    """SOURCE_DATE_EPOCH: the newest modification time in the archive, seconds."""


def read_facts(root: Path, *, epoch: int) -> SourceFacts:
    """Read the build system of an unpacked source.

    Raises SourceError where the folder is no Python source or its `pyproject.toml` is not valid.
    """
    pyproject = _pyproject(root)
    if pyproject is None and not (root / "setup.py").is_file():
        there = ", ".join(sorted(path.name for path in root.iterdir())[:10]) or "nothing"
        raise SourceError(
            f"the source has neither pyproject.toml nor setup.py at its top (there: {there})",
            hint="set source.subdirectory in the recipe where the package lies deeper",
        )
    table = (pyproject or {}).get("build-system")
    if table is None:
        requires, backend = _LEGACY_REQUIRES, _LEGACY_BACKEND
    else:
        requires, backend = _build_system(table)
    extra = asked_for(backend, root, pyproject or {})
    return SourceFacts(requires=tuple(dict.fromkeys((*requires, *extra))), backend=backend, epoch=epoch)


def _pyproject(root: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"not valid TOML: {error}", where="pyproject.toml", hint="mend it with a patch") from error


def _build_system(table: object) -> tuple[tuple[str, ...], str]:
    if not isinstance(table, dict) or not isinstance(table.get("requires"), list):
        raise SourceError(
            "build-system has no list `requires` (PEP 518)", where="pyproject.toml", hint="mend it with a patch"
        )
    requires = tuple(str(text) for text in table["requires"])
    for text in requires:
        try:
            Requirement(text)
        except InvalidRequirement as error:
            raise SourceError(
                f"build-system.requires: `{text}` is not a requirement (PEP 508)",
                where="pyproject.toml",
                hint="mend it with a patch",
            ) from error
    return requires, str(table.get("build-backend", _LEGACY_BACKEND))


def remember(facts: SourceFacts, *, digest: str, cache: Path) -> None:
    """Keep the facts of a source by its digest."""
    write_atomically(_place(digest, cache), json.dumps({"format": _FORMAT, **asdict(facts)}).encode())


def recall(digest: str, *, cache: Path) -> SourceFacts | None:
    """Return the facts of a source that was seen before; None: it was not. Reads one small file."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        table = json.loads(_place(digest, cache).read_bytes())
        if table["format"] == _FORMAT:
            return SourceFacts(requires=tuple(table["requires"]), backend=table["backend"], epoch=int(table["epoch"]))
    return None


def _place(digest: str, cache: Path) -> Path:
    return cache / "sources" / digest[:2] / f"{digest}.json"
