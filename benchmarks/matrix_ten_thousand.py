"""Plan 10,000 recipes for 16 build identifiers each, and pack them into cells: must take under 15 s and 1 GB.

Run with `python benchmarks/matrix_ten_thousand.py`. The recipes are those of `plan_thousand.py`; none was ever built.
"""

from __future__ import annotations

import json
import resource
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
        started = time.monotonic()
        command = [sys.executable, "-m", "wheelhouse", "--registry", str(folder), "matrix", "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        seconds = time.monotonic() - started
    finally:
        shutil.rmtree(folder)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cells = [cell for stage in json.loads(done.stdout)["stages"] for cell in stage]
    print(f"{sum(len(cell['jobs']) for cell in cells)} jobs in {len(cells)} cells")
    processor = used.ru_utime + used.ru_stime
    print(f"{seconds:.1f} s, of them {processor:.1f} s of processor; {used.ru_maxrss / 1e3:.0f} MB at most")


if __name__ == "__main__":
    main()
