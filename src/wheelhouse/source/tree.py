"""A source specification in; a verified, unpacked and patched source tree out. Hash first, unpack after."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.download import download, verified
from wheelhouse.errors import SourceError
from wheelhouse.locking import always
from wheelhouse.source.facts import SourceFacts, read_facts, recall, remember
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wheelhouse.job import Patch, SourceSpec
    from wheelhouse.joblog import JobLog
    from wheelhouse.locking import GoOn


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """An unpacked, patched source."""

    root: Path
    """The folder with `pyproject.toml` or `setup.py`."""
    facts: SourceFacts


def remembered_facts(spec: SourceSpec, *, cache: Path) -> SourceFacts | None:
    """Return what this very source said when it was last unpacked; None: it never was. Reads one small file."""
    return recall(spec.digest, cache=cache)


def fetch(spec: SourceSpec, *, cache: Path, index: Callable[[], str], go_on: GoOn = always) -> Path:
    """Return the path of the source's archive in the cache; its hash is the recipe's.

    `index` (the Simple API's root) is called only where the index must be asked. Raises SourceError.
    """
    if found := verified(spec.sha256, cache=cache):
        return found
    with _of(spec):
        url = spec.url
        if url is None:
            from wheelhouse.source.location import sdist_url  # noqa: PLC0415 - start-up time

            url = sdist_url(spec, index=index())
        return download(url, sha256=spec.sha256, cache=cache, what="the source", go_on=go_on)


def prepare(
    spec: SourceSpec,
    *,
    cache: Path,
    index: Callable[[], str],
    destination: Path,
    log: JobLog,
    go_on: GoOn = always,
) -> SourceTree:
    """Fetch, verify, unpack and patch a source into the empty folder `destination`, and read its facts.

    All files end with the epoch as their time and with mode 644 or 755. Raises SourceError.
    """
    from wheelhouse.source.archive import settle, unpack  # noqa: PLC0415 - start-up time
    from wheelhouse.source.patching import apply_patch  # noqa: PLC0415 - likewise

    archive = fetch(spec, cache=cache, index=index, go_on=go_on)
    log.line(f"source {spec.project} {spec.version}, sha256 {spec.sha256}")
    with _of(spec):
        unpacked = unpack(archive, destination)
        for patch in spec.patches:
            _verify(patch)
            apply_patch(patch.path, unpacked.top)
            log.line(f"patch {patch.path.name}, sha256 {patch.sha256}")
        settle(destination, epoch=unpacked.epoch)
        root = _subdirectory(unpacked.top, spec.subdirectory)
        facts = read_facts(root, epoch=unpacked.epoch)
    remember(facts, digest=spec.digest, cache=cache)
    return SourceTree(root=root, facts=facts)


def _verify(patch: Patch) -> None:
    """Hold the patch against the hash that is part of the build key: the file may have been edited since."""
    try:
        actual = sha256_of(patch.path)
    except OSError as error:
        raise SourceError(f"the patch cannot be read: {error.strerror}", where=str(patch.path)) from error
    if actual != patch.sha256:
        raise SourceError(
            f"the patch has changed since the run began: expected sha256 {patch.sha256}, actual {actual}",
            where=str(patch.path),
            hint="start the command again",
        )


def _subdirectory(top: Path, name: str) -> Path:
    root = top / name
    if not root.is_dir() or not root.resolve().is_relative_to(top.resolve()):
        there = ", ".join(sorted(path.name for path in top.iterdir() if path.is_dir())) or "none"
        raise SourceError(f"the source has no folder `{name}`", hint=f"source.subdirectory; folders there: {there}")
    return root


@contextmanager
def _of(spec: SourceSpec) -> Iterator[None]:
    """Say in every error which source it is about."""
    try:
        yield
    except SourceError as error:
        raise SourceError(
            f"{spec.project} {spec.version}: {error.message}", where=error.where, hint=error.hint
        ) from error
