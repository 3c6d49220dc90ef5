"""An unpacked source in; all that a recipe wants to know of it out: back end, names, extensions, licence, packages."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, Any

from wheelhouse.lifecycle.extensions import Sources, find_extensions, find_wishes
from wheelhouse.lifecycle.wanted import proposals
from wheelhouse.source.facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

    from wheelhouse.diagnose import PackageLookup
    from wheelhouse.lifecycle.extensions import Extension
    from wheelhouse.lifecycle.wanted import Proposal

_LICENCE_CLASSIFIER = "License :: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A value, and the file that says so."""

    value: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a source says."""

    backend: str
    requires: tuple[str, ...]
    import_names: Said | None
    """What `import` takes, of what is on top; None: the source does not say."""
    licence: Said | None
    extensions: tuple[Extension, ...]
    packages: tuple[Proposal, ...]
    """System packages that it is likely to need."""
    depends: tuple[str, ...]
    """`Requires-Dist` and `project.dependencies`, as they stand."""


def survey(root: Path, *, epoch: int, lookup: PackageLookup) -> Survey:
    """Read a source. Nothing of it is run.

    Raises SourceError where it is no Python source.
    """
    facts = read_facts(root, epoch=epoch)
    pyproject = _pyproject(root)
    sources = Sources(root, pyproject)
    metadata = _metadata(root)
    extensions, wishes = find_extensions(sources), find_wishes(sources)
    return Survey(
        backend=facts.backend,
        requires=facts.requires,
        import_names=_import_names(root, metadata, sources, extensions),
        licence=_licence(metadata, pyproject),
        extensions=extensions,
        packages=proposals(pyproject, wishes, lookup),
        depends=tuple(metadata.get_all("Requires-Dist") or pyproject.get("project", {}).get("dependencies", ())),
    )


def mentions(root: Path, word: str) -> bool:
    """Say whether a source has a word in what is compiled, or in what says how."""
    return Sources(root, _pyproject(root)).mention(word)


def _pyproject(root: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        return {}


def _metadata(root: Path) -> Message:
    try:
        return BytesHeaderParser().parsebytes((root / "PKG-INFO").read_bytes())
    except OSError:
        return BytesHeaderParser().parsebytes(b"")


def _import_names(root: Path, metadata: Message, sources: Sources, extensions: tuple[Extension, ...]) -> Said | None:
    """Return what is on top: as PEP 794 says it, as setuptools wrote it, as packages lie there, as extensions do."""
    if named := metadata.get_all("Import-Name"):
        names = [str(text).partition(";")[0].strip() for text in named]
        return _said((name for name in names if "." not in name), "PKG-INFO")
    for path in sorted(root.glob("*.egg-info/top_level.txt")) + sorted(root.glob("src/*.egg-info/top_level.txt")):
        return _said(path.read_text("utf-8", "replace").split(), str(path.relative_to(root)))
    if packages := dict.fromkeys(_packages(sources)):
        return _said(packages, "the packages in the source")
    return _said((extension.name.partition(".")[0] for extension in extensions), "the extension modules")


def _packages(sources: Sources) -> Iterator[str]:
    """Yield the packages at the top of the source, or of its folder `src`."""
    for path in sources.paths:
        parts = path.split("/")
        if parts[-1] == "__init__.py" and (len(parts) == 2 or (len(parts) == 3 and parts[0] == "src")):  # noqa: PLR2004 - depths
            yield parts[-2]


def _said(names: Any, where: str) -> Said | None:
    found = tuple(dict.fromkeys(name for name in names if name.isidentifier()))
    return Said(value=found, where=where) if found else None


def _licence(metadata: Message, pyproject: dict[str, Any]) -> Said | None:
    project = pyproject.get("project", {})
    expression = metadata.get("License-Expression") or project.get("license")
    if isinstance(expression, str):
        return Said(value=(expression,), where="PKG-INFO" if "License-Expression" in metadata else "pyproject.toml")
    classifiers = [*(metadata.get_all("Classifier") or ()), *project.get("classifiers", ())]
    words = [str(text).rpartition(" :: ")[2] for text in classifiers if str(text).startswith(_LICENCE_CLASSIFIER)]
    if words:
        return Said(value=tuple(dict.fromkeys(words)), where="classifiers")
    text = str(metadata.get("License", "")).strip().splitlines()
    return Said(value=(text[0],), where="PKG-INFO") if text and text[0] != "UNKNOWN" else None
