from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from wheelhouse.builders.kept import kept_folder
from wheelhouse.locking import always

if TYPE_CHECKING:
    from pathlib import Path


def write(target: Path) -> None:
    target.mkdir()
    (target / "made").touch()


def test_kept_folder__is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(target: Path) -> None:
        made.append(target)
        time.sleep(0.1)
        write(target)

    askers = [
        threading.Thread(target=kept_folder, args=(tmp_path, "a", make), kwargs={"go_on": always}) for _ in range(3)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert len(made) == 1
    assert (kept_folder(tmp_path, "a", make, go_on=always) / "made").exists()
    assert len(made) == 1


def test_kept_folder__failure_leaves_nothing(tmp_path: Path) -> None:
    def make(target: Path) -> None:
        write(target)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        kept_folder(tmp_path, "a", make, go_on=always)

    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert kept_folder(tmp_path, "a", write, go_on=always).is_dir()


def test_kept_folder__unused_for_long_is_removed_when_another_is_made(tmp_path: Path) -> None:
    old = kept_folder(tmp_path, "old", write, go_on=always)
    used = kept_folder(tmp_path, "used", write, go_on=always)
    os.utime(old, (1, 1))
    os.utime(used, (1, 1))

    kept_folder(tmp_path, "used", write, go_on=always)
    kept_folder(tmp_path, "new", write, go_on=always)

    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["new", "used"]
