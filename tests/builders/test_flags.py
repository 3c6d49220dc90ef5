from __future__ import annotations

from wheelhouse.builders.flags import OPTIMIZED, compiler_flags


def test_compiler_flags__the_recipes_come_last() -> None:
    given = {"CFLAGS": "-O1", "CXXFLAGS": "-std=c++17", "LDFLAGS": "-L/x", "SPAM": "eggs"}

    assert compiler_flags(given) == {
        "CFLAGS": f"{OPTIMIZED} -O1",
        "CXXFLAGS": f"{OPTIMIZED} -std=c++17",
        "LDFLAGS": "-L/x",
        "SPAM": "eggs",
    }


def test_compiler_flags__none_given__none_set() -> None:
    assert compiler_flags({"SPAM": "eggs"}) == {"SPAM": "eggs"}
