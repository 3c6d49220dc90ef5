from __future__ import annotations

import base64
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import html5lib
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from asgi import Client
from full_index import full_index
from shop_window import BUILT, FAILED, dress
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.model import parse_project
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import BufferSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

SPELLINGS = ["my-spam", "My.Spam", "my_spam", "MY--spam"]
PAGES = [
    "/",
    "/search",
    "/search?q=spam",
    "/search?q=%3Cscript%3E&page=7",
    "/project/my-spam/",
    "/project/my-spam/2.0/",
    "/project/my-spam/1.0/",
    "/project/eggs/",
    "/project/none/",
    "/project/my-spam/9/",
    "/builds/",
    "/builds/?state=failed&project=eg",
    f"/builds/{BUILT}/",
    f"/builds/{FAILED}/",
    "/builds/none/",
    "/spool/",
    "/mirror/",
]
FAR = "192.0.2.7"


def an_app(folder: Path, **access: bool) -> Client:
    window = folder / ".wheelhouse"
    if not window.exists():
        dress(folder)
    buffer = BufferSettings(
        spool=window / "index-spool", spool_bytes=10**6, cache=window / "index-cache", cache_bytes=10**6
    )
    settings = Settings(
        store=str(window / "index"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=AccessRules(**access),
        max_upload=1_000_000,
        buffer=buffer,
        records=window / "jobs",
    )
    return Client(app=make_app(settings))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def client(folder: Path) -> Client:
    return an_app(folder)


def text(got: Got) -> str:
    return got.body.decode()


def far(token: str | None = None) -> dict[str, str]:
    """Return headers of a request from elsewhere."""
    return {"host": "wheels.example"} | (
        {"authorization": "Basic " + base64.b64encode(f"__token__:{token}".encode()).decode()} if token else {}
    )


def a_token(folder: Path, *scopes: str) -> str:
    file = TokenFile(folder / "tokens.json")
    return file.create(uuid.uuid4().hex, scopes=map(Scope.parse, scopes), now=datetime.now(UTC), lifetime=None)


@pytest.mark.parametrize("url", PAGES)
def test_page__whichever__is_html_that_loads_nothing_from_elsewhere(client: Client, url: str) -> None:
    got = client.get(url)
    page = text(got)

    html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    assert got.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r'\b(src|action)="(?!\.\./|\./)|style="|\bon\w+="|<script>|<style', page)
    assert not re.search(r'href="/|rel="stylesheet" href="(?!\.)', page)
    assert "alert(" not in page or "&lt;script" in page


@pytest.mark.parametrize("url", PAGES)
def test_page__head_and_again__cost_no_body(client: Client, url: str) -> None:
    got, head = client.get(url), client.get(url, method="HEAD")

    assert (head.status, head.body) == (got.status, b"")
    assert {**head.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}
    if got.status == 200:
        assert got.headers["cache-control"] == "private, no-cache"
        again = client.get(url, if_none_match=got.headers["etag"])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", got.headers["etag"])
    else:
        assert (got.status, got.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("url", PAGES)
def test_page__from_elsewhere_without_a_token__asks_for_one(folder: Path, url: str) -> None:
    client = Client(app=an_app(folder).app, address=FAR)
    got = client.get(url, headers=far())

    assert got.status == 401
    assert got.headers["www-authenticate"].startswith("Basic ")
    assert "spam" not in text(got)
    html5lib.HTMLParser(strict=True).parse(text(got))


@pytest.mark.parametrize("spelling", [*SPELLINGS, "none", "No_ne"])
@pytest.mark.parametrize("rest", ["", "/", "/2.0", "/2.0.0/", "/2.0/"])
def test_project__any_spelling__has_the_access_of_the_simple_api(folder: Path, spelling: str, rest: str) -> None:
    client = Client(app=an_app(folder).app, address=FAR)
    ham, all_ = a_token(folder, "read:acme-*"), a_token(folder, "read:*")

    for token, status in ((None, {401}), (ham, {403}), (all_, {200, 301, 404}), ("wh_wrong", {401, 429})):
        got = client.get(f"/project/{spelling}{rest}", headers=far(token))
        assert got.status in status
        same = client.get(f"/simple/{spelling}/", headers=far(token))
        assert (same.status in {200, 301, 404}) == (got.status in {200, 301, 404})


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("rest", "ends"), [("", ""), ("/", ""), ("/2.0", "2.0/"), ("/2.0/", "2.0/"), ("/v2/", "2.0/"), ("/2.0.0", "2.0/")]
)
def test_project__any_spelling__leads_to_the_one_page(client: Client, spelling: str, rest: str, ends: str) -> None:
    url = f"/project/{spelling}{rest}"
    for _ in range(3):
        got = client.get(url)
        if got.status == 200:
            break
        assert got.status == 301
        location = got.headers["location"]
        assert location.startswith("../")
        url = "/" + location.lstrip("./")
    assert (got.status, url) == (200, f"/project/my-spam/{ends}")


def test_lists__hold_what_their_reader_may_read(folder: Path) -> None:
    client = Client(app=an_app(folder).app, address=FAR)
    token = a_token(folder, "read:acme-*")

    home, found = (text(client.get(url, headers=far(token))) for url in ("/", "/search"))

    for page in (home, found):
        assert "acme-ham" in page
        assert "my-spam" not in page
    assert "Search 1 project" in home


