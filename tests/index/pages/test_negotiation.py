from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelhouse.index.pages.negotiation import MediaType, negotiate

JSON, HTML_V1, HTML = MediaType.JSON, MediaType.HTML_V1, MediaType.HTML
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/*", HTML),
        ("application/*", HTML_V1),
        (PIP, JSON),
        (BROWSER, HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML_V1),
        ("application/vnd.pypi.simple.v1+html, application/vnd.pypi.simple.v1+json", JSON),
        ("APPLICATION/VND.PYPI.SIMPLE.V1+JSON;Q=0.5", JSON),
        ("text/html;charset=utf-8;q=0.5, application/vnd.pypi.simple.v1+json;q=0.4", HTML),
        ("*/*, application/vnd.pypi.simple.v1+json;q=0.5", HTML),
        ("*/*;q=0.5, text/html;q=0", HTML_V1),
        ("application/vnd.pypi.simple.v2+json", None),
        ("application/json", None),
        ("text/html;q=0", None),
        ("text/html;q=2", None),
        ("text/html;q=nonsense", None),
        (",;,", None),
    ],
)
def test_negotiate__header__chooses(accept: str | None, chosen: MediaType | None) -> None:
    assert negotiate(accept) is chosen


@pytest.mark.parametrize(
    ("format_", "chosen"),
    [
        ("application/vnd.pypi.simple.v1+json", JSON),
        ("application/vnd.pypi.simple.v1 json", JSON),  # a bare plus in a query means a blank
        ("application/vnd.pypi.simple.latest+html", HTML_V1),
        ("text/html", HTML),
        ("json", None),
        ("", None),
    ],
)
def test_negotiate__format__outweighs_the_header(format_: str, chosen: MediaType | None) -> None:
    assert negotiate(PIP, format_) is chosen


@given(st.text() | st.none(), st.text() | st.none())
def test_negotiate__any_text__is_answered(accept: str | None, format_: str | None) -> None:
    assert negotiate(accept, format_) in {*MediaType, None}


weights = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(st.fixed_dictionaries(dict.fromkeys(MediaType, weights)))
def test_negotiate__weights__the_highest_wins(given_weights: dict[MediaType, float]) -> None:
    accept = ", ".join(f"{media_type.value};q={weight:.3f}" for media_type, weight in given_weights.items())
    best = max(given_weights.values())
    chosen = negotiate(accept)
    assert (given_weights[chosen] == best) if chosen else best == 0


@given(st.permutations(PIP.split(",")))
def test_negotiate__order_of_ranges__does_not_matter(parts: list[str]) -> None:
    assert negotiate(",".join(parts)) is JSON
