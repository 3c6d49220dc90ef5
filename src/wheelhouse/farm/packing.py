"""Things that take a while in; numbered bins out that take about as long as each other, and keep what they had.

Two wishes pull in different directions: bins as even as they can be, and bins that stay as they were when a thing more
comes in. So a thing goes to the bin that its own name points to (jump consistent hashing: Lamping and Veach, 2014), the
large ones first, and to the next that its name points to where that bin is full ("bounded loads": Mirrokni et al.,
2016). What cannot be packed evenly like that is packed longest first (Graham, 1969), and into fewer bins if need be.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: How much longer than in the ideal packing the longest bin may take.
SLACK = 1.3
#: The same where things go by their names: less, so that bins of several groups are near the ideal of them all too.
_SLACK_BY_NAME = 1.15
_PROBES = 32
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to be packed."""

    name: str
    seconds: float
    """Above 0."""
    near: str = ""
    """Items that share this are put together where there is room."""


def ideal(items: Sequence[Item], bins: int) -> float:
    """Return how long the longest of so many bins takes at least."""
    durations = [item.seconds for item in items]
    return max(*durations, math.fsum(durations) / bins)


def pack(items: Sequence[Item], *, bins: int, spare: int = 0) -> Mapping[int, tuple[Item, ...]]:
    """Put every item into a bin, of which none takes longer than `SLACK` times the ideal.

    Returns bins by number, without empty ones: `bins` of them where that can be even. Four things that take an hour
    cannot be in three bins, where one would take two hours while two others are idle: then `spare` ones more are taken,
    and if there are none, fewer.
    """
    if not items:
        return {}
    ordered = sorted(items, key=lambda item: (-item.seconds, item.name))
    most = min(bins, len(items))
    for count in (*range(most, min(most + spare, 2 * most, len(items)) + 1), *range(most - 1, 1, -1)):
        best = ideal(ordered, count)
        packed = _by_name(ordered, count, _SLACK_BY_NAME * best) or _longest_first(ordered, count, SLACK * best)
        if packed is not None:
            return {number: tuple(packed[number]) for number in range(count) if packed[number]}
    return {0: tuple(ordered)}


def apportion(groups: Sequence[Sequence[Item]], *, target: float, most: int) -> tuple[int, ...]:
    """Return how many bins each group gets: as many as bins of `target` seconds need, and `most` in all.

    Where that is not enough, the group whose bins take longest gets the next. `most` has to be as many as the groups.
    """
    totals = [math.fsum(item.seconds for item in group) for group in groups]
    wanted = [max(1, min(len(group), math.ceil(total / target))) for group, total in zip(groups, totals, strict=True)]
    if sum(wanted) <= most:
        return tuple(wanted)
    given = [1] * len(groups)
    waiting = [(-total, number) for number, total in enumerate(totals) if wanted[number] > 1]
    heapq.heapify(waiting)
    for _ in range(most - len(groups)):
        if not waiting:
            break
        _, number = heapq.heappop(waiting)
        given[number] += 1
        if given[number] < wanted[number]:
            heapq.heappush(waiting, (-totals[number] / given[number], number))
    return tuple(given)


def _by_name(ordered: Sequence[Item], count: int, most: float) -> list[list[Item]] | None:
    packed: list[list[Item]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for item in ordered:
        place = next(
            (bin_ for bin_ in _places(item.near or item.name, count) if loads[bin_] + item.seconds <= most), None
        )
        if place is None:
            place = min(range(count), key=loads.__getitem__)
            if loads[place] + item.seconds > most:
                return None
        packed[place].append(item)
        loads[place] += item.seconds
    return packed


def _longest_first(ordered: Sequence[Item], count: int, most: float) -> list[list[Item]] | None:
    packed: list[list[Item]] = [[] for _ in range(count)]
    loads = [(0.0, number) for number in range(count)]
    for item in ordered:
        load, number = loads[0]
        if load + item.seconds > most:
            return None
        packed[number].append(item)
        heapq.heapreplace(loads, (load + item.seconds, number))
    return packed


def _places(name: str, count: int) -> Iterator[int]:
    """Yield the bins that a name points to, in an order of its own; a bin more changes few of them."""
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    for probe in range(_PROBES):
        yield _jump(seed + probe * 0x9E3779B97F4A7C15 & _MASK, count)


def _jump(key: int, count: int) -> int:
    chosen, following = -1, 0
    while following < count:
        chosen = following
        key = key * 2862933555777941757 + 1 & _MASK
        following = int((chosen + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return chosen
