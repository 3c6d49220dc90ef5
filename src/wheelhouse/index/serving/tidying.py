"""A store in; now and then what nothing names any more is removed from it, as `wheelhouse index gc` does it.

One of all servers of a store does it: who is first to claim a span of time. In a process of its own, at a low priority:
to know what is named, every manifest is read, and nobody who asks for a page is to wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pydantic

from wheelhouse.errors import StoreUnavailableError, WheelhouseError
from wheelhouse.index.telling.gauges import Tidied
from wheelhouse.process import Failure, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wheelhouse.index.stores.store import Store

LOG = logging.getLogger("wheelhouse.index")
_CHANCE = random.SystemRandom()
_FIRST = (60.0, 600.0)
"""Seconds after the start in which a server does not look for it yet, at least and at most."""
_JITTER = 0.1
"""Of a span: so much later it may be begun."""
_LONGEST = 6 * 3600.0
"""Seconds: what takes longer is ended. All that was removed by then stays so, and the next run goes on."""


class _Told(pydantic.BaseModel):
    """What `index gc --json` says."""

    blobs: int
    bytes: int
    leftovers: int
    expired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidying:
    """Looks after a store while a server runs."""

    store: Store
    every: float
    """Seconds of a span, in which it is done once."""
    stage_days: int
    """For how long a stage is kept."""
    first: tuple[float, float] = _FIRST
    clock: Callable[[], float] = time.time
    tidied: Tidied = field(default_factory=Tidied)
    processes: Processes = field(default_factory=Processes)

    async def go_on(self) -> None:
        """Do it whenever it is due, for ever."""
        try:
            await asyncio.sleep(_CHANCE.uniform(*self.first))
            while True:
                begins = self.clock() // self.every * self.every
                await asyncio.to_thread(self.tidy_once)
                await asyncio.sleep(begins + self.every * (1 + _CHANCE.uniform(0, _JITTER)) - self.clock())
        finally:  # a thread waits for the process, and the loop for the thread
            self.close()

    def tidy_once(self) -> bool:
        """Do it, unless it was done in this span; say whether this server did."""
        ends = (self.clock() // self.every + 1) * self.every
        try:
            if not self.store.claim("gc", until=datetime.fromtimestamp(ends, UTC)):
                return False
        except StoreUnavailableError:
            return False
        try:
            done = self.processes.run(self._command(), timeout=_LONGEST)
            told = _told(done.output)
        except Failure as error:
            self._failed(error.completed.output.strip() or str(error))
        except (WheelhouseError, pydantic.ValidationError) as error:
            self._failed(str(error))
        else:
            self.tidied.add(blobs=told.blobs, size=told.bytes, now=self.clock())
            LOG.info(
                "the store was tidied: %d orphans of %d bytes, %d leftovers, %d staged files in %.1f s",
                *(told.blobs, told.bytes, told.leftovers, told.expired, done.seconds),
            )
        return True

    def close(self) -> None:
        """End what is going on."""
        self.processes.cancel()

    def _failed(self, why: str) -> None:
        if self.processes.canceled:
            return
        self.tidied.failures += 1
        LOG.warning("the store could not be tidied: %s", why)

    def _command(self) -> Sequence[str]:
        nice = shutil.which("nice")
        return (
            *((nice, "-n", "10") if nice else ()),
            *(sys.executable, "-m", "wheelhouse", "--quiet", "index", "--store", self.store.address),
            *("gc", "--json", "--stage-days", str(self.stage_days)),
        )


def _told(output: str) -> _Told:
    """Read what `index gc --json` says, behind what `nice` says where a sandbox does not let it."""
    return _Told.model_validate_json(output[max(0, output.find("{")) :])
