from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wheelhouse.index.stores.guarded import Outage
from wheelhouse.index.web.waiting import Down, ItemView, Waiting, show_waiting
from wheelhouse.spool import Backoff, Spool

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_show_waiting__of_each_kind__says_why(tmp_path: Path) -> None:
    backoff = Backoff(first=60, chance=lambda: 1.0)
    with Spool(tmp_path, clock=NOON.timestamp, backoff=backoff, limit_bytes=100) as spool:
        for name in ("refused", "tried", "going", "new"):
            spool.accept(io.BytesIO(name.encode()), target="store", name=name, order_key=name)
        refused, tried = spool.lease(), spool.lease()
        assert refused is not None
        assert tried is not None
        spool.lease()
        spool.set_aside(refused, "409: other bytes")
        spool.retry_later(tried, "the store is down", outage=True)

        shown = show_waiting(spool)

    def item(number: int, name: str, **more: object) -> ItemView:
        given = {"state": "waiting", "attempts": 0, "verdict": "", "next_try": None, **more}
        return ItemView(id=number, name=name, target="store", size=len(name), accepted=NOON, **given)  # type: ignore[arg-type]

    assert shown == Waiting(
        waiting=3,
        aside=1,
        size=20,
        limit=100,
        oldest=NOON,
        items=(
            item(1, "refused", state="set aside", attempts=1, verdict="409: other bytes"),
            item(2, "tried", attempts=1, verdict="the store is down", next_try=NOON.replace(minute=1)),
            item(3, "going", state="being delivered"),
            item(4, "new"),
        ),
        left_out=0,
    )


def test_show_waiting__store_is_down__says_since_when(tmp_path: Path) -> None:
    outage = Outage(clock=NOON.timestamp)
    with Spool(tmp_path, limit_bytes=100) as spool:
        assert show_waiting(spool, outage).down is None
        outage.begin("no route to it")
        assert show_waiting(spool, outage).down == Down(since=NOON, why="no route to it")
