"""Bytes that are on the disk, under a name that nobody looks for, in; the same under their sha256 out: `ab/ab12…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from wheelhouse.spool.disk import sync_folder

if TYPE_CHECKING:
    from wheelhouse.index.model import Sha256
    from wheelhouse.index.stores.locks import Locks

Giver: TypeAlias = Callable[[str], None]
"""Gives a file a name: a link or a rename."""


def blob_path(folder: str, sha256: Sha256) -> str:
    """Return where some bytes lie."""
    return f"{folder}/{sha256[:2]}/{sha256}"


def adopt(folder: str, locks: Locks, givers: Mapping[Sha256, tuple[Giver, int]]) -> set[str]:
    """Give bytes of known sizes their names, where they have none yet. Raises OSError.

    Returns the folders of the names. They are to be synced even where the bytes were there: who was first may not have
    come so far yet.
    """
    paths = {sha256: blob_path(folder, sha256) for sha256 in givers}
    for sha256 in locks.each(givers):
        give, size = givers[sha256]
        path = paths[sha256]
        found = _size(path)
        if found == size:
            os.utime(path)
            continue
        if found is not None:  # cut short by a failing disk
            os.unlink(path)
        try:
            give(path)
        except FileNotFoundError:  # a store from elsewhere, without the empty shelves
            os.mkdir(os.path.dirname(path))
            sync_folder(folder)
            give(path)
    return {os.path.dirname(path) for path in paths.values()}


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
