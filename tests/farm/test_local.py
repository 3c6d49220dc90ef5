from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from fakes import FakeFacts, a_job, a_record
from wheelhouse.farm import local
from wheelhouse.plan import make_plan
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.job import Job
    from wheelhouse.plan import Planned
    from wheelhouse.record import Record


class Workers:
    """Stands for the pipeline: notes what runs, and fails what it is told to."""

    def __init__(self, *failing: str, seconds: float = 0.0) -> None:
        self.failing = failing
        self.seconds = seconds
        self.began: list[str] = []
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, entry: Planned, dependencies: Sequence[Record]) -> Record:
        with self._lock:
            self.began.append(entry.job.project)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(self.seconds)
        with self._lock:
            self.at_once -= 1
        return a_record(entry.job, status="failed" if entry.job.project in self.failing else "built")


def run(jobs: list[Job], workers: Workers, width: int = 2) -> dict[str, Record]:
    return local.run(
        make_plan(jobs, FakeFacts()),
        workers,
        width=width,
        processes=Processes(),
        reused=lambda entry: a_record(entry.job),
        finished=lambda entry, record: None,
    )


def test_run__one_of_ten_fails__nine_are_finished() -> None:
    records = run([a_job(f"p{number}") for number in range(10)], Workers("p3"))
    assert sum(record.status == "built" for record in records.values()) == 9


def test_run__dependency_fails__dependents_are_not_attempted_and_say_so() -> None:
    workers = Workers("a")
    jobs = [a_job("c", depends=("b",)), a_job("b", depends=("a",)), a_job("a"), a_job("other")]
    records = run(jobs, workers)
    assert sorted(workers.began) == ["a", "other"]
    causes = {record.project: record.cause.message for record in records.values() if record.cause}
    assert causes["b"] == "not attempted: a-1.0-cp311-manylinux_x86_64 failed"
    assert causes["c"] == "not attempted: b-1.0-cp311-manylinux_x86_64 failed"


def test_run__dependency__ends_before_its_dependent_begins() -> None:
    workers = Workers()
    run([a_job("user", depends=("library",)), a_job("library")], workers)
    assert workers.began == ["library", "user"]


def test_run__width__is_kept_and_used() -> None:
    workers = Workers(seconds=0.05)
    run([a_job(f"p{number}") for number in range(6)], workers, width=3)
    assert workers.most == 3


def test_run__no_rounds__a_ready_job_does_not_wait_for_slow_strangers() -> None:
    slow_ended = threading.Event()
    order: list[str] = []

    def worker(entry: Planned, dependencies: Sequence[Record]) -> Record:
        if entry.job.project == "slow":
            slow_ended.wait(5)
        order.append(entry.job.project)
        if entry.job.project == "user":
            slow_ended.set()
        return a_record(entry.job)

    jobs = [a_job("slow"), a_job("library"), a_job("user", depends=("library",))]
    local.run(
        make_plan(jobs, FakeFacts()),
        worker,
        width=2,
        processes=Processes(),
        reused=lambda entry: a_record(entry.job),
        finished=lambda entry, record: None,
    )
    assert order == ["library", "user", "slow"]


def test_run__interrupted__cancels_processes_and_comes_out() -> None:
    processes = Processes()

    def worker(entry: Planned, dependencies: Sequence[Record]) -> Record:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.run(
            make_plan([a_job()], FakeFacts()),
            worker,
            width=1,
            processes=processes,
            reused=lambda entry: a_record(entry.job),
            finished=lambda entry, record: None,
        )
    assert processes.canceled


def test_run__interrupted_while_a_job_hangs__does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_GRACE", 0.2)
    released = threading.Event()

    def worker(entry: Planned, dependencies: Sequence[Record]) -> Record:
        if entry.job.project == "stopped":
            raise KeyboardInterrupt
        released.wait(60)
        return a_record(entry.job)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        local.run(
            make_plan([a_job("hangs"), a_job("stopped")], FakeFacts()),
            worker,
            width=2,
            processes=Processes(),
            reused=lambda entry: a_record(entry.job),
            finished=lambda entry, record: None,
        )
    assert time.monotonic() - begun < 30
    released.set()
