from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import filelock
import pytest

from fakes import a_job
from wheelhouse.errors import CanceledError, MachineError
from wheelhouse.joblog import JobLog
from wheelhouse.locking import always
from wheelhouse.process import Processes
from wheelhouse.workplace import ENVIRONMENT_ROOT, sweep, work_root, workplace

if TYPE_CHECKING:
    from pathlib import Path

JOB = a_job()


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT_ROOT, str(tmp_path / "work"))
    return work_root()


def test_work_root__is_closed_to_others(root: Path) -> None:
    assert root.stat().st_mode & 0o077 == 0


def test_work_root__link_of_somebody__is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv(ENVIRONMENT_ROOT, str(tmp_path / "link"))
    with pytest.raises(MachineError, match="belongs to somebody else"):
        work_root()


def test_workplace__same_job__same_path_and_always_empty(tmp_path: Path, root: Path) -> None:
    log = JobLog(tmp_path / "log", job=JOB.id)
    with workplace(JOB, log, always) as first:
        (first / "file").touch()
    with workplace(JOB, log, always) as second:
        assert second == first
        assert list(second.iterdir()) == []
    assert not first.exists()


def test_workplace__left_by_a_killed_run__is_cleared(tmp_path: Path, root: Path) -> None:
    log = JobLog(tmp_path / "log", job=JOB.id)
    with workplace(JOB, log, always) as folder:
        pass
    (folder / "old").mkdir(parents=True)
    with workplace(JOB, log, always) as again:
        assert list(again.iterdir()) == []
    assert "removing what a killed run left" in log.path.read_text()


def test_workplace__another_process_is_at_the_job__waits_as_long_as_it_is_let(tmp_path: Path, root: Path) -> None:
    log, processes = JobLog(tmp_path / "log", job=JOB.id), Processes()
    with workplace(JOB, log, always) as folder:
        canceling = threading.Timer(0.5, processes.cancel)
        canceling.start()
        with pytest.raises(CanceledError), workplace(JOB, log, processes.go_on):
            pytest.fail("two were at the same job")
        assert folder.is_dir()


def test_sweep__abandoned_goes_and_what_is_in_use_stays(root: Path) -> None:
    abandoned, used, foreign = root / ("a" * 16), root / ("b" * 16), root / "mine"
    for folder in (abandoned, used, foreign):
        folder.mkdir()
    with filelock.FileLock(f"{used}.lock"):
        assert sweep() == 1
    assert sorted(path.name for path in root.iterdir()) == [f"{'a' * 16}.lock", "b" * 16, f"{'b' * 16}.lock", "mine"]
