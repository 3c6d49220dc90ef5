from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wheelhouse.index.web.about import About, Link, read_about, tame


def metadata(*lines: str, description: str = "", kind: str = "text/markdown") -> bytes:
    head = ["Metadata-Version: 2.1", "Name: spam", "Version: 1.0", *lines, f"Description-Content-Type: {kind}"]
    return ("\n".join(head) + f"\n\n{description}").encode()


def test_read_about__facts_and_links__only_those_that_lead_to_the_web() -> None:
    about = read_about(
        metadata(
            "Summary: Lovely",
            "License: MIT\n        and its whole text",
            "Author-email: me@example.org",
            "Requires-Dist: eggs>=1",
            "Home-page: https://spam.example",
            "Project-URL: Bad, javascript:alert(1)",
            "Project-URL: Docs, https://docs.example/",
        )
    )
    assert about == About(
        summary="Lovely",
        licence="MIT",
        author="me@example.org",
        requires_dist=("eggs>=1",),
        links=(Link(label="Homepage", url="https://spam.example"), Link(label="Docs", url="https://docs.example/")),
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text/markdown", "# Spam\n\nis *lovely*, see [docs](https://docs.example)"),
        ("text/x-rst", "Spam\n====\n\nis *lovely*, see `docs <https://docs.example>`_\n"),
    ],
)
def test_read_about__description__is_rendered_below_the_pages_own_headings(kind: str, text: str) -> None:
    html = read_about(metadata(description=text, kind=kind)).description
    assert "<h3" in html
    assert "<h1" not in html
    assert "<em>lovely</em>" in html
    assert 'href="https://docs.example"' in html


@pytest.mark.parametrize("kind", ["text/markdown", "text/x-rst", "text/plain", "text/unheard-of", "what?"])
def test_read_about__hostile_description__is_harmless(kind: str) -> None:
    hostile = (
        "<script>alert(1)</script> <img src=https://spy.example/x.png onerror=alert(1) alt='a <b>'> "
        '<a href="javascript:alert(1)">x</a> <p style="position:fixed" id="main" class="x">y</p> <iframe src=//e>'
    )
    html = read_about(metadata(description=hostile, kind=kind)).description

    assert html
    for word in ("<script", "<img", "<iframe", "<p style", 'href="javascript', 'id="main"'):
        assert word not in html


def test_read_about__rst_that_cannot_be_rendered__is_shown_as_written() -> None:
    text = ".. include:: /etc/passwd\n\n`broken <"
    assert read_about(metadata(description=text, kind="text/x-rst")).description.startswith("<pre>.. include:: /etc")


def test_read_about__a_huge_description__is_not_rendered() -> None:
    html = read_about(metadata(description="# x\n" * 200_000)).description
    assert html.startswith("<pre># x")


def test_tame__pictures_landmarks_and_links__fit_the_page() -> None:
    html = tame(
        '<nav class="x"><h1>T</h1><img src="https://e.example/a.png" alt="a &lt;b&gt;"><br>'
        '<a href="docs/x.md">rel</a><a href="#user-content-t">t</a><input type="checkbox"> 1 &lt; 2'
        '<a href="https://e.example"><img src="x"></a></nav>'
    )
    assert html == (
        '<div class="x"><h3>T</h3><span>a &lt;b&gt;</span><br><a rel="nofollow">rel</a>'
        '<a href="#user-content-t" rel="nofollow">t</a> 1 &lt; 2</div>'
    )


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>/=\"' abhimgscriptonerror#:&;\n`*[]()!", max_size=200))
def test_read_about__any_markdown__makes_no_script(text: str) -> None:
    html = read_about(metadata(description=text)).description.lower()
    assert "<script" not in html
    assert "<img" not in html


@given(st.binary(max_size=300))
def test_read_about__any_bytes__are_borne(data: bytes) -> None:
    read_about(data)
