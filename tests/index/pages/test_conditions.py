from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelhouse.index.pages.conditions import Span, best_body, is_known, wanted_span
from wheelhouse.index.pages.render import Page

PAGE = Page.of(b"x" * 1000)
NUMBERS = st.one_of(st.just(""), st.integers(0, 10**20).map(str), st.text("0123456789-, x", max_size=5))


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ("*", True), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False), ("a", False)],
)
def test_is_known(header: str | None, known: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_known(header, '"a"') is known


@pytest.mark.parametrize(
    ("range_", "span"),
    [
        (None, None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=5-", Span(5, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=3-99", Span(3, 10)),
        ("bytes=10-", Span(0, 0)),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_wanted_span(range_: str | None, span: Span | None) -> None:
    assert wanted_span(range_, None, etag='"a"', size=10) == span


def test_wanted_span__zero_last_bytes__cannot_be_met() -> None:
    span = wanted_span("bytes=-0", None, etag='"a"', size=10)
    assert span is not None
    assert span.start >= span.end


@pytest.mark.parametrize(("if_range", "span"), [('"a"', Span(0, 1)), ('"b"', None), ('W/"a"', None)])
def test_wanted_span__if_range__by_strong_comparison(if_range: str, span: Span | None) -> None:
    assert wanted_span("bytes=0-0", if_range, etag='"a"', size=10) == span


@given(first=NUMBERS, last=NUMBERS, size=st.integers(0, 10**12))
def test_wanted_span__anything__lies_within_the_file(first: str, last: str, size: int) -> None:
    span = wanted_span(f"bytes={first}-{last}", None, etag='"a"', size=size)
    assert span is None or span.start >= span.end or 0 <= span.start < span.end <= size


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP;q=0.1", "gzip"),
        ("gzip, zstd", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "gzip"),
        ("br", None),
        ("gzip;q=0.000", None),
    ],
)
def test_best_body(header: str | None, encoding: str | None) -> None:
    assert best_body(PAGE, header).encoding == encoding


@given(st.text(max_size=40))
def test_best_body__anything__is_one_of_the_bodies(header: str) -> None:
    assert best_body(PAGE, header) in {PAGE.identity, PAGE.gzip, PAGE.zstd}


def test_page__large_one__takes_long_once() -> None:
    page = Page.of(b"x" * 1_000_000)
    assert not page.takes_long(None)
    assert page.takes_long("zstd")
    assert page.encoded("zstd") is page.zstd
    assert not page.takes_long("zstd")
    assert page.takes_long("gzip")
    assert not PAGE.takes_long("gzip")
