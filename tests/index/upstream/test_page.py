from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from wheelhouse.errors import UpstreamUnavailableError
from wheelhouse.index.upstream.page import UpstreamPage, html_to_json, parse_page

EGGS = canonicalize_name("eggs")
URL = "https://up.example/simple/eggs/"
FILE = {"filename": "eggs-1.0.tar.gz", "url": "../../f/eggs-1.0.tar.gz#sha256=x", "hashes": {"sha256": "a" * 64}}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def parse(*files: object, **said: object) -> UpstreamPage:
    told = {"meta": {"api-version": "1.1"}, "name": "eggs", "files": list(files), **said}
    return parse_page(orjson.dumps(told), project=EGGS, url=URL, upstream="https://up.example/simple/")


def test_file__link__is_made_whole() -> None:
    (file,) = parse(FILE).files
    assert file.origin.url == "https://up.example/f/eggs-1.0.tar.gz"


@pytest.mark.parametrize(
    "change",
    [
        {"filename": "other-1.0.tar.gz"},
        {"filename": "eggs-1.0.egg"},
        {"filename": "../eggs-1.0.tar.gz"},
        {"filename": 'eggs-1.0"><script>.tar.gz'},
        {"filename": "eggs-1.0\n.tar.gz"},
        {"filename": "eggs-" + "1" * 300 + ".tar.gz"},
        {"hashes": {}},
        {"hashes": {"sha256": "A" * 64}},
        {"hashes": {"md5": "a" * 32}},
        {"url": "file:///etc/passwd"},
        {"url": "http://up.example/f/eggs-1.0.tar.gz"},  # from https to http
        {"url": "https://127.0.0.1/f"},
        {"url": "https://169.254.169.254/latest/"},
        {"url": "https://[::1]/f"},
        {"url": "https://localhost/f"},
        {"url": "https://me:password@files.example/f"},
        {"url": "https://files.example/f\r\nX: y"},
    ],
)
def test_file__not_fit_to_be_passed_on__is_left_out(change: dict[str, object]) -> None:
    assert parse(FILE | change).files == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"core-metadata": {"sha256": "b" * 64}}, "b" * 64),
        ({"dist-info-metadata": {"sha256": "b" * 64}}, "b" * 64),
        ({"core-metadata": True}, None),
        ({"core-metadata": {"md5": "b"}}, None),
        ({}, None),
    ],
)
def test_metadata__only_with_their_hash(change: dict[str, object], expected: str | None) -> None:
    (file,) = parse(FILE | change).files
    assert file.origin.metadata == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"files": []}', b'{"meta": {"api-version": "2.0"}, "name": "eggs", "files": []}'],
)
def test_page__that_is_none__is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamUnavailableError):
        parse_page(body, project=EGGS, url=URL, upstream=URL)


@given(st.dictionaries(st.sampled_from([*FILE, "size", "upload-time", "yanked", "core-metadata"]), JSON_VALUES))
def test_page__with_any_values__is_read_or_refused(change: dict[str, Any]) -> None:
    with suppress(UpstreamUnavailableError):
        parse(FILE | change)


@given(st.binary(max_size=200) | JSON_VALUES.map(orjson.dumps))
def test_page__of_any_bytes__is_read_or_refused(body: bytes) -> None:
    with pytest.raises(UpstreamUnavailableError):
        parse_page(body, project=EGGS, url=URL, upstream=URL)


@pytest.mark.parametrize("html", [b"", b"<html>please log in <a href='/login'>here</a>", b"\xff\xfe"])
def test_html__without_files__is_refused(html: bytes) -> None:
    with pytest.raises(UpstreamUnavailableError):
        html_to_json(html, project=EGGS, url=URL)
