from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wheelhouse.buildkey import build_key, changes

INPUTS = st.dictionaries(st.text(min_size=1), st.text())


@given(INPUTS)
def test_key__order_of_inputs__does_not_matter(inputs: dict[str, str]) -> None:
    assert build_key(inputs) == build_key(dict(reversed(inputs.items())))


@given(INPUTS, INPUTS)
def test_key__differs__exactly_when_changes_are_named(before: dict[str, str], after: dict[str, str]) -> None:
    assert (build_key(before) != build_key(after)) == bool(list(changes(before, after)))


def test_changes__hash__is_shortened() -> None:
    assert list(changes({"source.sha256": "a" * 64}, {"source.sha256": "b" * 64})) == [
        f"source.sha256: {'a' * 16}… -> {'b' * 16}…"
    ]


def test_changes__input_gone__says_none() -> None:
    assert list(changes({"tool.zig": "0.15"}, {})) == ["tool.zig: 0.15 -> (none)"]
