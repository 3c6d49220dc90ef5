"""A store in, all that is not true about it out; and the removal of what nothing refers to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from wheelhouse.errors import NotOnIndexError, StoreDamagedError
from wheelhouse.index.changes.stages import expire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest, Sha256
    from wheelhouse.index.stores.store import Blob, Store

STAGE_LIFE = timedelta(days=7)
"""Files that nobody has published by then are dropped from their stage."""
GRACE = timedelta(days=1)
"""Bytes without a manifest may belong to an upload on its way; no upload takes so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing in the store that is not as a manifest says."""

    project: NormalizedName
    filename: str | None
    """None: the manifest itself."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was found of one project."""

    project: NormalizedName
    files: int
    size: int
    """Bytes read, metadata and provenance with them."""
    damages: tuple[Damage, ...]
    stage: NormalizedName | None = None
    """Where the files are that are not on the index yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What `collect_garbage` removed, or would remove."""

    blobs: int
    size: int
    """Bytes of the blobs."""
    expired: int = 0
    """Files on stages that nobody has published in time."""
    leftovers: int
    """Superseded generations and pieces that crashes left."""


def verify(store: Store) -> Iterator[Account]:
    """Read every byte that a manifest names, one project after the other, those on stages last."""
    for project in sorted(store.projects()):
        yield verify_project(store, project)
    for stage in store.stages():
        staged = store.staged(stage)
        for project in sorted(staged.projects()):
            yield replace(verify_project(staged, project), stage=stage)


def verify_project(store: Store, project: NormalizedName) -> Account:
    """Hold the bytes of one project's files against its manifest."""
    try:
        manifest = store.read_manifest(project)
    except StoreDamagedError as error:
        damage = Damage(project=project, filename=None, message=str(error))
        return Account(project=project, files=0, size=0, damages=(damage,))
    if manifest is None:  # cannot be once it was listed, but then there is nothing to say
        return Account(project=project, files=0, size=0, damages=())
    read = 0
    damages = []
    for file in manifest.files:
        for kind, digest in (("", file.sha256), ("metadata: ", file.core_metadata), ("provenance: ", file.provenance)):
            if digest is None:
                continue
            size, problem = _read(store, digest, None if kind else file.size)
            read += size
            if problem:
                damages.append(Damage(project=project, filename=file.filename, message=f"{kind}{problem}"))
    return Account(project=project, files=len(manifest.files), size=read, damages=tuple(damages))


def _read(store: Store, sha256: Sha256, promised: int | None) -> tuple[int, str | None]:
    digest = hashlib.sha256()
    size = 0
    try:
        for data in store.open_range(sha256):
            digest.update(data)
            size += len(data)
    except NotOnIndexError:
        return 0, "its bytes are not in the store"
    if promised is not None and size != promised:
        return size, f"{size} bytes long, not {promised}"
    if digest.hexdigest() != sha256:
        return size, f"its bytes have sha256 {digest.hexdigest()}, not {sha256}"
    return size, None


def collect_garbage(
    store: Store,
    *,
    now: datetime,
    grace: timedelta = GRACE,
    stage_life: timedelta = STAGE_LIFE,
    dry_run: bool = False,
) -> Garbage:
    """Remove blobs that no manifest names and that nobody has put within `grace`; drop what was staged too long ago.

    Raises StoreDamagedError, before anything is removed, if one manifest cannot be read: what it names is not known.
    """
    put_before = now - grace
    expired = len(list(expire(store, staged_before=now - stage_life, removed_before=put_before, dry_run=dry_run)))
    old = [blob for blob in store.blobs() if blob.modified < put_before]  # before the manifests: see `_named`
    named = _named(store)
    orphans = [blob for blob in old if blob.sha256 not in named]
    if dry_run:
        return _garbage(orphans, expired=expired, leftovers=0)
    gone = [blob for blob in orphans if store.remove_blob(blob.sha256, put_before=put_before)]
    return _garbage(gone, expired=expired, leftovers=store.tidy(put_before=put_before))


def _garbage(blobs: list[Blob], *, expired: int, leftovers: int) -> Garbage:
    size = sum(blob.size for blob in blobs)
    return Garbage(blobs=len(blobs), size=size, expired=expired, leftovers=leftovers)


def _named(store: Store) -> set[Sha256]:
    """Return all that manifests name now: whoever names an old blob from now on has put it again first.

    Stages come first: what leaves one while this reads has gone to the index, and is met there.
    """
    rooms = [*map(store.staged, store.stages()), store]
    manifests: Iterator[Manifest | None] = (
        room.read_manifest(project) for room in rooms for project in room.projects()
    )
    return {digest for manifest in manifests if manifest for file in manifest.files for digest in file.blobs}
