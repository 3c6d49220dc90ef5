"""Commands in; wall and CPU seconds of whole process trees out, medians and ratios, side by side in one run.

CPU is what the kernel accounts to the command and all its descendants (RUSAGE of waited children), so it is only
complete for commands that wait for what they start; container engines do not, and are compared by wall time and by the
machine's busy time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished run of a contender."""

    wall: float
    cpu: float
    """Seconds of user and system time of the command's process tree."""
    busy: float
    """Seconds that all processors of the machine were busy meanwhile: counts containers, and neighbours too."""
    wheels: frozenset[str] = frozenset()
    """Names of the wheels that the run left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way to do the job."""

    name: str
    command: Callable[[Path], Sequence[str]]
    """Makes the command line, given an empty folder for the run."""
    environment: Mapping[str, str] | None = None


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice)


def measure(contender: Contender) -> Run:
    """Run a contender once in a folder of its own. A failing command ends the benchmark, with its output."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = list(contender.command(Path(folder)))
        environment = {**os.environ, **(contender.environment or {})}
        # Installed tools come with bytecode; a machine that forbids writing it would time the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with tempfile.TemporaryFile() as output:
            busy, started = _busy(), time.monotonic()
            child = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.monotonic() - started
            busy = _busy() - busy
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                output.seek(0)
                raise SystemExit(f"{contender.name} failed:\n{output.read().decode(errors='replace')[-4000:]}")
        wheels = frozenset(path.name for path in Path(folder).rglob("*.whl"))
    return Run(wall=wall, cpu=usage.ru_utime + usage.ru_stime, busy=busy, wheels=wheels)


def compare(title: str, contenders: Sequence[Contender], *, rounds: int = 3) -> dict[str, Run]:
    """Run the contenders in turn, `rounds` times, and print medians and their ratios to the first."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    load = os.getloadavg()[0]
    for _ in range(rounds):
        for contender in contenders:
            runs[contender.name].append(measure(contender))
    medians = {
        name: Run(
            wall=statistics.median(run.wall for run in found),
            cpu=statistics.median(run.cpu for run in found),
            busy=statistics.median(run.busy for run in found),
        )
        for name, found in runs.items()
    }
    base = medians[contenders[0].name]
    table = Table("", "wall s", "CPU s", "machine busy s", "wall ratio", "CPU ratio", title=title)
    for name, median in medians.items():
        table.add_row(
            escape(name),
            f"{median.wall:.2f}",
            f"{median.cpu:.2f}",
            f"{median.busy:.2f}",
            f"{base.wall / median.wall:.2f}x less" if median.wall else "",
            f"{base.cpu / median.cpu:.2f}x less" if median.cpu else "",
        )
    console = Console()
    console.print(table)
    for name, found in runs.items():
        if found[0].wheels:
            console.print(
                f"{name}: {', '.join(sorted(found[0].wheels))}", markup=False, highlight=False, soft_wrap=True
            )
    console.print(
        f"medians of {rounds} runs in turn, {os.cpu_count()} processors, load before: {load:.1f}", highlight=False
    )
    return medians
