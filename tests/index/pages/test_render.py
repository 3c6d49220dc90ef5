from __future__ import annotations

import gzip
from datetime import UTC, datetime

import orjson
import pytest
import zstandard
from packaging.utils import canonicalize_name
from pypi_simple import ProjectPage

from arrivals import WHEEL, sha256
from wheelhouse.index.model import File, Manifest
from wheelhouse.index.pages.negotiation import MediaType
from wheelhouse.index.pages.render import Links, Page, Pages, render_project, render_root

SPAM = canonicalize_name("spam")
DIGEST = sha256(b"spam")
URL = f"../../files/{DIGEST[:2]}/{DIGEST}/{WHEEL}"
WHOLE = File(
    filename=WHEEL,
    version="1.0",
    sha256=DIGEST,
    size=4,
    upload_time=datetime(2026, 11, 1, 12, 0, 0, 5, tzinfo=UTC),
    hashes={"blake2b": "00"},
    requires_python=">=3.9,<4",
    yanked='breaks "a" <b> & c',
    core_metadata=sha256(b"metadata"),
    provenance=sha256(b"provenance"),
    extra={"from-upstream": {"kept": True}, "size": "ours stands"},
)
PLAIN = File(filename="spam-0.9.tar.gz", version="0.9", sha256=DIGEST, size=4, upload_time=WHOLE.upload_time)
MANIFEST = Manifest(name=SPAM, files=(PLAIN, WHOLE), status="deprecated", status_reason="<use> ham")
PUBLIC = Links(public="https://wheels.example.org/")


def read(pages: Pages, media_type: MediaType) -> ProjectPage:
    """Read a page as a client library does."""
    data = pages.of(media_type).identity.data
    if media_type is MediaType.JSON:
        return ProjectPage.from_json_data(orjson.loads(data), base_url="https://wheels.example.org/simple/spam/")
    return ProjectPage.from_html("spam", data, base_url="https://wheels.example.org/simple/spam/")


@pytest.mark.parametrize("media_type", list(MediaType))
def test_project__read_by_pypi_simple__says_it_all(media_type: MediaType) -> None:
    page = read(render_project(MANIFEST, PUBLIC), media_type)
    plain, whole = page.packages
    assert page.repository_version == "1.4"
    assert (plain.filename, plain.is_yanked, plain.requires_python) == ("spam-0.9.tar.gz", False, None)
    assert not plain.has_metadata
    assert whole.url.split("#")[0] == f"https://wheels.example.org/files/{DIGEST[:2]}/{DIGEST}/{WHEEL}"
    assert whole.digests["sha256"] == DIGEST
    assert whole.requires_python == ">=3.9,<4"
    assert whole.yanked_reason == 'breaks "a" <b> & c'
    assert whole.has_metadata
    assert whole.metadata_digests == {"sha256": WHOLE.core_metadata}
    assert whole.provenance_url == f"https://wheels.example.org/files/{DIGEST[:2]}/{DIGEST}/{WHEEL}.provenance"


def test_json__whole_file__has_the_keys_of_the_peps() -> None:
    page = orjson.loads(render_project(MANIFEST, PUBLIC).json.identity.data)
    assert page["meta"] == {"api-version": "1.4"}
    assert page["name"] == "spam"
    assert page["versions"] == ["0.9", "1.0"]
    assert page["project-status"] == {"status": "deprecated", "reason": "<use> ham"}
    assert page["files"][1] == {
        "filename": WHEEL,
        "url": URL,
        "hashes": {"blake2b": "00", "sha256": DIGEST},
        "size": 4,
        "upload-time": "2026-11-01T12:00:00.000005Z",
        "requires-python": ">=3.9,<4",
        "yanked": 'breaks "a" <b> & c',
        "core-metadata": {"sha256": WHOLE.core_metadata},
        "provenance": f"https://wheels.example.org/files/{DIGEST[:2]}/{DIGEST}/{WHEEL}.provenance",
        "from-upstream": {"kept": True},
    }


def test_html__status__is_told_in_the_head() -> None:
    text = render_project(MANIFEST).html.identity.data.decode()
    assert '<meta name="pypi:repository-version" content="1.4">' in text
    assert '<meta name="pypi:project-status" content="deprecated">' in text
    assert '<meta name="pypi:project-status-reason" content="&lt;use&gt; ham">' in text
    assert "<b>" not in text


def test_project__public_address_unknown__says_nothing_of_provenance() -> None:
    pages = render_project(MANIFEST)
    assert b"provenance" not in pages.html.identity.data + pages.json.identity.data


def test_project__in_quarantine__offers_no_file() -> None:
    pages = render_project(MANIFEST.changed(status="quarantined"))
    page = orjson.loads(pages.json.identity.data)
    assert (page["files"], page["versions"]) == ([], [])
    assert b"<a " not in pages.html.identity.data


def test_root__projects__are_listed_in_order() -> None:
    pages = render_root([canonicalize_name("spam"), canonicalize_name("Ham.Egg")])
    assert orjson.loads(pages.json.identity.data) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": "ham-egg"}, {"name": "spam"}],
    }
    assert b'<a href="ham-egg/">ham-egg</a>' in pages.html.identity.data


def test_page__encodings__hold_the_same_page_under_other_etags() -> None:
    page = Page.of(b"spam" * 1000)
    assert gzip.decompress(page.gzip.data) == page.identity.data
    assert zstandard.ZstdDecompressor().decompress(page.zstd.data) == page.identity.data
    assert len({page.identity.etag, page.gzip.etag, page.zstd.etag}) == 3
    assert all(body.etag[0] == body.etag[-1] == '"' for body in (page.identity, page.gzip, page.zstd))


def test_page__made_later__is_the_same_and_says_that_it_takes_long() -> None:
    made: list[bytes] = []
    text = b"spam" * 100_000

    def make() -> bytes:
        made.append(text)
        return text

    page = Page.later(make, about=len(text))
    assert (page.takes_long(None), page.takes_long("gzip"), page.size) == (True, True, Page.of(text).size)
    assert made == []
    assert page.encoded(None) == Page.of(text).identity
    assert not page.takes_long(None)
    assert page.gzip == Page.of(text).gzip
    assert made == [text]


def test_page__rendered_again__is_the_same_bytes() -> None:
    assert render_project(MANIFEST) == render_project(Manifest.from_json(MANIFEST.to_json()))
