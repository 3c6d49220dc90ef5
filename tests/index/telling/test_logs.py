from __future__ import annotations

import json
import logging
import sys

import pytest

from wheelhouse.index.telling.logs import Answered, JsonLines, TextLines, harmless, is_told

SECRET = "q" * 52
TOKEN = f"wh_{'a' * 16}_{SECRET}"
ANSWERED = Answered(
    method="GET",
    path="/simple/spam/\nGET /forged",
    status=404,
    size=12,
    seconds=0.0015,
    who="ci",
    address="198.51.100.7",
    request="r-1",
)


def record(message: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("wheelhouse.index", logging.INFO, "x.py", 1, "%s", (message,), None)
    vars(made).update(more)
    return made


def failed(message: str) -> logging.LogRecord:
    try:
        raise_error(message)
    except ValueError:
        return record("POST /legacy/", exc_info=sys.exc_info(), request="r-1")
    raise AssertionError


def raise_error(message: str) -> None:
    raise ValueError(message)


def test_json__answer__is_an_object_in_a_line() -> None:
    line = JsonLines().format(record(ANSWERED, answered=ANSWERED))
    told = json.loads(line)
    assert "\n" not in line
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "logger": "wheelhouse.access",
        "method": "GET",
        "path": "/simple/spam/\nGET /forged",
        "status": 404,
        "bytes": 12,
        "ms": 1.5,
        "who": "ci",
        "address": "198.51.100.7",
        "request": "r-1",
    } | {"logger": "wheelhouse.index"}


def test_json__error__has_its_traceback_and_the_requests_id() -> None:
    line = JsonLines().format(failed("the cause"))
    told = json.loads(line)
    assert "\n" not in line
    assert told["request"] == "r-1"
    assert told["traceback"].startswith("Traceback")
    assert "ValueError: the cause" in told["traceback"]


def test_json__text_that_is_no_unicode__is_told_all_the_same() -> None:
    assert json.loads(JsonLines().format(record("bad \udc80 path")))["message"] == "bad \\udc80 path"


def test_text__answer__begins_no_second_line() -> None:
    line = TextLines().format(record(ANSWERED))
    assert "\n" not in line
    assert "GET /simple/spam/\\nGET /forged 404 12 bytes, 1.5 ms, ci at 198.51.100.7, request r-1" in line


def test_text__error__has_its_traceback() -> None:
    assert "ValueError: the cause" in TextLines().format(failed("the cause"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"token {TOKEN} was", f"token wh_{'a' * 16}_*** was"),
        ("https://me:pass@up.example/simple/", "https://***@up.example/simple/"),
        ("https://up.example/a@b", "https://up.example/a@b"),
        ("'authorization': 'Basic bWU6cGFzc3dvcmQ='", "'authorization': 'Basic ***'"),
        ("Bearer abcdefghijkl", "Bearer ***"),
        ("a basic thing", "a basic thing"),
    ],
)
def test_harmless__secrets__are_struck_out(text: str, told: str) -> None:
    assert harmless(text) == told


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()])
def test_lines__secret_in_a_traceback__is_struck_out(lines: logging.Formatter) -> None:
    assert SECRET not in lines.format(failed(f"refused {TOKEN}"))


@pytest.mark.parametrize(
    ("which", "kind", "status", "told"),
    [
        ("all", "page", 200, True),
        ("nothing", "upload", 500, False),
        ("notable", "page", 200, False),
        ("notable", "page", 304, False),
        ("notable", "page", 404, True),
        ("notable", "file", 206, False),
        ("notable", "file", 503, True),
        ("notable", "upload", 200, True),
        ("notable", "operations", 200, False),
    ],
)
def test_is_told(which: str, kind: str, status: int, told: bool) -> None:  # noqa: FBT001 - of the table
    assert is_told(which, kind, status) is told  # type: ignore[arg-type] # the table is of texts
