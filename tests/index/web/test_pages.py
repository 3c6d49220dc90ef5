from __future__ import annotations

import pytest

from wheelhouse.index.web.pages import marked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("the program `dot` is not there", "the program <code>dot</code> is not there"),
        ("`<b>` & `", "<code>&lt;b&gt;</code> &amp; `"),
        ("plain", "plain"),
    ],
)
def test_marked__between_backticks__is_code_and_nothing_else_is_markup(text: str, html: str) -> None:
    assert marked(text) == html
