from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from wheelhouse.spool.group_commit import GroupCommit

THREADS = 8
EACH = 40


def test_commit__asked_by_many__serves_each_by_a_run_that_began_later() -> None:
    commits = GroupCommit()
    written: list[tuple[int, int]] = []
    on_disk: set[tuple[int, int]] = set()
    runs: list[int] = []

    def sync() -> None:
        reached = list(written)  # what is written from here on is not reached any more
        time.sleep(0.001)
        on_disk.update(reached)
        runs.append(len(reached))

    def write(thread: int) -> list[tuple[int, int]]:
        missing = []
        for number in range(EACH):
            written.append((thread, number))
            commits.commit("disk", sync)
            if (thread, number) not in on_disk:
                missing.append((thread, number))
        return missing

    with ThreadPoolExecutor(THREADS) as pool:
        missing = [one for found in pool.map(write, range(THREADS)) for one in found]

    assert missing == []
    assert EACH <= len(runs) < THREADS * EACH / 2


def test_commit__of_other_things__do_not_wait_for_each_other() -> None:
    commits, entered, leave = GroupCommit(), threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        leave.wait(10)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(commits.commit, "one", slow)
        assert entered.wait(10)
        commits.commit("other", lambda: None)
        assert not first.done()
        leave.set()
        first.result()


def test_commit__fails__all_who_waited_are_told_and_the_next_one_works() -> None:
    commits, entered, leave = GroupCommit(), threading.Event(), threading.Event()
    tries: list[int] = []

    def slow() -> None:
        entered.set()
        leave.wait(10)

    def fail() -> None:
        tries.append(1)
        raise OSError("the disk is gone")

    with ThreadPoolExecutor(4) as pool:
        before = pool.submit(commits.commit, "disk", slow)
        assert entered.wait(10)
        behind = [pool.submit(commits.commit, "disk", fail) for _ in range(3)]
        time.sleep(0.05)  # they wait
        leave.set()
        before.result()
        for one in behind:
            with pytest.raises(OSError, match="the disk is gone"):
                one.result()
    assert tries == [1]
    commits.commit("disk", lambda: None)
