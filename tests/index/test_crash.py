"""kill -9 and power cuts: what was acknowledged is there with its bytes, no manifest lies, nothing is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from packaging.utils import canonicalize_name

from disks import assert_was_cut, cut_power, make_disk, mounted
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.stores.folder import FolderStore

ROUNDS = 4
WRITERS = 2
ACKNOWLEDGED = 30
"""Before the power is cut."""
SPAM = canonicalize_name("spam")
WRITER = Path(__file__).with_name("writer.py")


def start(store: Path, sources: Path, word: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, WRITER, store, sources, word], stdout=output, env=environment)


def test_folder__writers_killed_at_random__keeps_what_it_acknowledged(tmp_path: Path) -> None:
    store, acknowledged = tmp_path / "store", tmp_path / "acknowledged"
    (tmp_path / "sources").mkdir()
    chance = random.Random(7)  # noqa: S311 - only spreads the moments
    for number in range(ROUNDS):
        with acknowledged.open("ab") as output:
            writers = [start(store, tmp_path / "sources", f"{number}.{each}", output) for each in range(WRITERS)]
            before = output.tell()
            while acknowledged.stat().st_size == before:
                time.sleep(0.01)
                assert all(writer.poll() is None for writer in writers)
            time.sleep(chance.uniform(0, 0.3))
            for writer in writers:
                writer.kill()
                writer.wait()
    assert len(acknowledged.read_text().splitlines()) >= ROUNDS
    assert_true(store, acknowledged)


def test_folder__power_cut__keeps_what_it_acknowledged(tmp_path: Path) -> None:
    image, copy = tmp_path / "disk", tmp_path / "disk-after-the-cut"
    make_disk(image)
    acknowledged = tmp_path / "acknowledged"
    (tmp_path / "sources").mkdir()
    with mounted(image, tmp_path / "before") as disk, acknowledged.open("ab") as output:
        writer = start(disk / "store", tmp_path / "sources", "cut", output)
        while acknowledged.read_bytes().count(b"\n") < ACKNOWLEDGED:
            time.sleep(0.01)
            assert writer.poll() is None
        writer.send_signal(signal.SIGSTOP)
        cut_power(image, disk, copy)
        writer.kill()
        writer.wait()
    with mounted(copy, tmp_path / "after") as disk:
        assert_was_cut(disk)
        assert_true(disk / "store", acknowledged)


def assert_true(store: Path, acknowledged: Path) -> None:
    """Hold a store against what its writers were told is safe."""
    opened = FolderStore.open(store)
    manifest = opened.read_manifest(SPAM)
    assert manifest is not None
    published = {file.filename: file.sha256 for file in manifest.files}
    lines = [line.split() for line in acknowledged.read_text().splitlines()]
    assert [line for line in lines if published.get(line[0]) != line[1]] == []
    assert [account.damages for account in verify(opened)] == [()]
    assert list((store / "scratch").iterdir()) == []
