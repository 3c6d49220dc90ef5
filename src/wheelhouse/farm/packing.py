"""Groups of things that take a while in; numbered bins of each group out, about as long as each other.

Two wishes pull in different directions: bins as even as they can be, and bins that stay as they were when a thing more
comes in. So a time is sought in which all fits, and then the room that `SLACK` leaves is spent on staying:

1. First fit, longest first, into bins of 13/11 of the best time there is needs no more bins than the best packing has
   (Yue, 1990). That holds for each group, so for all. The least time in which there are bins enough is found by halving
   (MULTIFIT: Coffman, Garey and Johnson, 1978); the best time itself need not be known.
2. A bin may take a tenth longer than that. So whatever is shorter than that tenth can go in last, wherever there is
   room, and only the others have to be tried. And a thing can go to the bin that its own name points to (jump
   consistent hashing: Lamping and Veach, 2014), or to the next that its name points to where that bin is full ("bounded
   loads": Mirrokni et al., 2016). What cannot be packed like that stays as first fit has put it.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: How much longer than in the best packing of all groups the longest bin may take.
SLACK = 1.3
#: How near to the least time halving goes.
_PRECISION = 1.001
#: How much longer than the time that was found a bin may take.
_ROOM = SLACK / (13 / 11 * _PRECISION)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    items: Sequence[Item]
    """Longest first."""
    totals: Sequence[float]
    """How long the shortest 0, 1, 2... take together."""

    def longer_than(self, seconds: float) -> int:
        return bisect_left(self.items, -seconds, key=lambda item: -item.seconds)

    def bins(self, seconds: float, most: int) -> list[list[Item]]:
        """Return as many bins of so many seconds as are needed, the long items in them; stop where that is over `most`.

        An item that takes longer has a bin to itself.
        """
        alone = self.longer_than(seconds)
        needed = alone + math.ceil(self.totals[len(self.items) - alone] / seconds)
        packed: list[list[Item]] = []
        loads: list[float] = []
        for item in self.items[: self.longer_than((_ROOM - 1) * seconds)]:
            if max(needed, len(packed)) > most:
                break
            number = next((number for number, load in enumerate(loads) if load + item.seconds <= seconds), len(loads))
            if number == len(loads):
                packed.append([])
                loads.append(0.0)
            packed[number].append(item)
            loads[number] += item.seconds
        return packed + [[] for _ in range(needed - len(packed))]


def pack(groups: Sequence[Sequence[Item]], *, most: int, target: float) -> list[Mapping[int, tuple[Item, ...]]]:
    """Put the items of each group into bins of its own: as many as bins of `target` seconds need, `most` in all.

    The longest bin takes at most `SLACK` times as long as in the best packing of all groups into as many bins.
    Four things of an hour are in two bins where three are allowed: a third would end nothing earlier.
    Returns each group's bins by number, without empty ones. No group may be empty, nor `most` less than the groups.
    """
    ordered = [_longest_first(group) for group in groups]
    seconds = _least_time(ordered, most=most, low=target)
    packed: list[Mapping[int, tuple[Item, ...]]] = []
    for group in ordered:
        count = len(group.bins(seconds, most))
        # so many bins may be even in less time than other groups need, in no less than the item of that rank takes
        own = _least_time([group], most=count, low=group.items[count - 1].seconds, high=seconds)
        bins = group.bins(own, count)
        by_number = _by_name(group.items, len(bins), _ROOM * own) or _fill(bins, group.items)
        packed.append({number: tuple(bin_) for number, bin_ in enumerate(by_number) if bin_})
    return packed


def _longest_first(items: Sequence[Item]) -> _Group:
    ordered = sorted(items, key=lambda item: (-item.seconds, item.name))
    return _Group(items=ordered, totals=tuple(accumulate((item.seconds for item in reversed(ordered)), initial=0.0)))


def _least_time(groups: Sequence[_Group], *, most: int, low: float, high: float = math.inf) -> float:
    """Return the least time from `low` on in which the groups need at most `most` bins; they do in `high`."""
    if _suffice(groups, low, most):
        return low
    while low * 2 < high and not _suffice(groups, low * 2, most):
        low *= 2
    high = min(low * 2, high)
    while high > low * _PRECISION:
        middle = (low + high) / 2
        if _suffice(groups, middle, most):
            high = middle
        else:
            low = middle
    return high


def _suffice(groups: Sequence[_Group], seconds: float, most: int) -> bool:
    for group in groups:
        most -= len(group.bins(seconds, most))
        if most < 0:
            return False
    return True


def _by_name(items: Sequence[Item], count: int, most: float) -> list[list[Item]] | None:
    packed: list[list[Item]] = [[] for _ in range(count)]
    loads = [0.0] * count

    def has_room(number: int, item: Item) -> bool:
        return loads[number] + item.seconds <= most or not packed[number]

    for item in items:
        number = next((number for number in _places(item.near or item.name, count) if has_room(number, item)), None)
        if number is None:
            number = min(range(count), key=loads.__getitem__)
            if not has_room(number, item):
                return None
        packed[number].append(item)
        loads[number] += item.seconds
    return packed


def _fill(bins: Sequence[Sequence[Item]], items: Sequence[Item]) -> list[list[Item]]:
    """Return the bins with the items that they lack: the short ones, each in what is the shortest bin by then."""
    filled = [list(bin_) for bin_ in bins]
    loads = [(math.fsum(item.seconds for item in bin_), number) for number, bin_ in enumerate(bins)]
    heapq.heapify(loads)
    for item in items[sum(map(len, bins)) :]:
        load, number = loads[0]
        filled[number].append(item)
        heapq.heapreplace(loads, (load + item.seconds, number))
    return filled


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
