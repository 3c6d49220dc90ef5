from __future__ import annotations

import pytest

from wheelhouse.selector import selector_problems


@pytest.mark.parametrize(
    "text", ["*", "cp313-*", "*-musllinux_*", "cp31{2,3}-manylinux_{x86_64,aarch64}", "pp* cp312-*"]
)
def test_selector_problems__none(text: str) -> None:
    assert list(selector_problems(text)) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cp399-*", "did you mean `cp39-*`?"),
        ("cp313", "did you mean `cp313-*`?"),
        ("xx", "as `cp313-*` does"),
        ("cp313-manylinx_x86_64", "did you mean `cp313-manylinux_x86_64`?"),
        ("*-muslinux*", "did you mean `*-musllinux_*`?"),
        ("zzzzzz-*", "Pythons are cp39, "),
        ("*-qqqqqq", "platforms are manylinux_x86_64, "),
        ("pp311-musllinux_x86_64", "there is no pp311 for musllinux_x86_64"),
        ("  ", "an empty selector picks no build identifier"),
        ("cp313-* cp399-*", "`cp399-*` picks no build identifier"),
    ],
)
def test_selector_problems__picks_nothing(text: str, part: str) -> None:
    [problem] = selector_problems(text)

    assert part in problem
