from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from asgi import Client, form
from small_wheels import SmallWheel
from wheelhouse.errors import StoreDamagedError, StoreUnavailableError
from wheelhouse.index.access.auth import AccessRules, utc_now
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.pages.catalog import Catalog
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from asgi import Got
    from wheelhouse.index.stores.store import Store

JSON = "application/vnd.pypi.simple.v1+json"
SPAM = SmallWheel(name="my_spam", files={"my_spam.py": "x = 1\n" * 100})
SPELLINGS = ["my-spam", "My.Spam", "my_spam", "MY--spam", "my-_.spam"]


def settings(folder: Path, **access: bool) -> Settings:
    return Settings(
        store=str(folder / "store"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=AccessRules(**{"anonymous_local_upload": True, **access}),
        max_upload=1_000_000,
    )


def upload(client: Client, wheel: Path, *, name: str, version: str = "1.0", **more: str) -> Got:
    fields = {":action": "file_upload", "protocol_version": "1", "name": name, "version": version, **more}
    body, kind = form(fields, filename=wheel.name, content=wheel.read_bytes())
    return client.get("/legacy/", method="POST", body=body, content_type=kind)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return SPAM.write(tmp_path / "made")


@pytest.fixture
def client(tmp_path: Path, wheel: Path) -> Client:
    """Give an index with one wheel in it."""
    made = Client(app=make_app(settings(tmp_path)))
    assert upload(made, wheel, name="my-spam").status == 200
    return made


def file_url(client: Client) -> str:
    page = json.loads(client.get("/simple/my-spam/", accept=JSON).body)
    url: str = page["files"][0]["url"]
    return url.removeprefix("../..")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        (JSON, JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("text/html;q=0.1, application/vnd.pypi.simple.v1+json;q=0.9", JSON),
        ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+html"),
    ],
)
@pytest.mark.parametrize("path", ["/simple/", "/simple/my-spam/"])
def test_page__accept__gives_the_form_asked_for(client: Client, path: str, accept: str | None, kind: str) -> None:
    got = client.get(path) if accept is None else client.get(path, accept=accept)

    assert (got.status, got.headers["content-type"]) == (200, kind)
    assert got.headers["vary"] == "Accept, Accept-Encoding"
    assert b"my-spam" in got.body


def test_page__format_in_the_query__outweighs_accept(client: Client) -> None:
    got = client.get("/simple/my-spam/?format=application/vnd.pypi.simple.v1+json", accept="text/html")
    assert got.headers["content-type"] == JSON


def test_page__unknown_form__is_not_acceptable(client: Client) -> None:
    assert client.get("/simple/my-spam/", accept="image/png").status == 406
    assert client.get("/simple/my-spam/?format=xml").status == 406


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_page__any_spelling__leads_to_the_one_page(client: Client, spelling: str, slash: str) -> None:
    got = client.get(f"/simple/{spelling}{slash}?format=x")
    if (spelling, slash) == ("my-spam", "/"):
        assert got.status == 406  # it is the page itself
    else:
        assert (got.status, got.headers["location"]) == (301, f"{'../' if slash else ''}my-spam/?format=x")


def test_page__same_etag__is_not_sent_again(client: Client) -> None:
    first = client.get("/simple/my-spam/")
    again = client.get("/simple/my-spam/", if_none_match=f'"other", W/{first.headers["etag"]}')

    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get("/simple/my-spam/", if_none_match='"other"').status == 200


def test_page__head__has_the_headers_and_no_body(client: Client) -> None:
    got, head = client.get("/simple/my-spam/"), client.get("/simple/my-spam/", method="HEAD")
    assert (head.headers, head.body) == (got.headers, b"")


def test_file__head_with_a_range__is_of_the_whole(client: Client) -> None:
    head = client.get(file_url(client), method="HEAD", range="bytes=0-1")
    assert (head.status, "content-range" in head.headers) == (200, False)


def test_page__encodings__hold_the_same_text(client: Client) -> None:
    plain = client.get("/simple/my-spam/")
    packed = client.get("/simple/my-spam/", accept_encoding="gzip, deflate")
    smallest = client.get("/simple/my-spam/", accept_encoding="gzip, deflate, br, zstd")
    refused = client.get("/simple/my-spam/", accept_encoding="gzip;q=0, identity")

    assert gzip.decompress(packed.body) == plain.body
    assert zstandard.ZstdDecompressor().decompress(smallest.body) == plain.body
    assert (packed.headers["content-encoding"], smallest.headers["content-encoding"]) == ("gzip", "zstd")
    assert refused.body == plain.body
    assert len({got.headers["etag"] for got in (plain, packed, smallest)}) == 3


def test_page__after_an_upload__is_the_new_one_at_once(client: Client, tmp_path: Path) -> None:
    before = client.get("/simple/my-spam/")
    newer = SmallWheel(name="my_spam", version="2.0").write(tmp_path / "made")
    assert upload(client, newer, name="my-spam", version="2.0").status == 200

    after = client.get("/simple/my-spam/", if_none_match=before.headers["etag"])

    assert after.status == 200
    assert b"my_spam-2.0" in after.body


