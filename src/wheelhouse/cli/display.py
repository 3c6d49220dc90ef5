"""What a run shows: live lines on a terminal, plain lines elsewhere, groups on GitHub; and the table at its end."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from rich.console import Console, RenderableType

    from wheelhouse.plan import Plan, Planned
    from wheelhouse.record import Record

_REFRESH = 8
_KILO = 1000
_HERE = "on this machine"
_ASK = "`wheelhouse plan`"


class Display:
    """Follows the jobs of one run. `stage` is called from the jobs' threads, the rest from the main one."""

    def __init__(self, console: Console, *, begun: datetime, environment: Mapping[str, str] = os.environ) -> None:
        """Take when the run began: a record that is older was found, not made."""
        self._console = console
        self._begun = begun
        self._groups = environment.get("GITHUB_ACTIONS") == "true"
        self._live = console.is_terminal and not self._groups and not environment.get("CI")
        self._running: dict[str, tuple[str, float]] = {}
        self._total = 0
        self._ended = 0
        self._lock = threading.Lock()

    def stage(self, job: str, stage: str) -> None:
        """Note that a job has begun a stage."""
        with self._lock:
            begun = self._running.get(job, ("", time.monotonic()))[1]
            self._running[job] = (stage, begun)
        if not self._live and (stage in {"source", "build"} or stage.startswith("on ")):
            self._console.print(f"{job}: {stage}")

    @contextmanager
    def following(self, plan: Plan) -> Iterator[None]:
        """Show the jobs while the block runs."""
        self._total = len(plan.having("build"))
        if not self._live:
            yield
            return
        from rich.live import Live  # noqa: PLC0415 - start-up time

        with Live(get_renderable=self._lines, console=self._console, refresh_per_second=_REFRESH, transient=True):
            yield

    def _lines(self) -> RenderableType:
        from rich.table import Table  # noqa: PLC0415 - start-up time

        table = Table.grid(padding=(0, 2))
        with self._lock:
            running = sorted(self._running.items(), key=lambda item: item[1][1])
        now = time.monotonic()
        for job, (stage, begun) in running:
            table.add_row(f"[cyan]{stage:<12}[/]", job, f"{now - begun:.0f} s")
        table.add_row("", f"[dim]{self._ended} of {self._total} jobs ended[/]", "")
        return table

    def ended(self, entry: Planned, record: Record, log: Path) -> None:
        """Say how a job ended."""
        with self._lock:
            self._running.pop(entry.job.id, None)
        if entry.action == "reuse":
            return
        self._ended += 1
        if self._groups and log.is_file():
            self._console.print(f"::group::{record.job}", markup=False)
            self._console.print(log.read_text("utf-8", "replace"), markup=False)
            self._console.print("::endgroup::", markup=False)
        self._console.print(_outcome(record, reused=record.started < self._begun))


def _outcome(record: Record, *, reused: bool = False) -> str:
    from rich.markup import escape  # noqa: PLC0415 - start-up time

    if record.status == "built":
        assert record.wheel is not None  # noqa: S101 - a built record has one
        if reused:
            adopted = " (taken over from where it was built)" if "adopted" in record.details else ""
            return f"[green]reused[/] {record.wheel.filename}{adopted}"
        size = f"{record.wheel.size / _KILO:.0f} kB"
        tested = "" if record.executed else ", [yellow]not executed[/]"
        if "adopted" in record.details:
            return f"[green]built[/]  {record.wheel.filename} ({size}, taken over from where it was built{tested})"
        return f"[green]built[/]  {record.wheel.filename} ({size}, {record.seconds:.1f} s{tested})"
    return f"[red]failed[/] {record.job}: {escape(record.cause.message if record.cause else 'no cause known')}"


def closing_table(
    console: Console,
    plan: Plan,
    records: Mapping[str, Record],
    *,
    begun: datetime,
    where: str = _HERE,
    ask: str = _ASK,
) -> None:
    """Print what became of every job: built, reused, failed with its cause and what would mend it.

    `where` jobs were built, and the command to `ask` why some cannot be. What is older than the run, which has `begun`
    then, was reused.
    """
    from rich.markup import escape  # noqa: PLC0415 - start-up time

    rows = [(entry, records[entry.job.id]) for entry in plan.entries if entry.job.id in records]
    failed = [record for _, record in rows if record.status == "failed"]
    if failed and not console.is_terminal:  # in a log a table is cut to a width that nobody chose
        for record in failed:
            console.print(_outcome(record))
            for line in record.cause.mend if record.cause else ():
                console.print(f"  mend: {line}", markup=False)
    elif failed:
        from rich import box  # noqa: PLC0415 - start-up time
        from rich.table import Table  # noqa: PLC0415 - likewise

        table = Table("failed", "cause", "mend", box=box.SIMPLE_HEAD, show_lines=False)
        for record in failed:
            cause = record.cause
            mend = "\n".join(cause.mend) if cause else ""
            table.add_row(escape(record.job), escape(cause.message if cause else ""), escape(mend))
        console.print(table)
    *remarks, last = closing_lines(plan, records, begun=begun, where=where, ask=ask)
    for remark in remarks:
        console.print(f"[dim]{remark}[/]")
    console.print(f"[{'red' if failed else 'green'}]{last}[/]")


def closing_lines(
    plan: Plan, records: Mapping[str, Record], *, begun: datetime, where: str = _HERE, ask: str = _ASK
) -> tuple[str, ...]:
    """Return the last lines of a run: what could not be built here, and how many jobs came to what.

    What is older than the run was reused: the plan may not have known.
    """
    rows = [records[entry.job.id] for entry in plan.entries if entry.job.id in records]
    failed = sum(record.status == "failed" for record in rows)
    reused = sum(record.status == "built" and record.started < begun for record in rows)
    counts = f"{len(rows) - reused - failed} built, {reused} reused, {failed} failed"
    impossible = len(plan.having("unavailable"))
    remark = f"{impossible} more cannot be built {where}; {ask} says why"
    return (remark, counts) if impossible else (counts,)
