"""Processes killed at any moment, and the power cut: what was promised is there."""

from __future__ import annotations

import hashlib
import io
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from disks import assert_was_cut, cut_power, make_disk, mounted
from wheelhouse.spool import Spool, fsck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = Path(__file__).with_name("busy_spool.py")


@contextmanager
def busy(what: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program over a spool; it is dead at the end."""
    command = [sys.executable, str(PROGRAM), what, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        output(process).close()
        assert process.stdin is not None
        process.stdin.close()


def begin(*processes: subprocess.Popen[str]) -> None:
    """Let programs deliver, all of them at once: none has finished before another is there."""
    for process in processes:
        assert output(process).readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def promises(lines: Sequence[str]) -> set[tuple[str, str]]:
    """Return what was promised; a line without its end was cut off before the promise was heard."""
    return {(sha256, name) for sha256, name in (line.split() for line in lines if line.endswith("\n"))}


def kept(spool: Spool) -> set[tuple[str, str]]:
    return {
        (item.sha256, item.name)
        for item in spool.items()
        if hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256
    }


def test_kill__while_accepting__every_promise_is_kept(tmp_path: Path) -> None:
    promised: set[tuple[str, str]] = set()
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    for _ in range(6):
        with busy("accept", tmp_path / "spool") as process:
            lines = [output(process).readline()]
            time.sleep(chance.uniform(0.0, 0.15))
            process.kill()
            lines += output(process).readlines()
        promised |= promises(lines)

        with Spool(tmp_path / "spool") as spool:
            assert promised <= kept(spool)
            assert list((spool.folder / "incoming").iterdir()) == []
            assert fsck(spool).sound
    assert len(promised) > 6


def test_kill__while_delivering__others_take_over_at_once(tmp_path: Path) -> None:
    fill(tmp_path / "spool", 40)
    with busy("deliver", tmp_path / "spool") as process:
        begin(process)
        told = [output(process).readline() for _ in range(21)]
        process.kill()
        told += output(process).readlines()
    with busy("deliver", tmp_path / "spool") as process:
        begin(process)
        told += output(process).readlines()
        assert process.wait(10) == 0

    ends = [line.split()[1] for line in told if line.startswith("end")]
    assert {int(number) for number in ends} == set(range(1, 41))
    with Spool(tmp_path / "spool") as spool:
        assert spool.items() == []
        assert list(spool.files.names()) == []


def test_two_processes__deliver__each_item_once_and_in_order(tmp_path: Path) -> None:
    fill(tmp_path / "spool", 60)
    with busy("deliver", tmp_path / "spool") as one, busy("deliver", tmp_path / "spool") as other:
        begin(one, other)
        told = [output(process).readlines() for process in (one, other)]

    ends = [[line.split()[1:] for line in lines if line.startswith("end")] for lines in told]
    assert all(ends), "both had work"
    assert sorted(int(number) for lines in ends for number, _ in lines) == list(range(1, 61))
    for lines in ends:
        for project in ("p0", "p1", "p2", "p3", "p4"):
            mine = [int(number) for number, key in lines if key == project]
            assert mine == sorted(mine)


def fill(folder: Path, count: int) -> None:
    with Spool(folder) as spool:
        for number in range(count):
            spool.accept(io.BytesIO(b"%d" % number), target="t", name=str(number), order_key=f"p{number % 5}")


def test_power_cut__while_accepting__every_promise_is_kept(tmp_path: Path) -> None:
    image, copy = tmp_path / "disk", tmp_path / "disk-after-the-cut"
    make_disk(image)

    with mounted(image, tmp_path / "before") as disk, busy("accept", disk / "spool") as process:
        lines = [output(process).readline() for _ in range(60)]
        process.send_signal(signal.SIGSTOP)
        cut_power(image, disk, copy)
        process.kill()
        lines += output(process).readlines()
    with mounted(copy, tmp_path / "after") as disk:
        assert_was_cut(disk)
        with Spool(disk / "spool") as spool:
            assert promises(lines) <= kept(spool)
            assert fsck(spool).sound
    assert len(promises(lines)) >= 60
