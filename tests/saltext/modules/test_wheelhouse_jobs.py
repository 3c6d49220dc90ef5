"""The journal of tickets, by itself: its program runs without Salt, and so do its functions."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FILE = Path(__file__).parents[3] / "saltext/src/saltext/wheelhouse/modules/wheelhouse_jobs.py"
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(77)
"""


@pytest.fixture(scope="module")
def jobs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheelhouse_jobs", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(jobs: ModuleType, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    for process in jobs._RUNNERS:
        process.terminate()
        process.wait(20)


def start(
    jobs: ModuleType, root: str, code: str, ticket: str = "t1", timeout: float = 30.0, **more: Any
) -> dict[str, Any]:
    command = [sys.executable, "-I", "-c", code]
    told: dict[str, Any] = jobs.start(root, ticket, command, {"PATH": os.defpath, "WHO": "me"}, timeout, **more)
    return told


def runner(root: str, ticket: str = "t1") -> psutil.Process:
    path = Path(root) / "tickets" / ticket / "runner.json"
    end = time.monotonic() + 10
    while not path.is_file():
        assert time.monotonic() < end
        time.sleep(0.01)
    return psutil.Process(json.loads(path.read_text())["pid"])


def test_start__a_command__its_result_is_kept_and_told(jobs: ModuleType, root: str) -> None:
    code = "import json, os, sys; print(json.dumps([os.environ['WHO']])); print('well', file=sys.stderr); sys.exit(3)"
    assert start(jobs, root, code, job="j")["state"] == "running"
    told = jobs.wait(root, "t1", 30)
    assert told["state"] == "done"
    assert (told["status"], told["output"], told["said"], told["job"]) == (3, ["me"], "well\n", "j")
    assert jobs.look(root, "t1") == told  # from the disk, as often as somebody asks


def test_start__same_ticket_again__is_not_started_twice(jobs: ModuleType, root: str, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'began')!r}, 'a').write('x'); import time; time.sleep(0.5)"
    threads = [threading.Thread(target=start, args=(jobs, root, code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs.wait(root, "t1", 30)["state"] == "done"
    assert start(jobs, root, code)["state"] == "done"
    assert (tmp_path / "began").read_text() == "x"
    assert jobs.known(root) == ["t1"]


def test_start__no_such_command__is_done_and_says_so(jobs: ModuleType, root: str) -> None:
    jobs.start(root, "t1", ["/no/such/command"], {}, 10.0)
    told = jobs.wait(root, "t1", 30)
    assert (told["state"], told["status"]) == ("done", 127)
    assert "cannot start /no/such/command" in told["said"]


def test_start__too_slow__is_ended_with_its_children(jobs: ModuleType, root: str) -> None:
    start(jobs, root, "import subprocess, sys; subprocess.run(['sleep', '77'])", timeout=0.5)
    child = runner(root).children(recursive=True)
    told = jobs.wait(root, "t1", 30)
    assert (told["state"], told["status"]) == ("timeout", -signal.SIGTERM)  # asked politely, which it hears
    assert not any(process.is_running() and process.status() != "zombie" for process in child)


def test_start__files__lie_in_a_registry_of_the_tickets_own(jobs: ModuleType, root: str) -> None:
    prepared = jobs.draft(root, {"wheelhouse.toml": b"", "recipes/spam/recipe.toml": b"[7]"})
    code = "import sys, pathlib; print(pathlib.Path(sys.argv[1], 'recipes/spam/recipe.toml').read_text())"
    jobs.start(root, "t1", [sys.executable, "-c", code, "{registry}"], {}, 30.0, prepared=prepared)
    assert jobs.wait(root, "t1", 30)["output"] == [7]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a//b", "."])
def test_draft__a_path_that_leads_out__is_refused(jobs: ModuleType, root: str, name: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        jobs.draft(root, {name: b""})


@pytest.mark.parametrize("ticket", ["", "../x", "a/b", ".hidden", "x" * 200, 1.1])
def test_look__what_is_no_ticket__is_refused(jobs: ModuleType, root: str, ticket: Any) -> None:
    with pytest.raises(ValueError, match="is no ticket"):
        jobs.look(root, ticket)


def test_look__the_runner_was_killed__is_lost_and_its_command_ends(jobs: ModuleType, root: str) -> None:
    start(jobs, root, "import time; time.sleep(77)")
    killed = runner(root)
    (child,) = killed.children()
    killed.kill()
    jobs._RUNNERS[0].wait(10)
    assert jobs.look(root, "t1")["state"] == "lost"
    assert child.wait(10) is None or not child.is_running()


def test_cancel__a_running_ticket__ends_its_command(jobs: ModuleType, root: str) -> None:
    start(jobs, root, "import time; time.sleep(77)")
    assert jobs.cancel(root, "t1")["state"] == "canceled"
    assert jobs.look(root, "t1")["state"] == "canceled"


def test_cancel__a_command_that_will_not_end__is_killed(jobs: ModuleType, root: str) -> None:
    start(
        jobs,
        root,
        _STUBBORN,
    )
    runner(root)
    while not (Path(root) / "tickets/t1/out.json").read_text():
        time.sleep(0.02)
    assert jobs.cancel(root, "t1")["state"] == "canceled"
    assert jobs.look(root, "t1")["status"] == -signal.SIGKILL


def test_cancel__a_ticket_that_is_still_to_come__is_never_started(jobs: ModuleType, root: str, tmp_path: Path) -> None:
    assert jobs.cancel(root, "t1")["state"] == "canceled"
    assert start(jobs, root, f"open({str(tmp_path / 'began')!r}, 'w')")["state"] == "canceled"
    assert not (tmp_path / "began").exists()


def test_cancel__what_is_done__stays_done(jobs: ModuleType, root: str) -> None:
    start(jobs, root, "pass")
    jobs.wait(root, "t1", 30)
    assert jobs.cancel(root, "t1")["state"] == "done"


def test_log__of_the_job__comes_with_the_result_if_it_was_written_now(
    jobs: ModuleType, root: str, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    start(jobs, root, f"open({str(log)!r}, 'w').write('line')", log=str(log))
    assert jobs.wait(root, "t1", 30)["log"] == "line"
    os.utime(log, (1, 1))
    start(jobs, root, "pass", ticket="t2", log=str(log))
    assert jobs.wait(root, "t2", 30)["log"] == ""


def test_old_tickets__are_forgotten(jobs: ModuleType, root: str) -> None:
    start(jobs, root, "pass")
    jobs.wait(root, "t1", 30)
    for process in jobs._RUNNERS:  # it holds the ticket a moment longer than it runs
        process.wait(20)
    os.utime(Path(root) / "tickets/t1", (1, 1))
    start(jobs, root, "pass", ticket="t2")
    jobs.wait(root, "t2", 30)
    assert jobs.known(root) == ["t2"]
