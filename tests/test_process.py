from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from wheelhouse.errors import BuildTimeoutError, CanceledError, MachineError
from wheelhouse.process import WORK_VARIABLE, Failure, Processes, end_orphans

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run__output__comes_back_with_errors_in_it() -> None:
    done = Processes().run(python("import sys; print('out', flush=True); print('err', file=sys.stderr)"))
    assert done.output == "out\nerr\n"


def test_run__log__has_the_command_and_the_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    assert Processes().run(["echo", "a b"], log=log).output == ""
    assert log.read_text() == "before\n$ echo 'a b'\na b\n"


def test_run__status_not_zero__raises_with_what_ran() -> None:
    with pytest.raises(Failure, match=r"`false` ended with status 1"):
        Processes().run(["false"])


def test_run__status_not_zero_and_no_check__comes_back() -> None:
    assert Processes().run(["false"], check=False).returncode == 1


def test_run__no_such_program__says_what_to_install() -> None:
    with pytest.raises(MachineError) as caught:
        Processes().run(["no-such-program"])
    assert caught.value.hint == "install no-such-program, or put it on PATH"


def _wait_for(path: Path) -> int:
    deadline = time.monotonic() + 10
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_run__timeout__ends_the_whole_family(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(BuildTimeoutError, match="did not end within 1 s"):
        Processes().run(["sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; sleep 60"], timeout=0.6)
    assert _gone(_wait_for(pid))


def test_run__child_ends__what_it_left_in_the_background_ends_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    Processes().run(["sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {pid}"])
    assert _gone(_wait_for(pid))


def test_cancel__running__ends_it_and_refuses_more(tmp_path: Path) -> None:
    processes = Processes()
    pid = tmp_path / "pid"
    caught: list[BaseException] = []

    def work() -> None:
        try:
            processes.run(["sh", "-c", f"echo $$ > {pid}; sleep 60"])
        except CanceledError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    _wait_for(pid)
    processes.cancel()
    thread.join(10)
    assert len(caught) == 1
    with pytest.raises(CanceledError):
        processes.run(["true"])


@pytest.mark.parametrize("below", ["", "build"])
def test_end_orphans__processes_of_a_killed_run__have_ended(tmp_path: Path, below: str) -> None:
    named = {**os.environ, WORK_VARIABLE: os.fspath(tmp_path / below)}
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], named, setpgroup=0)
    # The new program's environment is to be seen only after its exec.
    deadline = time.monotonic() + 5
    while end_orphans(tmp_path) == 0:
        assert time.monotonic() < deadline
    assert not psutil.pid_exists(pid)


def test_end_orphans__processes_of_another_job__go_on(tmp_path: Path) -> None:
    named = {**os.environ, WORK_VARIABLE: os.fspath(tmp_path / "job-2")}
    with subprocess.Popen(["sleep", "60"], env=named) as other:
        time.sleep(0.2)
        assert end_orphans(tmp_path / "job") == 0
        assert other.poll() is None
        other.kill()


def test_converse__lines_go_to_and_fro__and_the_child_ends_with_the_context(tmp_path: Path) -> None:
    code = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)\nprint('bye', file=sys.stderr)"
    log = tmp_path / "log.txt"
    with Processes().converse([sys.executable, "-c", code], log=log) as conversation:
        assert conversation.hear(0) is None
        conversation.say(b"abc")
        assert conversation.hear(10) == b"cba"
    assert log.read_text() == "bye\n"
    with pytest.raises(MachineError, match="has ended"):
        conversation.hear(1)


def test_converse__a_child_that_ends__is_an_error_however_often_it_is_asked(tmp_path: Path) -> None:
    with Processes().converse([sys.executable, "-c", "print('last')"], log=tmp_path / "log.txt") as conversation:
        assert conversation.hear(10) == b"last"
        for _ in range(2):
            with pytest.raises(MachineError, match="has ended"):
                conversation.hear(10)
        with pytest.raises(MachineError, match="has ended"):
            conversation.say(b"x" * 1_000_000)  # more than a pipe holds


def test_converse__a_child_that_does_not_listen__is_ended_by_force(tmp_path: Path) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(99)"
    started = time.monotonic()
    with Processes().converse([sys.executable, "-c", code], log=tmp_path / "log.txt") as conversation:
        assert conversation.hear(10) == b"1"
    assert time.monotonic() - started < 20


def test_converse__no_such_program__is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="/no/such/program"),
        Processes().converse(["/no/such/program"], log=tmp_path / "log.txt"),
    ):
        pass