def test_page__after_another_server_wrote__is_the_new_one(tmp_path: Path, client: Client) -> None:
    other = Client(app=make_app(settings(tmp_path)))
    assert b"my_spam-2.0" not in other.get("/simple/my-spam/").body
    newer = SmallWheel(name="my_spam", version="2.0").write(tmp_path / "made")
    upload(client, newer, name="my-spam", version="2.0")
    other.app.site.catalog.fresh_for = 0.0

    assert b"my_spam-2.0" in other.get("/simple/my-spam/").body


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/simple/unknown/",
        "/simple/my-spam/more/",
        "/simple/%00/",
        "/simple/../simple/",
        "/simple//",
        "/files/",
        "/files/aa/bb",
        "/files/aa/bb/my_spam-1.0-py3-none-any.whl",
        "/files/../../etc/passwd",
        "/files/aa/../passwd",
        "/pypi/unknown/json",
        "/pypi/my-spam/json/",
        "/health/",
        "/pypi/-/json",
    ],
)
def test_unknown__is_404_and_tells_nothing(client: Client, tmp_path: Path, path: str) -> None:
    got = client.get(path)

    assert got.status in ({400} if path == "/pypi/-/json" else {404})
    assert str(tmp_path).encode() not in got.body
    assert b"Traceback" not in got.body


@pytest.mark.parametrize("path", ["/simple/", "/simple/my-spam/", "/files/a/b/c"])
def test_reading_routes__other_methods__are_refused(client: Client, path: str) -> None:
    got = client.get(path, method="DELETE")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


def test_file__whole__is_the_wheel(client: Client, wheel: Path) -> None:
    got = client.get(file_url(client))

    assert (got.status, got.body) == (200, wheel.read_bytes())
    assert got.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert client.get(file_url(client), if_none_match=got.headers["etag"]).status == 304


def test_file__server_that_can__is_told_the_path(client: Client, wheel: Path) -> None:
    told = Client(app=client.app, pathsend=True)
    got, part = told.get(file_url(client)), told.get(file_url(client), range="bytes=0-1")

    assert got.path is not None
    assert Path(got.path).read_bytes() == wheel.read_bytes()
    assert (part.path, part.body) == (None, b"PK")


def test_index__on_every_kind_of_store__does_the_same(store: Store, tmp_path: Path, wheel: Path) -> None:
    made = replace(settings(tmp_path), store=store.address)
    there = Client(app=make_app(made), pathsend=True)
    assert upload(there, wheel, name="my-spam").status == 200

    url, data = file_url(there), wheel.read_bytes()
    whole = there.get(url)
    assert whole.body == data or Path(str(whole.path)).read_bytes() == data
    assert there.get(url, range="bytes=3-9").body == data[3:10]
    assert there.get(f"{url}.metadata").status == 200


def test_file__head__says_how_long_it_is(client: Client, wheel: Path) -> None:
    got = client.get(file_url(client), method="HEAD")
    assert (got.headers["content-length"], got.headers["accept-ranges"]) == (str(wheel.stat().st_size), "bytes")
    assert got.body == b""


@pytest.mark.parametrize("asked", ["bytes=5-20", "bytes=-30", "bytes=100-", "bytes=0-999999"])
def test_file__range__is_that_part(client: Client, wheel: Path, asked: str) -> None:
    data = wheel.read_bytes()
    expected = {
        "bytes=5-20": data[5:21],
        "bytes=-30": data[-30:],
        "bytes=100-": data[100:],
        "bytes=0-999999": data,
    }[asked]

    got = client.get(file_url(client), range=asked)

    assert (got.status, got.body) == (206, expected)
    start = len(data) - 30 if asked == "bytes=-30" else int(asked[6:].split("-", maxsplit=1)[0])
    assert got.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"


def test_file__range_behind_the_end__cannot_be_met(client: Client, wheel: Path) -> None:
    got = client.get(file_url(client), range="bytes=999999-")
    assert (got.status, got.headers["content-range"]) == (416, f"bytes */{wheel.stat().st_size}")


def test_file__metadata__is_what_the_page_promises(client: Client) -> None:
    page = json.loads(client.get("/simple/my-spam/", accept=JSON).body)
    got = client.get(f"{file_url(client)}.metadata")

    assert got.body == SPAM.members()["my_spam-1.0.dist-info/METADATA"]
    assert got.headers["etag"].strip('"') == page["files"][0]["core-metadata"]["sha256"]
    assert client.get(f"{file_url(client)}.provenance").status == 404


