from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelhouse.errors import InvalidFileError
from wheelhouse.toml import Count, Duration, Flag, Strict, find_all, key_path, load_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wheelhouse.errors import Location


class _Inner(Strict):
    size: Count = 0
    some_flag: Flag = False
    words: tuple[str, ...] = ()
    either: str | tuple[str, ...] = ""


class _Outer(Strict):
    name: str
    kind: Literal["red", "green"] = "red"
    wait: Duration = 60.0
    inner: _Inner = _Inner()
    rows: tuple[_Inner, ...] = ()


def _problems(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "file.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_toml(path, _Outer)
    return {problem.key: problem.message for problem in caught.value.problems}


def test_load_toml__dashes_and_units(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text('name = "x"\nwait = "1.5m"\n[inner]\nsome-flag = true\n')

    value = load_toml(path, _Outer)

    assert value == _Outer(name="x", wait="1.5m", inner=_Inner.model_validate({"some-flag": True}))
    assert value.wait == 90.0


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", "name", "this key is missing"),
        ("name = 3", "name", "must be a text in quotes, not the bare value 3"),
        ("name = 2024-01-02", "name", "must be a text in quotes, not the bare value 2024-01-02"),
        ("name = true", "name", "must be a text in quotes, not `true`"),
        ('name = "x"\nkind = "gren"', "kind", "must be `red` or `green`; did you mean `green`?"),
        ('name = "x"\nrow = 1', "row", "unknown key; did you mean `rows`?"),
        ('name = "x"\nsize = 1', "size", "unknown key here; did you mean `inner.size` or `rows.size`?"),
        ('name = "x"\nzzz = 1', "zzz", "unknown key; known here: name, kind, wait, inner, rows"),
        ('name = "x"\ninner = 1', "inner", "must be a table, not the bare value 1"),
        ('name = "x"\n[[inner]]', "inner", "there is only one such table: write `[inner]`, not `[[inner]]`"),
        ('name = "x"\nrows = "1"', "rows", "must be a list of tables: begin each with `[[rows]]`, not a text"),
        ('name = "x"\n[rows]', "rows", "must be a list of tables: begin each with `[[rows]]`, not a table"),
        ('name = "x"\ninner.size = "1"', "inner.size", "must be a whole number, not a text"),
        ('name = "x"\ninner.size = -1', "inner.size", "must be greater than or equal to 0"),
        ('name = "x"\ninner.some_flag = true', "inner.some_flag", "unknown key; did you mean `some-flag`?"),
        ('name = "x"\ninner.some-flag = "yes"', "inner.some-flag", "must be true or false, not a text"),
        ('name = "x"\ninner.words = "a"', "inner.words", "must be a list in [ ], not a text"),
        ('name = "x"\ninner.words = ["a", 1]', "inner.words[1]", "must be a text in quotes, not the bare value 1"),
        (
            'name = "x"\ninner.either = 1',
            "inner.either",
            "must be a text in quotes or a list in [ ], not the bare value 1",
        ),
        ('name = "x"\nwait = 5', "wait", 'a duration is a text with its unit, as in "90s", "30m" or "2h"'),
        ('name = "x"\nwait = "5 min"', "wait", 'a duration is a number and a unit, as in "90s", "30m" or "2h"'),
        ('name = "x"\nwait = "0s"', "wait", "must be greater than 0"),
    ],
)
def test_load_toml__says_what_is_wrong_and_where(tmp_path: Path, text: str, key: str, message: str) -> None:
    assert _problems(tmp_path, text) == {key: message}


def test_load_toml__tells_all_problems_and_those_of_rules_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text('kind = "blue"\nzzz = 1\n[[rows]]\nsize = "x"\nwords = ["later"]\n')

    def rules(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        for place, word in find_all(table, "rows", "*", "words", "*"):
            yield place, f"`{word}` will not do"
        yield ("kind",), "said already, by the model"

    with pytest.raises(InvalidFileError) as caught:
        load_toml(path, _Outer, rules=rules)

    assert [problem.key for problem in caught.value.problems] == [
        "name",
        "kind",
        "rows[0].size",
        "zzz",
        "rows[0].words[0]",
    ]
    assert str(caught.value).count("\n") == 5
    assert f"  {path}: rows[0].words[0]: `later` will not do" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"name = ", "not valid TOML: Invalid value (at end of document)"),
        (b'name = "x"\nname = "y"', "not valid TOML: Cannot overwrite a value"),
        (b"name = '\xff'", "not UTF-8, which TOML has to be"),
        (b"name = " + b"[" * 100_000, "not valid TOML"),
        (b"name = " + b"1" * 10_000, "not valid TOML"),
    ],
)
def test_load_toml__not_toml(tmp_path: Path, data: bytes, part: str) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(data)

    with pytest.raises(InvalidFileError) as caught:
        load_toml(path, _Outer)

    assert part in str(caught.value)


def test_load_toml__no_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="there is no such file"):
        load_toml(tmp_path / "none.toml", _Outer)
    with pytest.raises(InvalidFileError, match="cannot be read: Is a directory"):
        load_toml(tmp_path, _Outer)


@pytest.mark.parametrize(
    ("location", "text"),
    [((), ""), (("version", 0, "sha256"), "version[0].sha256"), (("environment", "A.B"), 'environment."A.B"')],
)
def test_key_path(location: Location, text: str) -> None:
    assert key_path(location) == text


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["rows", "words"]), inner),
)


@given(_values)
def test_find_all__bears_any_value(value: object) -> None:
    for place, found in find_all(value, "rows", "*", "words"):
        inner: Any = value
        for part in place:
            inner = inner[part]
        assert inner is found
