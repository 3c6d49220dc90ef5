"""What the parts of an index say of themselves in, numbers for Prometheus out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheelhouse.index.upstream.stats import MirrorStats
    from wheelhouse.spool import Stats

_PAGES = "Pages of upstream's that were asked for, by what came of it."
_FILES = "Files of upstream's that were asked for, by what came of it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A number of this moment, or one that only grows. Those of one name have the same help and the same labels."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    grows: bool = False


@dataclass(slots=True, kw_only=True)
class Tidied:
    """How often this server has tidied the store, and what went."""

    done: int = 0
    failures: int = 0
    blobs: int = 0
    size: int = 0
    """Bytes of the blobs."""
    last: float = 0.0
    """Seconds since the epoch; 0: not yet."""

    def add(self, *, blobs: int, size: int, now: float) -> None:
        """Count a run that went well."""
        self.done, self.blobs, self.size, self.last = self.done + 1, self.blobs + blobs, self.size + size, now


def tidying_gauges(tidied: Tidied) -> Iterator[Gauge]:
    """Yield the numbers of `index gc`, as far as this server ran it."""
    runs = "Times that this server has tidied the store, by what came of it."
    for result, count in (("done", tidied.done), ("failed", tidied.failures)):
        yield Gauge(name="wheelhouse_index_gc_runs", help=runs, value=count, labels={"result": result}, grows=True)
    blobs = "Bytes without a project that went, in pieces."
    yield Gauge(name="wheelhouse_index_gc_blobs", help=blobs, value=tidied.blobs, grows=True)
    yield Gauge(name="wheelhouse_index_gc_bytes", help="How much that was.", value=tidied.size, grows=True)
    last = "When this server did it last, in seconds since 1970; 0: another server does, or it is too early."
    yield Gauge(name="wheelhouse_index_gc_last_seconds", help=last, value=tidied.last)


def spool_gauges(stats: Stats, *, now: float) -> Iterator[Gauge]:
    """Yield the numbers of a spool; `now` is the time since the epoch."""
    told = "What was acknowledged and is not yet in the store, by its state."
    for state, count in (("waiting", stats.waiting), ("aside", stats.aside)):
        yield Gauge(name="wheelhouse_spool_items", help=told, value=count, labels={"state": state})
    oldest = 0.0 if stats.oldest is None else max(0.0, now - stats.oldest)
    yield Gauge(name="wheelhouse_spool_oldest_seconds", help="Age of what waits longest; 0: nothing.", value=oldest)
    yield Gauge(name="wheelhouse_spool_bytes", help="Bytes of all that is in the spool.", value=stats.size)
    yield Gauge(name="wheelhouse_spool_limit_bytes", help="Bytes that may be in the spool.", value=stats.limit)


def mirror_gauges(stats: MirrorStats) -> Iterator[Gauge]:
    """Yield the numbers of a mirror."""
    pages = {
        "hit": stats.counted.page_hits,
        "miss": stats.counted.page_misses,
        "revalidated": stats.counted.page_revalidated,
        "stale": stats.counted.page_stale,
    }
    files = {
        "hit": stats.counted.file_hits,
        "miss": stats.counted.file_misses,
        "shared": stats.counted.file_shared,
        "wrong": stats.counted.file_wrong,
    }
    for name, told, counts in (("pages", _PAGES, pages), ("files", _FILES, files)):
        for result, count in counts.items():
            yield Gauge(name=f"wheelhouse_mirror_{name}", help=told, value=count, labels={"result": result}, grows=True)
    fetched = "Bytes of files that were fetched from upstream."
    yield Gauge(name="wheelhouse_mirror_fetched_bytes", help=fetched, value=stats.counted.bytes_fetched, grows=True)
    yield Gauge(name="wheelhouse_mirror_fetching", help="Files on their way now.", value=stats.fetching)
    yield Gauge(name="wheelhouse_mirror_kept_files", help="Files that are kept.", value=stats.shelf.files)
    yield Gauge(name="wheelhouse_mirror_kept_bytes", help="Bytes of those.", value=stats.shelf.size)
    evicted = "Files that went to make room."
    yield Gauge(name="wheelhouse_mirror_evicted", help=evicted, value=stats.shelf.evicted, grows=True)
    for address, state in stats.upstreams.items():
        up = "The upstream answers: 1, or 0."
        yield Gauge(name="wheelhouse_mirror_upstream_up", help=up, value=int(state.up), labels={"upstream": address})
