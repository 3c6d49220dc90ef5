"""A name and a way to make a folder in, the folder out: made once for all runs of a user, kept while it is used."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.locking import holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from wheelhouse.locking import GoOn

#: Seconds after its last use that what is kept for builds is removed: requirements move on.
KEPT_SECONDS = 30 * 24 * 3600.0


def kept_folder(shelf: Path, name: str, make: Callable[[Path], None], *, go_on: GoOn) -> Path:
    """Return the folder `name` of a shelf, which `make` makes at the path that it is given if it is not there yet.

    One process makes it, the others wait as long as `go_on` lets them. What `make` raises comes out, and leaves
    nothing behind.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    kept = shelf / name
    with holding(shelf / f"{name}.lock", go_on):
        if not kept.is_dir():
            _remove_unused(shelf)
            with tempfile.TemporaryDirectory(dir=shelf, prefix=".new-") as scratch:
                made = Path(scratch) / "made"
                make(made)
                made.rename(kept)
        os.utime(kept)
    return kept


def _remove_unused(shelf: Path) -> None:
    """Remove what nobody has asked for in long, and what killed runs left half made."""
    oldest = time.time() - KEPT_SECONDS
    for path in shelf.iterdir():
        with suppress(OSError):  # another run is removing it as well
            if path.is_dir() and path.stat().st_mtime < oldest:
                shutil.rmtree(path)
