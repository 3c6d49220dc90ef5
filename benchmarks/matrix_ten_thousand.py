"""Plan 10,000 recipes for 16 build identifiers each, and pack them into cells: must take under 15 s and 1 GB.

Run with `python benchmarks/matrix_ten_thousand.py`. The recipes are those of `plan_thousand.py`. Once for a registry of
which nothing was ever built, once with a record of each of its jobs, as a workflow restores them for their durations.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plan_thousand

RECIPES = 10_000


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    try:
        plan_thousand.RECIPES = RECIPES
        plan_thousand.registry(folder)
        jobs = measure("nothing was built", folder)
        keep_records(folder, jobs)
        measure("every job has a record", folder)
    finally:
        shutil.rmtree(folder)


def measure(case: str, folder: Path) -> list[str]:
    """Run once, print what it took, and return the ids of all jobs."""
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(folder), "matrix", "--json"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        matrix = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    assert process.returncode == 0
    cells = [cell for stage in matrix["stages"] for cell in stage]
    jobs = [job for cell in cells for job in cell["jobs"]]
    print(
        f"{case}: {len(jobs)} jobs in {len(cells)} cells; {seconds:.1f} s,"
        f" of them {used.ru_utime + used.ru_stime:.1f} s of processor; {used.ru_maxrss / 1e3:.0f} MB at most"
    )
    return jobs


def keep_records(folder: Path, jobs: list[str]) -> None:
    """Write a record for each job, of the size that real ones have."""
    chance = random.Random(1)
    inputs = {f"requirement.{number}": "ab" * 32 for number in range(20)}
    for job in jobs:
        project, version, python, platform = job.rsplit("-", 3)
        record = {"job": job, "project": project, "version": version, "target": f"{python}-{platform}"}
        record |= {"status": "built", "seconds": chance.lognormvariate(4, 1), "inputs": inputs}
        path = folder / ".wheelhouse/jobs" / job / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
