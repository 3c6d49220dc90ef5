from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from wheelhouse import errors
from wheelhouse.errors import InvalidFileError, Problem, UsageError, WheelhouseError


def _all(kind: type[WheelhouseError]) -> list[type[WheelhouseError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _all(below))]


def test_exit_codes__each_its_own_and_none_is_success() -> None:
    kinds = [kind for kind in _all(WheelhouseError) if kind.__module__ == errors.__name__]
    codes = [kind.exit_code for kind in kinds]

    assert len(set(codes)) == len(codes)
    assert 0 not in codes
    assert len({kind.summary for kind in kinds}) == len(kinds)


def test_error__where_and_message() -> None:
    assert str(UsageError("it is wrong", where="there")) == "there: it is wrong"
    assert str(UsageError("it is wrong")) == "it is wrong"


def test_invalid_file_error__one_line_a_problem() -> None:
    problems = [Problem(file=Path("a"), key="b[0]", message="c"), Problem(file=Path("d"), message="e")]

    assert str(InvalidFileError("wrong", problems=problems)) == "wrong\n  a: b[0]: c\n  d: e"


@pytest.mark.parametrize(
    "error",
    [
        UsageError("m", where="w", hint="h"),
        InvalidFileError("m", problems=[Problem(file=Path("a"), message="b")], hint="h"),
    ],
)
def test_error__survives_a_process_boundary(error: WheelhouseError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(again) is type(error)
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