@pytest.mark.parametrize(
    ("scopes", "builds", "eggs", "spool"),
    [
        (("read:*",), 200, 404, 403),
        (("read:*", "upload:eggs"), 200, 200, 403),
        (("read:*", "upload:*"), 200, 200, 200),
        (("upload:my-spam",), 200, 404, 403),
    ],
)
def test_works__take_more_than_reading(
    folder: Path, scopes: tuple[str, ...], builds: int, eggs: int, spool: int
) -> None:
    client = Client(app=an_app(folder, anonymous_read=True).app, address=FAR)
    token = a_token(folder, *scopes)

    urls = {"/builds/": builds, f"/builds/{FAILED}/": eggs, "/spool/": spool}

    assert {url: client.get(url, headers=far(token)).status for url in urls} == urls
    assert {url: client.get(url, headers=far()).status for url in urls} == dict.fromkeys(urls, 401)
    assert client.get("/project/eggs/", headers=far()).status == 200
    assert ("eggs" in text(client.get("/builds/", headers=far(token)))) == (eggs == 200)


def test_works__nobody_reads_without_a_token__nor_on_this_machine(folder: Path) -> None:
    client = an_app(folder, anonymous_local_read=False)
    assert [client.get(url).status for url in PAGES] == [401] * len(PAGES)


def test_project__says_what_is_in_it(client: Client) -> None:
    page = text(client.get("/project/my-spam/"))

    for word in (
        "Lovely &lt;b&gt;spam&lt;/b&gt;",
        "pip install --index-url http://localhost:8080/simple/ my-spam<",
        "glibc 2.28+",
        "musl 1.2+",
        "CPython 3.9 and later",
        "libpq.so.5.15",
        "3 of 3",
        "PostgreSQL",
        "attested",
        "<span>a badge</span>",
        "https://docs.example/",
        "&gt;=3.11",
    ):
        assert word in page
    assert "has &lt;i&gt;holes&lt;/i&gt;" in text(client.get("/project/my-spam/1.0/"))
    assert "use ham" in text(client.get("/project/eggs/"))


def test_build__says_why_it_failed(client: Client) -> None:
    page = text(client.get(f"/builds/{FAILED}/"))
    for word in (
        "&lt;x.h&gt; is missing",
        "system-packages.debian: libx-dev",
        "$ cc &lt;spam.c&gt;\nfatal error a long",
    ):
        assert word in page


def test_address__of_a_stranger__is_not_repeated(client: Client) -> None:
    page = text(client.get("/project/my-spam/", host="evil.example/'; rm -rf ~"))
    assert "evil" not in page


def test_links__are_relative__so_that_an_index_can_lie_below_any_path(client: Client) -> None:
    got = client.get("/project/my-spam")
    assert got.headers["location"] == "../project/my-spam/"
    assert 'href="../../files/' in text(client.get("/project/my-spam/"))


@pytest.mark.parametrize("name", ["style.css", "page.js", "mark.svg"])
def test_static__open_to_all__is_kept_for_ever_under_its_state(folder: Path, client: Client, name: str) -> None:
    found = re.search(rf"static/{re.escape(name)}\?v=(\w+)", text(client.get("/")))
    assert found
    far_client = Client(app=client.app, address=FAR)

    got = far_client.get(f"/static/{name}?v={found[1]}", headers=far())

    assert (got.status, got.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert client.get(f"/static/{name}?v=old").headers["cache-control"] == "public, no-cache"
    assert client.get(f"/static/{name}", method="HEAD").body == b""


@pytest.mark.parametrize("name", ["none", "..", "..%2fpages.py", "style.css/"])
def test_static__what_is_none__is_not_there(client: Client, name: str) -> None:
    assert client.get(f"/static/{name}").status == 404


@settings_of_hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    query=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    where=st.sampled_from(["/project/", "/project/my-spam/", "/builds/", "/search?q=", "/builds/?state="]),
)
def test_page__any_address__is_answered_without_a_fault(client: Client, path: str, query: str, where: str) -> None:
    got = client.get(f"{where}{path}?{query}")
    assert got.status in {200, 301, 404}
    assert b"Traceback" not in got.body


def test_store_is_down__pages_say_so(tmp_path: Path) -> None:
    client = an_app(tmp_path)
    (tmp_path / ".wheelhouse/index").rename(tmp_path / "away")

    got = client.get("/project/my-spam/")

    assert got.status == 503
    assert got.headers["retry-after"]
    assert str(tmp_path) not in text(got)
    assert "<h1>" in text(got)
    assert '<a href="../../spool/">' in text(got)
    assert "The store does not answer" in text(client.get("/spool/"))


def test_search__finds_nothing__leads_to_what_an_upstream_may_have(tmp_path: Path) -> None:
    with full_index(tmp_path) as index:
        client = Client(app=index.app)
        assert '<a href="./project/no-such/">' in text(client.get("/search?q=No_Such"))
        for query in ("denied", "hidden.", "a+b+c", "%3Cscript%3E", "locked-up"):
            assert "Another index" not in text(client.get(f"/search?q={query}"))


def test_change__is_shown_at_once(tmp_path: Path) -> None:
    client, eggs = an_app(tmp_path), parse_project("eggs")
    site = client.app.site
    before = client.get("/project/eggs/").headers["etag"]

    site.uploads.repository.set_status(eggs, "archived", "done with")
    site.catalog.forget(eggs)
    site.uploads.repository.delete(parse_project("acme-ham"), "acme_ham-1.0-py3-none-any.whl")

    got = client.get("/project/eggs/", if_none_match=before)
    assert got.status == 200
    assert "done with" in text(got)
    assert "acme-ham" not in text(client.get("/"))
