"""The counts of a server in, the text that Prometheus reads out. Imported when somebody asks for it: start-up time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from wheelhouse.index.telling.traffic import BOUNDS, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from wheelhouse.index.telling.gauges import Gauge
    from wheelhouse.index.telling.traffic import Kind, Traffic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # a registry has collectors in a dictionary
class Counted(Collector):
    """What a server has counted, and what is so at this moment."""

    traffic: Traffic
    gauges: tuple[Gauge, ...]

    def collect(self) -> Iterator[Metric]:
        """Yield every family of numbers."""
        requests = CounterMetricFamily(
            "wheelhouse_index_requests", "Requests answered, by route and status.", labels=("route", "status")
        )
        size = CounterMetricFamily("wheelhouse_index_sent_bytes", "Bytes of bodies, by route.", labels=("route",))
        times = HistogramMetricFamily(
            "wheelhouse_index_request_seconds",
            "Time until the last of an answer was handed to the server, by route.",
            labels=("route",),
        )
        for (kind, status), tally in list(self.traffic.answers.items()):
            requests.add_metric((kind, str(status)), tally.answers)
        for kind, tally in _by_kind(self.traffic.answers).items():
            size.add_metric((kind,), tally.size)
            bounds = (*(str(bound) for bound in BOUNDS), "+Inf")
            buckets = list(zip(bounds, accumulate(map(float, tally.classes)), strict=True))
            times.add_metric((kind,), buckets, tally.seconds)
        deeds = CounterMetricFamily(
            "wheelhouse_index_deeds", "Uploads and other changes, done or tried.", labels=("action", "outcome")
        )
        for labels, count in list(self.traffic.deeds.items()):
            deeds.add_metric(labels, count)
        yield from (requests, size, times, deeds)
        yield from _families(self.gauges)


def to_text(traffic: Traffic, gauges: tuple[Gauge, ...]) -> bytes:
    """Render the metrics of this process in Prometheus' text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(Counted(traffic=traffic, gauges=gauges))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _families(gauges: Iterable[Gauge]) -> Iterator[Metric]:
    """Yield a family for each name."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for gauge in gauges:
        kind = CounterMetricFamily if gauge.grows else GaugeMetricFamily
        family = families.setdefault(gauge.name, kind(gauge.name, gauge.help, labels=tuple(gauge.labels)))
        family.add_metric(tuple(gauge.labels.values()), gauge.value)
    yield from families.values()


def _by_kind(answers: Mapping[tuple[Kind, int], Tally]) -> dict[Kind, Tally]:
    sums: dict[Kind, Tally] = {}
    for (kind, _), tally in list(answers.items()):
        known = sums.setdefault(kind, Tally())
        known.answers += tally.answers
        known.size += tally.size
        known.seconds += tally.seconds
        known.classes = [one + other for one, other in zip(known.classes, tally.classes, strict=True)]
    return sums
