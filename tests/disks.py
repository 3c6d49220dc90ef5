"""A small file system of its own, and what of it a power cut would leave."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEVER_SYNCED = "never-synced"


def make_disk(image: Path) -> None:
    """Make an ext4 file system in a file; skip the test where that cannot be."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("making and mounting a file system needs root and mkfs.ext4")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image; skip the test where this machine does not allow it."""
    folder.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"an image cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def cut_power(image: Path, disk: Path, copy: Path) -> None:
    """Copy the image as the disk has it now: without what only the page cache knows. The writers must stand still."""
    (disk / NEVER_SYNCED).write_bytes(b"here, but not on the disk")
    shutil.copyfile(image, copy)


def assert_was_cut(disk: Path) -> None:
    """Say whether the cut was one: a file that nobody synced has lost its bytes, if not its name."""
    lost = disk / NEVER_SYNCED
    assert not lost.exists() or not lost.read_bytes(), "the cut was none"
