from __future__ import annotations

import pytest

from wheelhouse.index.pages.once import Once


def test_once__asked_twice__is_made_once() -> None:
    numbers = iter(range(9))
    value = Once(lambda: next(numbers))
    assert not value.made
    assert (value(), value(), value.made) == (0, 0, True)


def test_once__making_fails__is_tried_again() -> None:
    answers = ["spam"]
    value = Once(lambda: answers[1])
    with pytest.raises(IndexError):
        value()
    answers.append("eggs")
    assert value() == "eggs"
