"""A store and room on this machine's disk in; a store to read and an outbox to write out, which outlive an outage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.outages.buffered import BufferedStore
from wheelhouse.index.outages.delivery import Delivery
from wheelhouse.index.outages.outbox import Outbox
from wheelhouse.index.outages.replay import Replay
from wheelhouse.index.outages.waiting import Waiting
from wheelhouse.index.stores.cached import CachedStore
from wheelhouse.index.stores.guarded import GuardedStore, Outage
from wheelhouse.index.stores.shelf import Shelf
from wheelhouse.spool import Backoff, Spool

if TYPE_CHECKING:
    from wheelhouse.index.changes.wheelfile import Bounds
    from wheelhouse.index.settings import BufferSettings
    from wheelhouse.index.stores.store import Store

RETRY = Backoff(first=0.2, most=5.0)
"""Between two questions to a store that is down: its return is noticed within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """What a server over a store is made of."""

    reading: Store
    """With all that waits, and going on while the store is down."""
    outbox: Outbox


def make_durable(store: Store, settings: BufferSettings, *, elsewhere: bool, bounds: Bounds) -> Durable:
    """Put it together, and begin to deliver what waits. `elsewhere`: the store is not on this machine's disks.

    Raises SpoolError, OSError.
    """
    guarded = GuardedStore(store, Outage())
    shelf = Shelf.open(settings.cache / "files", budget=settings.cache_bytes) if elsewhere else None
    cache = CachedStore.open(guarded, settings.cache / "manifests", shelf=shelf)
    repository = Repository(store=guarded, changed=cache.keep_manifest) if elsewhere else Repository(store=guarded)
    spool = Spool(settings.spool, limit_bytes=settings.spool_bytes, backoff=RETRY)
    waiting = Waiting(spool)
    replay = Replay(
        Delivery(
            repository=repository,
            spool=spool,
            waiting=waiting,
            bounds=bounds,
            last=cache.last_manifest,
            keep=cache.keep,
        ),
        guarded,
        backoff=RETRY,
    )
    guarded.outage.begun = replay.wake
    outbox = Outbox(
        repository=repository,
        spool=spool,
        waiting=waiting,
        cache=cache,
        outage=guarded.outage,
        scratch_here=elsewhere,
        replay=replay,
    )
    replay.wake()
    return Durable(reading=BufferedStore(cache, waiting, bounds), outbox=outbox)
