"""Small files of any projects in; each published or refused by itself, with one wait for the disk for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.changes.repository import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.index.changes.repository import NewFile, Repository
    from wheelhouse.index.model import Manifest, Sha256

#: What became of a file: what `Repository.add_file` would return, or raise.
End: TypeAlias = Outcome | Exception


def add_together(repository: Repository, arrivals: Sequence[tuple[NewFile, bytes]]) -> list[End]:
    """Publish files of which no two claim the same; return what became of each.

    Bytes and metadata are in the store before a manifest names them. Raises StoreUnavailableError: any of them may be
    published then.
    """
    before = {project: repository.store.read_manifest(project) for project in {new.name.project for new, _ in arrivals}}
    ends: dict[str, End] = {}
    welcome: dict[NormalizedName, list[NewFile]] = {}
    blobs: list[tuple[bytes, Sha256]] = []
    for new, data in arrivals:
        refused = _refused(repository, before[new.name.project], new)
        if refused is not None:
            ends[new.name.filename] = refused
            continue
        welcome.setdefault(new.name.project, []).append(new)
        blobs += [(data, new.sha256), *new.beside]
    ends |= _write(repository, before, welcome, blobs)
    return [ends[new.name.filename] for new, _ in arrivals]


def _refused(repository: Repository, manifest: Manifest | None, new: NewFile) -> IndexRefusesError | None:
    try:
        repository.judge(manifest, [new])
        if repository.base is not None:
            repository.judge(repository.base.read_manifest(new.name.project), [new])
    except IndexRefusesError as error:
        return error
    return None


def _write(
    repository: Repository,
    before: Mapping[NormalizedName, Manifest | None],
    welcome: Mapping[NormalizedName, Sequence[NewFile]],
    blobs: Sequence[tuple[bytes, Sha256]],
) -> dict[str, End]:
    """Bring bytes into the store, and the files into their manifests; where somebody was in between, one by one."""
    ends: dict[str, End] = {}
    afters: dict[NormalizedName, Manifest] = {}
    for project, news in welcome.items():
        files = [repository.file_of(new) for new in news]
        outcomes, after = repository.listing(before[project], project, news, files)
        ends |= {new.name.filename: outcome for new, outcome in zip(news, outcomes, strict=True)}
        if after is not None:
            afters[project] = after
    swapped = repository.store.write(blobs, list(afters.values()))
    lost = {project for project, done in zip(afters, swapped, strict=True) if not done}
    for project, news in welcome.items():
        if project in lost:
            ends |= {new.name.filename: _list_one(repository, new) for new in news}
        elif (manifest := afters.get(project) or before[project]) is not None:
            repository.known(manifest)
    return ends


def _list_one(repository: Repository, new: NewFile) -> End:
    try:
        return repository.list_files(new.name.project, [new], [repository.file_of(new)])[0]
    except IndexRefusesError as error:
        return error
