"""Durations of groups and a number of bins in; how long the longest bin takes in the best packing there is out.

The oracle of what packs: it shares no code with it, and is slow (`optimum`) or a little too low (`bound`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def optimum(groups: Sequence[Sequence[float]], bins: int) -> float:
    """Return what no packing can beat, by trying all of them: for a dozen things a group."""
    times = [[_best(group, count) for count in range(1, min(len(group), bins) + 1)] for group in groups]
    for time in sorted({time for own in times for time in own}):
        counts = [next((count for count, one in enumerate(own, 1) if one <= time), math.inf) for own in times]
        if sum(counts) <= bins:
            return time
    raise AssertionError("fewer bins than groups")


def bound(groups: Sequence[Sequence[float]], bins: int) -> float:
    """Return a time that no packing can beat, if not the highest such: by halving, up to where bins may be enough."""
    low = max(*map(max, groups), math.fsum(map(math.fsum, groups)) / bins)
    high = 2 * low
    while _needed_by_all(groups, high) > bins:
        low, high = high, 2 * high
    while high > low * 1.001:
        middle = (low + high) / 2
        if _needed_by_all(groups, middle) > bins:
            low = middle
        else:
            high = middle
    return low


def _needed_by_all(groups: Sequence[Sequence[float]], time: float) -> int:
    return sum(_needed(group, time) for group in groups)


def _needed(durations: Sequence[float], time: float) -> int:
    """Return how many bins of so much time are needed at least (Martello and Toth, 1990: the bounds they call L2).

    Of what takes half of it or more, each needs a bin, and what takes at least `least` goes into the room these leave:
    by time, and by number.
    """
    ordered = sorted(durations)
    needed = math.ceil(math.fsum(ordered) / time * (1 - 1e-9))
    for least in {one for one in ordered if one <= time / 2} | {time / 2}:
        room = [time - one for one in ordered if one > time / 2]
        beside = [one for one in room if one >= least]
        short = [one for one in ordered if least <= one <= time / 2]
        by_time = (math.fsum(short) - math.fsum(beside)) / time * (1 - 1e-9)
        by_number = (len(short) - sum(int(one / least * (1 + 1e-9)) for one in beside)) / int(time / least * (1 + 1e-9))
        needed = max(needed, len(room) + max(0, math.ceil(by_time), math.ceil(by_number)))
    return needed


def _best(durations: Sequence[float], bins: int) -> float:
    ordered = sorted(durations, reverse=True)
    least = max(math.fsum(ordered) / bins, ordered[0])
    best = math.fsum(ordered)

    def place(number: int, loads: tuple[float, ...]) -> None:
        nonlocal best
        if number == len(ordered):
            best = max(loads)
            return
        for load in sorted(set(loads)):  # bins that are as long as each other are the same
            longer = load + ordered[number]
            if longer < best and best > least:
                index = loads.index(load)
                place(number + 1, (*loads[:index], longer, *loads[index + 1 :]))

    place(0, (0.0,) * bins)
    return best
