from __future__ import annotations

import pytest

from fake_salt import FakeMinion, FakeSalt, a_minion
from wheelhouse.errors import MachineError
from wheelhouse.farm.salt.discover import discover


def a_fleet(*minions: FakeMinion) -> FakeSalt:
    return FakeSalt(minions={fake.minion.id: fake for fake in minions})


def test_discover__who_answers__is_found_and_who_cannot_has_its_reason() -> None:
    fleet = a_fleet(
        FakeMinion(a_minion("b")), FakeMinion(a_minion("a")), FakeMinion(a_minion("c"), raises="not available")
    )
    found = discover(fleet, "*")
    assert [minion.id for minion in found.minions] == ["a", "b"]
    assert found.refused == {"c": "not available"}


def test_discover__one_is_silent__is_refused_after_a_while() -> None:
    found = discover(a_fleet(FakeMinion(a_minion("a")), FakeMinion(a_minion("b"), dead=True)), "*", patience=0.2)
    assert found.refused == {"b": "no answer within 0 s"}


def test_discover__no_builder_at_all__says_what_was_asked() -> None:
    with pytest.raises(MachineError, match="none fits `G@wheelhouse:version"):
        discover(a_fleet(), "G@wheelhouse:version:*")


def test_discover__nobody_can__says_why_of_each() -> None:
    with pytest.raises(MachineError, match="no minion can build: a: no module"):
        discover(a_fleet(FakeMinion(a_minion("a"), raises="no module")), "*")


def test_discover__the_master_is_down__is_told_apart() -> None:
    fleet = a_fleet(FakeMinion(a_minion("a")))
    fleet.master_down = True
    with pytest.raises(MachineError, match="the Salt master does not answer: no master"):
        discover(fleet, "*")
