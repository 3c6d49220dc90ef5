from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from wheelhouse.index.web.search import PER_PAGE, Results, search

NAMES = [NormalizedName(name) for name in ("acme-spam", "eggs", "lovely-spam", "spa", "spam", "spam-eggs", "xspam")]


def test_search__by_a_name__has_the_very_one_first_then_beginnings_then_parts() -> None:
    assert search(NAMES, " SPAM ") == Results(
        query="SPAM",
        names=tuple(map(NormalizedName, ("spam", "spam-eggs", "acme-spam", "lovely-spam", "xspam"))),
        total=5,
        page=1,
        pages=1,
    )


def test_search__spelled_otherwise__means_the_same() -> None:
    assert search(NAMES, "Spam_.Eggs").names == ("spam-eggs",)
    assert search(NAMES, "spam eggs").names == ("spam-eggs",)


def test_search__for_nothing__lists_all_in_pages() -> None:
    many = [NormalizedName(f"p{number:03}") for number in range(2 * PER_PAGE + 1)]

    last = search(many, "", page=99)

    assert (last.page, last.pages, last.names, last.first) == (3, 3, (many[-1],), 2 * PER_PAGE + 1)
    assert search(many, "", page=2).names == tuple(many[PER_PAGE : 2 * PER_PAGE])


def test_search__what_is_not_to_be_read__is_not_there() -> None:
    found = search(NAMES, "", reads=lambda name: name.startswith("acme-"))
    assert (found.names, found.total) == (("acme-spam",), 1)


@given(st.text(max_size=300), st.integers(0, 10**6))
def test_search__any_query__gives_names_that_are_there(query: str, page: int) -> None:
    found = search(NAMES, query, page=page)
    assert set(found.names) <= set(NAMES)
    assert 1 <= found.page <= found.pages


def test_search__half_a_million_names__is_bearable() -> None:
    many = [NormalizedName(f"project-{number:06}") for number in range(500_000)]
    began = time.process_time()

    assert search(many, "99999").total == 5

    assert time.process_time() - began < 1
