"""A lock in, a folder with its wheels out: each downloaded once for all jobs, verified, and linked by its name."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from wheelhouse.errors import RequirementsError
from wheelhouse.locking import always
from wheelhouse.requirements.lock import Requirements

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.locking import GoOn
    from wheelhouse.requirements.lock import Lock, Pin

_AT_ONCE = 4


def gather(lock: Lock, *, cache: Path, folder: Path, go_on: GoOn = always) -> Requirements:
    """Put the lock's wheels into `folder`, which is made.

    Raises RequirementsError where one cannot be had, or is not the wheel that was resolved.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - start-up time

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda pin: _put(pin, cache, folder, go_on), lock.pins):
            pass
    return Requirements(lock=lock, folder=folder)


def _put(pin: Pin, cache: Path, folder: Path, go_on: GoOn) -> None:
    from wheelhouse.download import download  # noqa: PLC0415 - start-up time

    if pin.filename in {"", ".", ".."} or "/" in pin.filename or os.sep in pin.filename:
        raise RequirementsError(f"`{pin.filename}` is not a wheel's filename", where=pin.url)
    wheel = download(pin.url, sha256=pin.sha256, cache=cache, what=pin.filename, raises=RequirementsError, go_on=go_on)
    target = folder / pin.filename
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(wheel)
    except OSError:  # another file system, or one without links
        shutil.copyfile(wheel, target)
