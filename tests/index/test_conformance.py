"""The Simple API by the words of its PEPs, a sentence a test, as far as no other test here holds it already.

Asked over HTTP of a real server where HTTP matters, and read by the parsers that installers have.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import html5lib
import pytest
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pypi_simple import PyPISimple

from index_server import IndexServer, index_server
from small_wheels import SmallWheel
from uploaders import JSON, packed, upload_of
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator

HTML, HTML_V1 = "text/html", "application/vnd.pypi.simple.v1+html"
WHEELS = [
    SmallWheel(name="my_spam", version="1.0", metadata="Requires-Python: >=3.8, <4\n"),
    SmallWheel(name="my_spam", version="1.1"),
    SmallWheel(name="my_spam", version="2.0+local.1", metadata="Requires-Python: >=3.9,!=3.9.1\n"),
]
#: pip's own reading of a page, in a process of its own: the module is not for others to import.
PIP = """
import json, sys
from pip._internal.index.collector import IndexContent, parse_links
kind, url = sys.argv[1:]
content = IndexContent(sys.stdin.buffer.read(), kind, "utf-8", url)
print(json.dumps([
    {"name": link.filename, "sha256": link.hash, "python": link.requires_python, "yanked": link.yanked_reason,
     "metadata": link.metadata_link() and link.metadata_link().url_without_fragment, "url": link.url_without_fragment}
    for link in parse_links(content)
]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    with index_server(tmp_path_factory.mktemp("registry"), "--allow-anonymous-upload") as made:
        for wheel in WHEELS:
            body, headers = upload_of(wheel, packed(wheel))
            assert ask(made, "/legacy/", method="POST", body=body, **headers)[0] == 200
        repository = Repository(store=FolderStore.open(made.registry / ".wheelhouse" / "index"))
        repository.yank(canonicalize_name("my-spam"), Version("1.1"), 'breaks "everything" <b>&</b>')
        yield made


def ask(
    server: IndexServer, path: str, *, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask over a connection that is used twice: whatever else was sent would be in the second answer's way."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body or None, headers=fields)
        answer = connection.getresponse()
        data = answer.read()
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b"ok\n"
        return answer.status, answer.msg, data
    finally:
        connection.close()


def page(server: IndexServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(server, "/simple/my-spam/", Accept=JSON)[2])
    return found


def anchors(server: IndexServer, path: str) -> list[Any]:
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return list(parser.parse(ask(server, path, Accept=HTML)[2], transport_encoding="utf-8").iter("a"))


def file_url(server: IndexServer, number: int = 0) -> str:
    return urljoin("/simple/my-spam/", str(page(server)["files"][number]["url"]))


def test_pep503__root__must_be_valid_html5_with_a_single_anchor_per_project(server: IndexServer) -> None:
    (anchor,) = anchors(server, "/simple/")
    assert anchor.text == canonicalize_name(anchor.text) == "my-spam"
    assert urljoin("/simple/", anchor.get("href")) == "/simple/my-spam/"


def test_pep503__project__text_of_an_anchor_must_be_the_final_path_component_of_its_href(server: IndexServer) -> None:
    for anchor in anchors(server, "/simple/my-spam/"):
        url = urlsplit(anchor.get("href"))
        assert anchor.text == url.path.rpartition("/")[2].replace("%2B", "+")
        assert url.fragment.startswith("sha256=")


def test_pep503__requires_python__has_its_angles_encoded(server: IndexServer) -> None:
    body = ask(server, "/simple/my-spam/", Accept=HTML)[2]
    assert re.search(rb'data-requires-python="[^"<>]*&gt;=3\.8[^"<>]*"', body)
    for anchor in anchors(server, "/simple/my-spam/"):
        SpecifierSet(anchor.get("data-requires-python", ""))


def test_pep503__urls_that_respond_with_html__must_end_with_a_slash_and_others_redirect(server: IndexServer) -> None:
    for path, target in (("/simple/my-spam", "/simple/my-spam/"), ("/simple", "/simple/"), ("/simple/My_Spam/", None)):
        status, headers, _ = ask(server, path)
        assert (status, urljoin(path, headers["location"])) == (301, target or "/simple/my-spam/")


def test_pep592__yanked__may_be_a_reason_and_is_the_same_in_both_forms(server: IndexServer) -> None:
    reason = 'breaks "everything" <b>&</b>'
    assert [file["yanked"] for file in page(server)["files"]] == [False, reason, False]
    assert [each.get("data-yanked") for each in anchors(server, "/simple/my-spam/")] == [None, reason, None]


@pytest.mark.parametrize("path", ["/simple/", "/simple/my-spam/"])
def test_pep629__version__is_major_dot_minor_in_a_meta_element_and_the_same_in_json(
    server: IndexServer, path: str
) -> None:
    tree = html5lib.parse(ask(server, path, Accept=HTML)[2], namespaceHTMLElements=False)
    (said,) = [meta.get("content") for meta in tree.iter("meta") if meta.get("name") == "pypi:repository-version"]
    assert said == json.loads(ask(server, path, Accept=JSON)[2])["meta"]["api-version"]
    assert re.fullmatch(r"1\.\d+", said or "")


def test_pep658__metadata__is_at_the_url_of_the_file_with_its_hash_and_as_in_the_wheel(server: IndexServer) -> None:
    for wheel, file in zip(WHEELS, page(server)["files"], strict=True):
        status, _, body = ask(server, f"{urljoin('/simple/my-spam/', file['url'])}.metadata")
        assert (status, body) == (200, wheel.members()[f"{wheel.dist_info}/METADATA"])
        assert Metadata.from_email(body).version == Version(wheel.version)


def test_pep714__html__has_both_keys_and_json_the_one_that_no_client_misreads(server: IndexServer) -> None:
    for file in page(server)["files"]:
        assert "core-metadata" in file
        assert "dist-info-metadata" not in file
    for each in anchors(server, "/simple/my-spam/"):
        assert each.get("data-core-metadata") == each.get("data-dist-info-metadata")


def test_pep691__content_type__must_be_the_one_that_is_sent_and_a_client_must_be_told_it(server: IndexServer) -> None:
    wanted = {HTML: HTML, HTML_V1: HTML_V1, JSON: JSON, f"{JSON};q=0.2, {HTML};q=0.1": JSON}
    for accept, kind in wanted.items():
        _, headers, _ = ask(server, "/simple/my-spam/", Accept=accept)
        assert headers.get_content_type() == kind


def test_pep691__no_form_that_is_accepted__may_be_406_and_an_error_is_no_page(server: IndexServer) -> None:
    status, headers, body = ask(server, "/simple/my-spam/", Accept="application/vnd.pypi.simple.v2+json")
    assert (status, headers.get_content_type()) == (406, "text/plain")
    assert JSON.encode() in body


def test_pep691__hashes__must_be_lower_case_and_names_of_hashlib(server: IndexServer) -> None:
    for file in page(server)["files"]:
        assert file["hashes"]
        assert all(name == name.lower() and digest == digest.lower() for name, digest in file["hashes"].items())


def test_pep691__unknown_project__is_404_in_every_form(server: IndexServer) -> None:
    assert {ask(server, "/simple/unknown/", Accept=accept)[0] for accept in (HTML, JSON, HTML_V1)} == {404}


def test_pep700__size_and_versions_and_upload_time__are_there(server: IndexServer) -> None:
    told = page(server)
    assert set(told["versions"]) == {str(parse_wheel_filename(file["filename"])[1]) for file in told["files"]}
    assert len(told["versions"]) == len(set(told["versions"]))
    for wheel, file in zip(WHEELS, told["files"], strict=True):
        assert file["size"] == len(packed(wheel))
        assert file["upload-time"].endswith("Z")
        assert len(file["upload-time"].partition(".")[2]) <= 7  # no more than microseconds


def test_pep740__provenance__is_absent_or_null_where_there_is_none_and_its_address_404(server: IndexServer) -> None:
    assert all(file.get("provenance") is None for file in page(server)["files"])
    assert all(each.get("data-provenance") is None for each in anchors(server, "/simple/my-spam/"))
    assert ask(server, f"{file_url(server)}.provenance")[0] == 404


def test_pep792__status__is_active_where_nothing_was_said(server: IndexServer) -> None:
    assert page(server)["project-status"] == {"status": "active"}


@pytest.mark.parametrize("kind", [HTML, JSON])
def test_pip__own_parser__reads_all_of_a_page(server: IndexServer, kind: str) -> None:
    url = f"{server.url}/simple/my-spam/"
    _, headers, body = ask(server, "/simple/my-spam/", Accept=kind)
    done = subprocess.run(
        [sys.executable, "-c", PIP, headers["content-type"], url], input=body, capture_output=True, check=True
    )
    links = json.loads(done.stdout)
    files = page(server)["files"]
    assert [link["name"] for link in links] == [file["filename"] for file in files]
    assert [link["sha256"] for link in links] == [file["hashes"]["sha256"] for file in files]
    assert [link["python"] for link in links] == [file.get("requires-python") for file in files]
    assert [link["yanked"] for link in links] == [None, files[1]["yanked"], None]
    assert [link["metadata"] for link in links] == [f"{link['url']}.metadata" for link in links]


def test_pypi_simple__reads_it_over_http_as_one_and_the_same_in_both_forms(server: IndexServer) -> None:
    with PyPISimple(f"{server.url}/simple/") as client:
        assert client.get_index_page().projects == ["my-spam"]
        pages = [client.get_project_page("my-spam", accept=accept) for accept in (HTML, JSON)]
    for one, other in zip(pages[0].packages, pages[1].packages, strict=True):
        assert (one.filename, one.url, one.digests, one.requires_python, one.is_yanked, one.metadata_digests) == (
            other.filename, other.url, other.digests, other.requires_python, other.is_yanked, other.metadata_digests,
        )  # fmt: skip


@pytest.mark.parametrize("path", ["/simple/", "/simple/my-spam/", "/pypi/my-spam/json", "FILE", "FILE.metadata"])
def test_rfc9110_9_3_2__head__has_the_fields_of_get_and_no_content(server: IndexServer, path: str) -> None:
    path = path.replace("FILE", file_url(server))
    got, head = ask(server, path), ask(server, path, method="HEAD")
    left_out = {"date", "x-request-id"}
    assert head[2] == b""
    assert [pair for pair in head[1].items() if pair[0] not in left_out] == [
        pair for pair in got[1].items() if pair[0] not in left_out
    ]


@pytest.mark.parametrize("path", ["/simple/my-spam/", "FILE", "FILE.metadata"])
def test_rfc9110_15_4_5__not_modified__has_the_fields_that_200_would_have_and_ends_at_once(
    server: IndexServer, path: str
) -> None:
    path = path.replace("FILE", file_url(server))
    _, full, _ = ask(server, path)
    for tag in (full["etag"], f"W/{full['etag']}", f'"x", {full["etag"]}', "*"):
        status, headers, body = ask(server, path, If_None_Match=tag)
        assert (status, body) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert headers[name] == full[name]


def test_rfc9110_13_1_5__if_range__of_another_tag_or_a_weak_one_or_a_date__is_the_whole(server: IndexServer) -> None:
    path = file_url(server)
    _, full, body = ask(server, path)
    assert ask(server, path, Range="bytes=2-3", If_Range=full["etag"])[::2] == (206, body[2:4])
    for validator in ('"other"', f"W/{full['etag']}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert ask(server, path, Range="bytes=2-3", If_Range=validator)[::2] == (200, body)


def test_rfc9110_13_2_2__if_none_match__comes_before_range(server: IndexServer) -> None:
    path = file_url(server)
    tag = ask(server, path)[1]["etag"]
    assert ask(server, path, Range="bytes=0-1", If_None_Match=tag)[0] == 304


def test_rfc9110_14_2__range_of_unknown_unit__is_ignored(server: IndexServer) -> None:
    assert ask(server, file_url(server), Range="lines=1-2")[0] == 200


def test_rfc9110_12_5_5__vary__is_the_same_whatever_was_chosen(server: IndexServer) -> None:
    answers = [ask(server, "/simple/my-spam/", Accept=accept) for accept in (HTML, JSON, "*/*")]
    answers += [ask(server, "/simple/my-spam/"), ask(server, "/simple/my-spam/", Accept_Encoding="gzip")]
    assert {headers["vary"] for _, headers, _ in answers} == {"Accept, Accept-Encoding"}


def test_rfc9110_6_6_1__date__is_sent(server: IndexServer) -> None:
    assert parsedate_to_datetime(ask(server, "/simple/")[1]["date"])


def test_rfc9110_15_5_6__method_not_allowed__says_which_are(server: IndexServer) -> None:
    for path in ("/simple/", "/legacy/", "/health", file_url(server)):
        status, headers, _ = ask(server, path, method="PATCH")
        assert (status, bool(headers["allow"])) == (405, True)
