"""What a mirror shows while it fetches ahead: live lines on a terminal, one line a file elsewhere; and how it ended."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType

    from wheelhouse.index.prefetch import Outcome
    from wheelhouse.requirements.fleet import Choice

_REFRESH = 8
_KILO, _MEGA = 1_000, 1_000_000


class Fetching:
    """Follows the files of one run; all calls come from one thread."""

    def __init__(
        self, console: Console, *, received: Callable[[], int], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._console = console
        self._received = received
        self._live = console.is_terminal and not environment.get("CI")
        self._stage = ""
        self._running: dict[str, float] = {}
        self._files = self._size = 0
        self._ended = self._here = 0

    @contextmanager
    def following(self) -> Iterator[None]:
        """Show what goes on while the block runs."""
        if not self._live:
            yield
            return
        from rich.live import Live  # noqa: PLC0415 - start-up time

        with Live(get_renderable=self._lines, console=self._console, refresh_per_second=_REFRESH, transient=True):
            yield

    def stage(self, text: str) -> None:
        """Say what is being done before anything is fetched."""
        self._stage = text
        if text and not self._live:
            self._console.print(text, markup=False)

    def planned(self, files: int, size: int) -> None:
        """Note how much there is to fetch."""
        self._stage = ""
        self._files, self._size = files, size

    def begun(self, filename: str) -> None:
        """Note that a file is on its way."""
        self._running[filename] = time.monotonic()

    def ended(self, outcome: Outcome) -> None:
        """Say what became of a file."""
        if self._running.pop(outcome.filename, None) is not None:
            self._ended += 1
            self._here += outcome.size or 0
        size = f" ({_shown(outcome.size)})" if outcome.size is not None else ""
        cause = f": {outcome.cause}" if outcome.cause else ""
        from rich.markup import escape  # noqa: PLC0415 - start-up time

        # Escaped, not `markup=False`: that would hold for the live lines too.
        self._console.print(escape(f"{outcome.state:<8} {outcome.filename}{size}{cause}"))

    def _lines(self) -> RenderableType:
        from rich.table import Table  # noqa: PLC0415 - start-up time

        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for filename, begun in self._running.items():
            table.add_row("[cyan]fetching[/]", filename, f"{now - begun:.0f} s")
        if self._stage:  # a resolver has whole files fetched where upstream has no metadata beside them
            table.add_row("", f"[dim]{self._stage}, {_shown(self._received())} so far[/]", "")
        else:
            counts = f"{self._ended} of {self._files} files, {_shown(self._here)} of {_shown(self._size)}"
            table.add_row("", f"[dim]{counts}[/]", "")
        return table


def closing_table(console: Console, choices: Sequence[Choice], outcomes: Sequence[Outcome]) -> None:
    """Print what each target has now, what is missing and why."""
    from rich.markup import escape  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - likewise

    ended = {outcome.filename: outcome for outcome in outcomes}
    table = Table("target", "files", "size", "missing", box=None, pad_edge=False)
    for choice in choices:
        mine = [ended[chosen.filename] for chosen in choice.files]
        there = [outcome for outcome in mine if outcome.state != "failed"]
        missing = len(mine) - len(there) + len(choice.problems)
        size = _shown(sum(outcome.size or 0 for outcome in there))
        table.add_row(str(choice.target), str(len(there)), size, f"[red]{missing}[/]" if missing else "0")
    console.print(table)
    for choice in choices:
        for problem in choice.problems:
            console.print(f"[red]{choice.target}[/]: {escape(problem)}")
    for outcome in outcomes:
        if outcome.state == "failed":
            console.print(f"[red]{escape(outcome.filename)}[/]: {escape(outcome.cause)}")
    counts = {state: [o for o in outcomes if o.state == state] for state in ("fetched", "here", "ours", "failed")}
    fetched = _shown(sum(outcome.size or 0 for outcome in counts["fetched"]))
    console.print(
        f"{len(counts['fetched'])} files fetched ({fetched}), {len(counts['here'])} were here, "
        f"{len(counts['ours'])} are our own, {len(counts['failed'])} failed"
    )


def _shown(size: int | None) -> str:
    size = size or 0
    return f"{size / _MEGA:.1f} MB" if size >= _MEGA else f"{size / _KILO:.1f} kB"
