"""`kill -9` at random moments of a batch: the next run finishes, nothing is corrupt, nothing is built twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

import tiny
from wheelhouse.process import WORK_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 30
PROJECTS = ("ant", "bee", "cat")


def build(registry: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build", "--all"),
        *("--python", tiny.HERE, "--json", "--builder", "host"),
    ]


def records(registry: Path) -> dict[str, dict[str, str]]:
    """Return the committed results by key; a folder that is there must be whole."""
    found = {}
    for folder in (registry / ".wheelhouse" / "results").glob("*"):
        record = json.loads((folder / "record.json").read_bytes())
        wheel = folder / record["wheel"]["filename"]
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == record["wheel"]["sha256"]
        found[folder.name] = record
    return found


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed batch takes here; also warms the caches."""
    registry = tiny.write_registry(tmp_path_factory.mktemp("warm"), *(tiny.Tiny(name=name) for name in PROJECTS))
    subprocess.run(build(registry), check=True, capture_output=True)
    registry = tiny.write_registry(tmp_path_factory.mktemp("timed"), *(tiny.Tiny(name=name) for name in PROJECTS))
    started = time.monotonic()
    subprocess.run(build(registry), check=True, capture_output=True)
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("number", range(ROUNDS))
def test_build__killed_at_a_random_moment__the_next_run_finishes(number: int, tmp_path: Path, seconds: float) -> None:
    registry = tiny.write_registry(tmp_path, *(tiny.Tiny(name=name, answer=number) for name in PROJECTS))
    moment = random.Random(number).uniform(0.05, 1.0) * seconds  # noqa: S311 - a seed makes a failure repeatable
    environment = {**os.environ, "WHEELHOUSE_WORK_ROOT": str(tmp_path / "work")}
    child = subprocess.Popen(
        build(registry), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    time.sleep(moment)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = records(registry)

    done = subprocess.run(build(registry), check=False, capture_output=True, env=environment)

    assert done.returncode == 0, done.stderr.decode()
    after = records(registry)
    assert len(after) == len(PROJECTS)
    for key, record in before.items():
        assert after[key]["started"] == record["started"], "built twice"
    wheels = list((registry / "dist").glob("*.whl"))
    assert len(wheels) == len(PROJECTS)
    for wheel in wheels:
        assert zipfile.ZipFile(wheel).testzip() is None
    leftovers = [path for path in (tmp_path / "work").glob("*") if path.is_dir()]
    assert leftovers == []
    assert not _alive(tmp_path / "work")


def _alive(work: Path) -> list[str]:
    """Return the command lines of processes that still belong to the work folder."""
    found = []
    for environ in work.parents[-1].glob("proc/[0-9]*/environ"):
        try:
            if f"{WORK_VARIABLE}={work}" in environ.read_bytes().decode(errors="replace"):
                found.append((environ.parent / "cmdline").read_text())
        except OSError:
            continue
    return found
