from __future__ import annotations

from typing import Any

import pytest

from expressions import Contexts, evaluate, fill, holds

VALUES = {"needs": {"plan": {"outputs": {"stages": "2", "stage-0": "[]"}}}, "inputs": {"index-url": "", "name": "Spam"}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("needs.plan.outputs.stages > 1", True),
        ("needs.plan.outputs.stages > 2", False),
        ("needs.plan.outputs.missing > 0", False),
        ("needs.other.outputs.stages", None),
        ("inputs.name == 'spam'", True),
        ("inputs.index-url != '' && true", False),
        ("inputs.index-url || 'other'", "other"),
        ("!(false || inputs.index-url)", True),
        ("format('refs/heads/{0}', 'it''s')", "refs/heads/it's"),
        ("fromJSON(needs.plan.outputs.stage-0)", []),
    ],
)
def test_evaluate(expression: str, value: Any) -> None:
    assert evaluate(expression, Contexts(values=VALUES)) == value


def test_fill__within_a_text__is_text() -> None:
    assert fill("a-${{ inputs.name }}-${{ inputs.none }}", Contexts(values=VALUES)) == "a-Spam-"


@pytest.mark.parametrize(
    ("condition", "runs"), [(None, False), ("${{ true }}", False), ("${{ !cancelled() && true }}", True)]
)
def test_holds__after_a_failure__only_who_asks_for_it_runs(condition: str | None, runs: bool) -> None:  # noqa: FBT001 - pytest's way
    assert holds(condition, Contexts(values={}, failed=True)) is runs


@pytest.mark.parametrize("expression", ["unknown.name", "hashFiles('x')", "inputs.name ~ 1"])
def test_evaluate__what_is_not_covered__fails(expression: str) -> None:
    with pytest.raises(AssertionError):
        evaluate(expression, Contexts(values=VALUES))
