from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wheelhouse.farm.packing import SLACK, Item, apportion, ideal, pack

seconds = st.floats(min_value=0.01, max_value=20_000)


def chances(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing secret: durations that look like a registry's


def items(durations: list[float]) -> list[Item]:
    return [
        Item(name=f"job-{number}", near=f"project-{number // 4}", seconds=one) for number, one in enumerate(durations)
    ]


@settings(deadline=None)
@given(durations=st.lists(seconds, min_size=1, max_size=200), bins=st.integers(1, 256))
def test_pack__random_durations__longest_bin_is_near_the_ideal(durations: list[float], bins: int) -> None:
    things = items(durations)
    packed = pack(things, bins=bins)
    assert sorted(item.name for bin_ in packed.values() for item in bin_) == sorted(item.name for item in things)
    assert len(packed) <= bins
    longest = max(math.fsum(item.seconds for item in bin_) for bin_ in packed.values())
    assert longest <= SLACK * ideal(things, len(packed)) * (1 + 1e-9)


@settings(deadline=None)
@given(durations=st.lists(seconds, min_size=1, max_size=60), bins=st.integers(1, 30), seed=st.randoms())
def test_pack__other_order__same_bins(durations: list[float], bins: int, seed: random.Random) -> None:
    things = items(durations)
    shuffled = things.copy()
    seed.shuffle(shuffled)
    assert pack(things, bins=bins) == pack(shuffled, bins=bins)


@pytest.mark.parametrize("bins", [1, 3, 20, 64])
def test_pack__one_project_more__few_others_move(bins: int) -> None:
    chance = chances(1)
    before = items([chance.lognormvariate(4, 1) for _ in range(2000)])
    after = [*before, *(Item(name=f"new-{number}", near="new", seconds=90) for number in range(4))]

    def places(things: list[Item]) -> dict[str, int]:
        return {item.name: number for number, bin_ in pack(things, bins=bins).items() for item in bin_}

    old, new = places(before), places(after)
    assert set(old.values()) <= set(new.values())
    moved = [name for name, number in old.items() if new[name] != number]
    assert len(moved) < 0.05 * len(before)


def test_pack__one_bin_more__few_move() -> None:
    chance = chances(2)
    things = items([chance.lognormvariate(4, 0.5) for _ in range(2000)])
    old = {item.name: number for number, bin_ in pack(things, bins=20).items() for item in bin_}
    new = {item.name: number for number, bin_ in pack(things, bins=21).items() for item in bin_}
    assert sum(old[name] != new[name] for name in old) < 0.25 * len(things)


def test_pack__four_equal_things_in_three_bins__uses_two() -> None:
    assert len(pack(items([60.0] * 4), bins=3)) == 2


def test_pack__uneven__takes_spare_bins_before_fewer() -> None:
    three_long = items([800.0] * 3)  # two bins: one takes twice as long as the other
    assert [len(bin_) for bin_ in pack(three_long, bins=2, spare=1).values()] == [1, 1, 1]
    assert len(pack(three_long, bins=2)) == 1


@settings(deadline=None)
@given(durations=st.lists(seconds, min_size=1, max_size=60), bins=st.integers(1, 30), spare=st.integers(0, 30))
def test_pack__spare_bins__are_few_and_keep_the_promise(durations: list[float], bins: int, spare: int) -> None:
    things = items(durations)
    packed = pack(things, bins=bins, spare=spare)
    assert len(packed) <= bins + spare
    longest = max(math.fsum(item.seconds for item in bin_) for bin_ in packed.values())
    assert longest <= SLACK * ideal(things, len(packed)) * (1 + 1e-9)
    alone = pack(things, bins=bins)
    assert longest <= SLACK * max(math.fsum(item.seconds for item in bin_) for bin_ in alone.values()) * (1 + 1e-9)


@settings(deadline=None)
@given(durations=st.lists(st.integers(1, 60), min_size=1, max_size=7), bins=st.integers(1, 4))
def test_pack__small__is_near_what_no_packing_can_beat(durations: list[int], bins: int) -> None:
    """The ideal of the other tests is a bound; here it is the best of all ways to pack, tried out."""
    things = items([float(one) for one in durations])
    packed = pack(things, bins=bins, spare=len(things))
    count = len(packed)
    best = min(
        max(sum(d for d, place in zip(durations, way, strict=True) if place == number) for number in range(count))
        for way in product(range(count), repeat=len(durations))
    )
    longest = max(math.fsum(item.seconds for item in bin_) for bin_ in packed.values())
    assert longest <= SLACK * best * (1 + 1e-9)


def test_pack__nothing__is_no_bin() -> None:
    assert pack([], bins=5) == {}


@settings(deadline=None)
@given(
    groups=st.lists(st.lists(seconds, min_size=1, max_size=30), min_size=1, max_size=12),
    spare=st.integers(0, 40),
    target=st.floats(1, 10_000),
)
def test_apportion__every_group_gets_a_bin_and_the_limit_holds(
    groups: list[list[float]], spare: int, target: float
) -> None:
    things = [items(group) for group in groups]
    counts = apportion(things, target=target, most=len(groups) + spare)
    assert all(1 <= count <= len(group) for count, group in zip(counts, groups, strict=True))
    assert sum(counts) <= len(groups) + spare


def test_apportion__too_few_bins__the_slowest_group_gets_the_next() -> None:
    groups = [items([10.0] * 90), items([10.0] * 10)]
    assert apportion(groups, target=10, most=20) == (18, 2)
