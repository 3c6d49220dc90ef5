from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi import Client
from indexes import settings, token, upload
from rsgi import FakeConnection, FakeHeaders, FakeRequest
from small_wheels import SmallWheel
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import IndexApp, make_app
from wheelhouse.index.serving.front import Front
from wheelhouse.index.serving.rsgi import answer_by_asgi

if TYPE_CHECKING:
    from pathlib import Path

SPAM = SmallWheel(name="my_spam")
LARGE = SmallWheel(name="large", files={"large/__init__.py": b"#" * 300_000})
PAGE = "/simple/my-spam/"
ACCEPTS = ["*/*", "text/html", "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+html;q=0.5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index")


@pytest.fixture(scope="module")
def app(folder: Path) -> IndexApp:
    """An index with two projects, that remembers what it looked at for as long as the tests take."""
    app = make_app(settings(folder))
    app.site.catalog.fresh_for = 1e9
    ci = token(folder, "ci", "upload:*")
    for wheel in (SPAM, LARGE):
        assert upload(Client(app=app), folder, wheel, "/legacy/", ci).status == 200
    return app


def remembered(app: IndexApp) -> Front:
    """Return a front whose catalog knows all projects."""
    asyncio.run(app.site.catalog.find(None))
    for project in app.site.catalog.store.names():
        asyncio.run(app.site.catalog.find(project))
    return Front(app)


def of_the_application(app: IndexApp, request: FakeRequest) -> FakeConnection:
    connection = FakeConnection()
    asyncio.run(answer_by_asgi(app, request, connection, ""))
    return connection


def address(app: IndexApp, wheel: SmallWheel) -> str:
    entry = asyncio.run(
        app.site.catalog.find(next(n for n in app.site.catalog.store.names() if n in wheel.name.replace("_", "-")))
    )
    assert entry is not None
    sha256 = entry.files[wheel.filename].sha256
    return f"/files/{sha256[:2]}/{sha256}/{wheel.filename}"


@given(
    path=st.sampled_from([PAGE, "/simple/", "/simple/large/"]),
    accept=st.none() | st.sampled_from(ACCEPTS),
    encoding=st.none() | st.sampled_from(["gzip", "zstd, gzip", "identity", "br"]),
    known=st.none() | st.sampled_from(["*", '"x"', "its own"]),
)
def test_page__is_the_applications_answer(
    app: IndexApp, path: str, accept: str | None, encoding: str | None, known: str | None
) -> None:
    front, request = remembered(app), FakeRequest(path)
    if accept is not None:
        request = request.having(accept=accept)
    if encoding is not None:
        request = request.having(accept_encoding=encoding)
    if known == "its own":
        known = of_the_application(app, request).answer[1]["etag"]
    if known is not None:
        request = request.having(if_none_match=known)
    expected = of_the_application(app, request)

    for _ in range(2):
        connection = FakeConnection()
        assert front._answered(request, connection)
        assert connection.answer == expected.answer


@pytest.mark.parametrize("wheel", [SPAM, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("suffix", ["", ".metadata"])
def test_file__is_the_applications_answer(app: IndexApp, wheel: SmallWheel, suffix: str) -> None:
    front, request = remembered(app), FakeRequest(address(app, wheel) + suffix)
    expected = of_the_application(app, request)

    connection = FakeConnection()
    assert front._answered(request, connection)

    assert connection.answer == expected.answer
    assert expected.status == 200
    assert (connection.file is not None) == (wheel is LARGE and not suffix)


@pytest.mark.parametrize(
    "request_",
    [
        FakeRequest(PAGE, method="HEAD"),
        FakeRequest(PAGE, method="POST"),
        FakeRequest(PAGE, query_string="format=text/html"),
        FakeRequest("/simple/My_Spam/"),
        FakeRequest("/simple/my-spam"),
        FakeRequest("/simple/unknown/"),
        FakeRequest("/simple/my-spam/x/"),
        FakeRequest("/files/ab/cd/my_spam-1.0-py3-none-any.whl"),
        FakeRequest("/files/x"),
        FakeRequest("/"),
        FakeRequest(PAGE).having(authorization="Basic eDp5"),
        FakeRequest(PAGE).having(x_forwarded_for="1.2.3.4"),
        FakeRequest(PAGE).having(host="localhost"),
        FakeRequest(PAGE).having(accept="image/png"),
        replace(FakeRequest(PAGE), client="10.0.0.1:5"),
        replace(FakeRequest(PAGE), client=""),
        replace(FakeRequest(PAGE), headers=FakeHeaders([("host", "evil.example")])),
        replace(FakeRequest(PAGE), headers=FakeHeaders([])),
    ],
    ids=str,
)
def test_out_of_the_ordinary__is_the_applications(app: IndexApp, request_: FakeRequest) -> None:
    connection = FakeConnection()

    assert not remembered(app)._answered(request_, connection)

    assert connection.status == 0


@pytest.mark.parametrize("headers", [{"range": "bytes=0-1"}, {"if_none_match": "*"}, {"authorization": "Bearer x"}])
def test_file__in_part_or_by_token__is_the_applications(app: IndexApp, headers: dict[str, str]) -> None:
    assert not remembered(app)._answered(FakeRequest(address(app, SPAM)).having(**headers), FakeConnection())


def test_answer__goes_when_its_entry_does(app: IndexApp, folder: Path) -> None:
    front, request = remembered(app), FakeRequest(PAGE)
    assert front._answered(request, FakeConnection())

    newer = SmallWheel(name="my_spam", version="2.0")
    assert upload(Client(app=app), folder, newer, "/legacy/", token(folder, "other", "upload:*")).status == 200

    assert not front._answered(request, FakeConnection())
    connection = FakeConnection()
    assert remembered(app)._answered(request, connection)
    assert b"my_spam-2.0" in connection.answer[2]


def test_file__that_has_gone__is_the_applications(app: IndexApp) -> None:
    front, request = remembered(app), FakeRequest(address(app, LARGE))
    assert front._answered(request, FakeConnection())
    path = app.site.catalog.store.local_path(request.path.split("/")[3])  # type: ignore[arg-type]  # it is one
    assert path is not None
    aside = path.rename(path.with_name("aside"))

    assert not front._answered(request, FakeConnection())

    aside.rename(path)


def test_token_needed__nobody_is_answered_without_one(folder: Path) -> None:
    closed = make_app(settings(folder, AccessRules(anonymous_local_read=False)))

    assert not remembered(closed)._answered(FakeRequest(PAGE), FakeConnection())


def test_open_to_everybody__strangers_too(folder: Path, app: IndexApp) -> None:
    front = remembered(make_app(settings(folder, AccessRules(anonymous_read=True))))
    connection = FakeConnection()

    assert front._answered(replace(FakeRequest(PAGE), client="10.0.0.1:5"), connection)
    assert connection.answer[1]["cache-control"].startswith("public")


def test_prefix__is_cut_off_where_a_proxy_left_it(app: IndexApp) -> None:
    remembered(app)

    assert Front(app, prefix="/sub")._answered(FakeRequest(f"/sub{PAGE}"), FakeConnection())


def test_access_log__of_all__is_the_applications(app: IndexApp) -> None:
    remembered(app)
    told = IndexApp(site=app.site, access_log="all")

    assert not Front(told)._answered(FakeRequest(PAGE), FakeConnection())
