"""A log of any size in, the lines of the stage that failed out: without colours and within bounds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Characters looked at on each end of a log: a cause stands near the end, or near the start where a compiler went on.
BOUND = 1_000_000
#: Longer lines are cut: what a linker's command or minified text says at its end is no cause.
LINE_BOUND = 2_000

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_STAGE = re.compile(r"^=== (\w[\w-]*)$", re.MULTILINE)
#: Every kind of quotation mark, as code points: grave, acute, and the four curved ones.
_QUOTES = dict.fromkeys([0x22, 0x60, 0xB4, 0x2018, 0x2019, 0x201C, 0x201D], "'")
#: What tells nothing of the build: a shell's trace and wheelhouse's own echo, which say what was asked for and not what
#: came of it; and cibuildwheel's question for a program that only some images have.
_BESIDE_THE_POINT = re.compile(r"\s*[$+] |env: 'manylinux-interpreters'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a log."""

    text: str
    """As it was said, without escape sequences."""
    stage: str
    """As `JobLog.stage` marked it; empty where the log has no marks."""

    @property
    def plain(self) -> str:
        """The text as the rules want it."""
        return plain(self.text)


def plain(text: str) -> str:
    """Return a text with every kind of quotation mark made `'`."""
    return text.translate(_QUOTES)


def read_log(path: Path) -> str:
    """Read a log file: all of a small one, both ends of a large one. A file that cannot be read is an empty log."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(BOUND if size > 2 * BOUND else -1)
            if size > 2 * BOUND:
                file.seek(size - BOUND)
                data += b"\n" + file.read(BOUND)
    except OSError:
        return ""
    return data.decode("utf-8", "replace")


def lines(log: str) -> Iterator[Line]:
    """Yield what the last stage of a job said, which is the one that failed, or all where no stage is marked."""
    text = log if len(log) <= 2 * BOUND + 1 else f"{log[:BOUND]}\n{log[-BOUND:]}"
    start, stage = 0, ""
    for mark in _STAGE.finditer(text):
        start, stage = mark.end(), mark[1]
    for raw in re.split(r"[\r\n]+", text[start:]):
        line = _ESCAPES.sub("", raw[:LINE_BOUND])
        if line and not _BESIDE_THE_POINT.match(line):
            yield Line(text=line, stage=stage)
