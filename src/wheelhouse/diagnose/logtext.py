"""A log of any size in, the lines worth a look out: without colours, within bounds, each with the job's stage it stands in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Characters read from each end of a log; the cause is near the end, or near the start where a compiler goes on for long.
BOUND = 4_000_000
#: Longer lines are cut: minified JSON and link commands say nothing at their end.
LINE_BOUND = 2_000

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1a\x7f]")
_STAGE = re.compile(r"=== (\w[\w-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a log."""

    text: str
    number: int
    stage: str
    """As `JobLog.stage` marked it; empty where the log has no marks."""


def read_log(path: Path) -> str:
    """Read a log file: all of a small one, both ends of a large one. A file that is not there is an empty log."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= 2 * BOUND:
                return file.read().decode("utf-8", "replace")
            head = file.read(BOUND)
            file.seek(size - BOUND)
            # The marks of the stages matter: without its own, the tail would be taken for the stage that the head ends in.
            return (head + b"\n" + file.read(BOUND)).decode("utf-8", "replace")
    except OSError:
        return ""


def bounded(log: str) -> str:
    """Return a log that is not longer than twice `BOUND`: its two ends."""
    return log if len(log) <= 2 * BOUND else f"{log[:BOUND]}\n{log[-BOUND:]}"


def lines(log: str) -> Iterator[Line]:
    """Yield the lines that were said by the stage that failed, which is the last one. Commands as echoed are left out."""
    text = bounded(log)
    start, stage = 0, ""
    for mark in _STAGE.finditer(text):
        if mark.start() == 0 or text[mark.start() - 1] == "\n":
            start, stage = mark.end(), mark[1]
    for number, raw in enumerate(re.split(r"[\r\n]+", text[start:])):
        line = _ESCAPES.sub("", raw[:LINE_BOUND]) if raw else raw
        if line and not line.startswith(("$ ", "+ ")):
            yield Line(text=line, number=number, stage=stage)
