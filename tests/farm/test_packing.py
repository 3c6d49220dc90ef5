from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from best_packing import bound, optimum
from wheelhouse.farm.packing import SLACK, Item, pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

seconds = st.floats(min_value=0.01, max_value=20_000)


def groups_of(durations: st.SearchStrategy[float], *, most: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(durations, min_size=1, max_size=most), min_size=1, max_size=4)


def chances(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing secret: durations that look like a registry's


def items(durations: list[float]) -> list[Item]:
    return [
        Item(name=f"job-{number}", near=f"project-{number // 4}", seconds=one) for number, one in enumerate(durations)
    ]


def pack_one(things: Sequence[Item], *, bins: int) -> Mapping[int, tuple[Item, ...]]:
    """Pack a single group into as many bins as may be."""
    (packed,) = pack([things], most=bins, target=0.001)
    return packed


def longest(packed: Sequence[Mapping[int, tuple[Item, ...]]]) -> float:
    return max(math.fsum(item.seconds for item in bin_) for bins in packed for bin_ in bins.values())


@settings(deadline=None)
@given(
    groups=st.sampled_from([seconds, st.integers(1, 30).map(float), st.integers(20, 30).map(float)]).flatmap(
        lambda durations: groups_of(durations, most=7)
    ),
    more=st.integers(0, 28),
    target=st.sampled_from([0.001, 10.0, 5000.0]),
)
def test_pack__few_things__longest_bin_is_near_the_best_of_all_packings(
    groups: list[list[float]], more: int, target: float
) -> None:
    most = len(groups) + more
    packed = pack([items(group) for group in groups], most=most, target=target)
    made = sum(map(len, packed))
    assert made <= most
    assert longest(packed) <= SLACK * optimum(groups, made) * (1 + 1e-9)
    assert longest(packed) <= max(SLACK * optimum(groups, most), 1.1 * target) * (1 + 1e-9)


@settings(deadline=None)
@given(groups=groups_of(seconds, most=60), most=st.integers(4, 256))
def test_pack__random_durations__longest_bin_is_near_the_best_of_all_packings(
    groups: list[list[float]], most: int
) -> None:
    things = [items(group) for group in groups]
    packed = pack(things, most=most, target=0.001)
    assert [sorted(item.name for bin_ in bins.values() for item in bin_) for bins in packed] == [
        sorted(item.name for item in group) for group in things
    ]
    assert sum(map(len, packed)) <= most
    assert longest(packed) <= SLACK * bound(groups, most) * (1 + 1e-9)


@settings(deadline=None)
@given(groups=groups_of(st.integers(1, 30).map(float), most=6), more=st.integers(0, 24))
def test_bound__is_no_more_than_the_best_of_all_packings(groups: list[list[float]], more: int) -> None:
    """What the tests hold long lists against is honest."""
    most = len(groups) + more
    assert bound(groups, most) <= optimum(groups, most) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("groups", "most", "best"),
    [
        ([[3.0, 3.0, 2.0, 2.0, 2.0]], 2, 6.0),
        ([[60.0] * 4], 3, 120.0),
        ([[90.0] * 5, [10.0]], 3, 270.0),
        ([[4.0, 4.0], [4.0, 4.0]], 3, 8.0),
    ],
)
def test_optimum__known_ones(groups: list[list[float]], most: int, best: float) -> None:
    assert optimum(groups, most) == best


def test_pack__pairs_that_no_mean_tells_of__get_the_bins_that_they_need() -> None:
    """Nine bins would do for the first group by its total, and then one of them takes 135."""
    groups = [[90.0] * 5 + [45.0] * 10, [20.0] * 5 + [1.0]]
    assert longest(pack([items(group) for group in groups], most=11, target=0.001)) <= SLACK * 101


@settings(deadline=None)
@given(durations=st.lists(seconds, min_size=1, max_size=60), bins=st.integers(1, 30), seed=st.randoms())
def test_pack__other_order__same_bins(durations: list[float], bins: int, seed: random.Random) -> None:
    things = items(durations)
    shuffled = things.copy()
    seed.shuffle(shuffled)
    assert pack_one(things, bins=bins) == pack_one(shuffled, bins=bins)


@pytest.mark.parametrize("bins", [1, 3, 20, 64])
def test_pack__one_project_more__few_others_move(bins: int) -> None:
    chance = chances(1)
    before = items([chance.lognormvariate(4, 1) for _ in range(2000)])
    after = [*before, *(Item(name=f"new-{number}", near="new", seconds=90) for number in range(4))]

    def places(things: list[Item]) -> dict[str, int]:
        return {item.name: number for number, bin_ in pack_one(things, bins=bins).items() for item in bin_}

    old, new = places(before), places(after)
    assert set(old.values()) <= set(new.values())
    moved = [name for name, number in old.items() if new[name] != number]
    assert len(moved) < 0.05 * len(before)


def test_pack__one_bin_more__few_move() -> None:
    chance = chances(2)
    things = items([chance.lognormvariate(4, 0.5) for _ in range(2000)])
    old = {item.name: number for number, bin_ in pack_one(things, bins=20).items() for item in bin_}
    new = {item.name: number for number, bin_ in pack_one(things, bins=21).items() for item in bin_}
    assert sum(old[name] != new[name] for name in old) < 0.25 * len(things)


def test_pack__four_equal_things_in_three_bins__uses_two() -> None:
    assert len(pack_one(items([60.0] * 4), bins=3)) == 2


def test_pack__no_group__is_no_bin() -> None:
    assert pack([], most=5, target=1) == []


def test_pack__longer_than_the_target__is_alone_and_lets_the_others_be_as_they_were() -> None:
    (packed,) = pack([items([10_000.0, *[100.0] * 60])], most=256, target=1200)
    times = sorted(math.fsum(item.seconds for item in bin_) for bin_ in packed.values())
    assert times[-1] == 10_000
    assert len(times) == 6
    assert times[-2] <= 1.1 * 1200


@settings(deadline=None)
@given(
    groups=st.lists(st.lists(seconds, min_size=1, max_size=30), min_size=1, max_size=12),
    more=st.integers(0, 40),
    target=st.floats(1, 10_000),
)
def test_pack__every_group_gets_a_bin_and_the_limit_holds(groups: list[list[float]], more: int, target: float) -> None:
    packed = pack([items(group) for group in groups], most=len(groups) + more, target=target)
    assert all(1 <= len(bins) <= len(group) for bins, group in zip(packed, groups, strict=True))
    assert sum(map(len, packed)) <= len(groups) + more


def test_pack__too_few_bins__all_groups_take_as_long() -> None:
    groups = [items([10.0] * 90), items([10.0] * 10)]
    assert [len(bins) for bins in pack(groups, most=20, target=10)] == [18, 2]
