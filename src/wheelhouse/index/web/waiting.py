"""What a spool holds in, what waits and why out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from wheelhouse.spool import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.index.stores.guarded import Outage
    from wheelhouse.spool import Item, Stats

MOST_SHOWN = 200


class Outbox(Protocol):
    """What a page has to know of a spool."""

    def items(self) -> Sequence[Item]:
        """Return all that was promised and not delivered, oldest first."""
        ...

    def stats(self) -> Stats:
        """Count what is there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """One delivery that was promised."""

    id: int
    name: str
    target: str
    size: int
    accepted: datetime
    state: str
    """`waiting`, `being delivered` or `set aside`."""
    attempts: int
    verdict: str
    next_try: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """The store does not answer."""

    since: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The page of a spool."""

    waiting: int
    aside: int
    size: int
    limit: int
    oldest: datetime | None
    items: tuple[ItemView, ...]
    left_out: int
    """How many more there are."""
    down: Down | None = None
    """None: the store answers, as far as is known."""


def show_waiting(outbox: Outbox, outage: Outage | None = None) -> Waiting:
    """Read a spool; `outage` is the store's."""
    since = outage.since if outage is not None else None
    items, stats = outbox.items(), outbox.stats()
    return Waiting(
        waiting=stats.waiting,
        aside=stats.aside,
        size=stats.size,
        limit=stats.limit,
        oldest=None if stats.oldest is None else _moment(stats.oldest),
        items=tuple(_item(item) for item in items[:MOST_SHOWN]),
        left_out=max(0, len(items) - MOST_SHOWN),
        down=None if outage is None or since is None else Down(since=_moment(since), why=outage.why),
    )


def _item(item: Item) -> ItemView:
    waiting = "waiting" if item.leased_until is None else "being delivered"
    state = "set aside" if item.state is State.ASIDE else waiting
    return ItemView(
        id=item.id,
        name=item.name,
        target=item.target,
        size=item.size,
        accepted=_moment(item.accepted),
        state=state,
        attempts=item.attempts,
        verdict=item.verdict or "",
        next_try=_moment(item.not_before) if item.not_before and state == "waiting" else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
