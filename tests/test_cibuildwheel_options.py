from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from wheelhouse.cibuildwheel_options import OWNED, option_problems, options_schema


@pytest.mark.parametrize(
    "table",
    [
        {"before-all": "true", "before-build": ["a", "b"], "build-verbosity": 1},
        {
            "environment": {"A": "b"},
            "config-settings": {"a": ["b"]},
            "xbuild-tools": ["ninja"],
            "environment-pass": ["A"],
        },
        {"manylinux-x86_64-image": "manylinux_2_28", "musllinux-aarch64-image": "x@sha256:0"},
        {"linux": {"before-all": "true"}, "macos": {"environment": "A=b"}},
    ],
)
def test_option_problems__none(table: dict[str, Any]) -> None:
    assert list(option_problems(table)) == []


@pytest.mark.parametrize("option", sorted(OWNED))
def test_option_problems__options_that_wheelhouse_sets(option: str) -> None:
    problems = dict(option_problems({option: "x", "linux": {option: "x"}}))

    assert problems[option,] == problems["linux", option] == f"wheelhouse sets this option; {OWNED[option]}"
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("table", "place", "message"),
    [
        ({"befor-all": "x"}, ("befor-all",), "unknown to cibuildwheel; did you mean `before-all`?"),
        ({"linux": {"zzz": 1}}, ("linux", "zzz"), "unknown to cibuildwheel"),
        ({"before-all": 1}, ("before-all",), "must be a text or a list of texts"),
        ({"before-all": ["x", 1]}, ("before-all",), "must be a text or a list of texts"),
        ({"build-verbosity": "1"}, ("build-verbosity",), "must be a whole number"),
        ({"environment": {"A": 1}}, ("environment",), "must be a text or a table of texts"),
        ({"linux": {"manylinux-x86_64-image": 1}}, ("linux", "manylinux-x86_64-image"), "must be a text"),
        ({"linux": "x"}, ("linux",), "must be a table of texts"),
        (
            {"build-verbosity": 9},
            ("build-verbosity",),
            "cibuildwheel's schema refuses it: 9 is greater than the maximum of 3",
        ),
    ],
)
def test_option_problems__one(table: dict[str, Any], place: tuple[str, ...], message: str) -> None:
    assert list(option_problems(table)) == [(place, message)]


def test_options_schema__owned_options_are_real_ones() -> None:
    # An option that cibuildwheel renames must not slip through under its new name unseen.
    import importlib.resources  # noqa: PLC0415 - only here
    import json  # noqa: PLC0415 - likewise

    shipped = json.loads(
        importlib.resources.files("cibuildwheel").joinpath("resources/cibuildwheel.schema.json").read_text("utf-8")
    )

    assert set(OWNED) <= set(shipped["properties"])
    assert set(options_schema()["properties"]) == set(shipped["properties"]) - set(OWNED)
    jsonschema.Draft7Validator.check_schema(options_schema())
