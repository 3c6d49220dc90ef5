"""Builds that this machine had too little, or too old a library, for in; the newest older version that may do out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.diagnose.logtext import plain
from wheelhouse.errors import SourceError
from wheelhouse.trial.codes import IMPORT_FAILED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wheelhouse.finding import Finding
    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.survey import Survey
    from wheelhouse.lifecycle.upstream import Release
    from wheelhouse.record import Record

    #: Fetches `project==version` and reads its source; the last says whether that has a word.
    Look = Callable[[str, str | None], tuple[Found, Survey, bool]]

#: Versions that are looked at: the last of each series, as 1.2 is one.
_MOST = 10
#: What a newer library would mend, and no word tells which versions ask for.
_TOO_OLD = frozenset({"library-too-old", "rust-too-old"})
_COMPILED = frozenset({"compile-error", "compiler-too-strict", "undefined-symbol"})
_NAME = re.compile(r"`([^`]+)`")
#: How compilers, linkers and loaders name what a header or a library does not have.
_UNKNOWN = re.compile(
    r"""'(?:struct\ )?(?P<a>\w+)'\ (?:undeclared|was\ not\ declared|is\ not\ a\ member|has\ not\ been\ declared)
    |(?:undeclared\ (?:identifier|function)|implicit\ declaration\ of\ function|unknown\ type\ name|no\ member\ named
       |incomplete\ type|undefined\ type|declaration\ of)\ '(?:(?:struct|enum|union)\ )?(?P<b>\w+)'
    |undefined\ (?:symbol:\ |reference\ to\ ')(?P<c>\w+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What kept a version from being built here."""

    what: str
    """In words."""
    word: str | None
    """What the source of a version says that asks for it; None: nothing tells."""
    only: bool = False
    """Whether no version that says so can be built here: of what is there in another version, some may."""


def lacking(records: Sequence[Record]) -> Lack | None:
    """Return what builds, each after a change, ended for want of; None: of nothing that an older version does without.

    A package that was missing before the last is there since; what a compiler did not know, a flag only hides.
    """
    last = next((lack for record in records[-1:] for lack in _lacks(record)), None)
    return last or next((lack for record in reversed(records) for lack in _lacks(record) if not lack.only), None)


def older_without(lack: Lack, found: Found, *, releases: Sequence[Release], look: Look) -> tuple[Found, Survey] | None:
    """Return the newest version before `found` that does not ask for what is lacking, where `found` does.

    Where all ask for what is there in another version, that is the one before. `releases`: newest first.
    """
    project = found.project
    if lack.word is not None and not look(f"{project}=={found.version}", lack.word)[2]:
        return None
    before: tuple[Found, Survey] | None = None
    series = {found.version.release[:2]}
    for release in releases:
        version = release.version
        if version >= found.version or version.is_prerelease or release.yanked or release.sdist is None:
            continue
        if version.release[:2] in series:
            continue
        series.add(version.release[:2])
        if len(series) > _MOST:
            break
        try:
            older, told, asks = look(f"{project}=={version}", lack.word)
        except SourceError:
            continue
        if not asks:
            return older, told
        before = before or (older, told)
    return None if lack.only else before


def _lacks(record: Record) -> Iterator[Lack]:
    cause = record.cause
    if cause is None:
        return
    if cause.kind.startswith("missing-") and (name := _NAME.search(cause.message)):
        yield Lack(what=name[1], word=name[1], only=True)
    elif cause.kind == "python-not-supported" or any(map(_refuses_python, record.findings)):
        yield Lack(what="another Python", word=None)
    elif cause.kind in _TOO_OLD:
        yield Lack(what=f"more than this machine has ({cause.message})", word=None)
    texts = [finding.message for finding in record.findings if finding.code == IMPORT_FAILED]
    if cause.kind in _COMPILED:
        texts.append(cause.evidence or "")
    for text in texts:
        if unknown := _UNKNOWN.search(plain(text)):
            word = str(unknown["a"] or unknown["b"] or unknown["c"])
            if not re.match("_?Py", word):  # which no other library of this machine would have
                yield Lack(what=word, word=word)


def _refuses_python(finding: Finding) -> bool:
    return finding.code == REFUSED and "does not satisfy Python" in finding.message  # uv's words