def test_file__under_another_projects_name__is_not_to_be_had(client: Client) -> None:
    """Whoever may read one project, and knows a hash of another, gets nothing by it."""
    shelf, digest = file_url(client).split("/")[2:4]
    assert client.get(f"/files/{shelf}/{digest}/other-1.0-py3-none-any.whl").status == 404


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_project_json__any_spelling(client: Client, spelling: str) -> None:
    got = client.get(f"/pypi/{spelling}/json")
    if spelling != "my-spam":
        assert (got.status, got.headers["location"]) == (301, "../my-spam/json")
        return
    told = json.loads(got.body)
    assert told["info"]["version"] == "1.0"
    assert told["urls"] == told["releases"]["1.0"]
    assert client.get(told["urls"][0]["url"].removeprefix("../..")).status == 200


def test_health__and_ready(client: Client) -> None:
    assert client.get("/health").status == client.get("/ready").status == 200


class _Broken(FolderStore):
    """A store whose disk has gone."""

    __slots__ = ()

    def mark(self, project: NormalizedName) -> str | None:
        raise StoreUnavailableError("gone", where=str(self.root))


class _Damaged(FolderStore):
    __slots__ = ()

    def mark(self, project: NormalizedName) -> str | None:
        raise StoreDamagedError("not a manifest", where=str(self.root))


def test_store_down__known_pages_stay_and_unknown_ones_are_503(client: Client, tmp_path: Path) -> None:
    catalog = client.app.site.catalog
    known = client.get("/simple/my-spam/")
    catalog.store, catalog.fresh_for = _Broken(tmp_path / "store"), 0.0

    assert client.get("/simple/my-spam/").body == known.body
    for path in ("/simple/other/", "/pypi/other/json", "/ready"):
        got = client.get(path)
        headers = {name.lower(): value for name, value in got.headers.items()}
        assert (got.status, headers["retry-after"]) == (503, "5")
        assert str(tmp_path).encode() not in got.body
    assert client.get("/health").status == 200


def test_store_damaged__is_500_without_a_path(client: Client, tmp_path: Path) -> None:
    client.app.site.catalog.store = _Damaged(tmp_path / "store")
    got = client.get("/simple/other/")
    assert got.status == 500
    assert str(tmp_path).encode() not in got.body


def test_catalog__too_many_pages__forgets_the_oldest(tmp_path: Path, client: Client) -> None:
    site = client.app.site
    site.catalog.most_bytes = 1
    for name in ("a", "b"):
        made = SmallWheel(name=name, files={f"{name}.py": ""}).write(tmp_path / "made")
        upload(client, made, name=name)
        client.get(f"/simple/{name}/")
    assert isinstance(site.catalog, Catalog)
    assert len(site.catalog._entries) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["/simple/{}/", "/simple/{}", "/pypi/{}/json"])
def test_access__every_spelling__same_decision(tmp_path: Path, client: Client, spelling: str, path: str) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    other = tokens.create("other", scopes=[Scope.parse("read:other*")], now=utc_now(), lifetime=None)
    fitting = tokens.create("fitting", scopes=[Scope.parse("read:My_*")], now=utc_now(), lifetime=None)
    closed = Client(app=make_app(settings(tmp_path, anonymous_local_read=False)))
    url = path.format(spelling)

    assert closed.get(url).status == 401
    assert closed.get(url, authorization=f"Bearer {other}").status == 403
    assert closed.get(url, authorization=f"Bearer {fitting}").status in {200, 301}
    assert closed.get(path.format("my-unknown"), authorization=f"Bearer {other}").status == 403
    assert closed.get("/simple/", authorization=f"Bearer {fitting}").status == 403


def test_access__file__is_its_projects(tmp_path: Path, client: Client) -> None:
    url = file_url(client)
    closed = Client(app=make_app(settings(tmp_path, anonymous_local_read=False)))
    assert closed.get(url).status == closed.get(f"{url}.metadata").status == 401


def test_access__from_elsewhere__needs_a_token(client: Client) -> None:
    elsewhere = Client(app=client.app, address="192.0.2.7")
    got = elsewhere.get("/simple/my-spam/")
    assert got.status == 401
    assert got.headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/simple/my-spam/", x_forwarded_for="192.0.2.7").status == 401
    assert client.get("/simple/my-spam/", host="evil.example").status == 401


@settings_of_hypothesis(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(["/simple/{}/", "/simple/{}", "/pypi/{}/json", "/files/{}", "/files/aa/{}/{}", "/{}"]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    query=st.text("format=+/&%azAZ019;", max_size=20),
    header=st.sampled_from(["accept", "accept-encoding", "if-none-match", "range", "authorization", "host"]),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_request__is_answered_and_never_by_a_fault_of_ours(
    *, client: Client, tmp_path: Path, route: str, text: str, query: str, header: str, value: str
) -> None:
    got = client.get(f"{route.replace('{}', text.replace('?', ''))}?{query}", headers={header: value})
    assert got.status < 500
    assert str(tmp_path).encode() not in got.body
    assert "\n" not in got.headers.get("location", "")
    assert not got.headers.get("location", "").startswith(("/", "http"))
