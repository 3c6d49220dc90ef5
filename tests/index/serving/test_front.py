from __future__ import annotations

import asyncio
import http.client
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi import LOCAL, Client
from indexes import settings, token, upload
from small_wheels import SmallWheel
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import IndexApp, make_app
from wheelhouse.index.serving.front import Front

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.serving.front import Ready

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


def asked(front: Front, url: str, *, address: str = "127.0.0.1", **headers: str) -> Ready | None:
    """Ask a front; in the names of headers, `_` stands for `-`."""
    given = {**LOCAL, **{name.replace("_", "-"): value for name, value in headers.items()}}
    question = front.question(url.encode(), {name.encode(): value.encode() for name, value in given.items()})
    return front.ready(question, address) if question is not None else None


def told(ready: Ready | None) -> tuple[int, dict[str, str], bytes]:
    assert ready is not None
    line, _, fields = ready.head.partition(b"\r\n")
    assert line.startswith(f"HTTP/1.1 {ready.status} ".encode())
    return ready.status, dict(http.client.parse_headers(io.BytesIO(fields + b"\r\n"))), bytes(ready.body)


def of_the_application(app: IndexApp, url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    got = Client(app=app).get(url, headers=headers)
    return got.status, dict(got.headers), got.body


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
    headers = {"accept": accept, "accept_encoding": encoding, "if_none_match": known}
    sent = {name: value for name, value in headers.items() if value is not None}
    if known == "its own":
        del sent["if_none_match"]
        sent["if_none_match"] = of_the_application(app, path, **sent)[1]["etag"]
    expected, front = of_the_application(app, path, **sent), remembered(app)

    assert told(asked(front, path, **sent)) == expected
    assert told(asked(front, path, **sent)) == expected


@pytest.mark.parametrize("suffix", ["", ".metadata"])
def test_file__is_the_applications_answer(app: IndexApp, suffix: str) -> None:
    path = address(app, SPAM) + suffix

    expected = of_the_application(app, path)

    assert expected[0] == 200
    assert told(asked(remembered(app), path)) == expected


def test_file__large__is_the_applications(app: IndexApp) -> None:
    front = remembered(app)

    assert asked(front, address(app, LARGE)) is None
    assert asked(front, address(app, LARGE) + ".metadata") is not None


def test_file__quoted__is_found(app: IndexApp) -> None:
    assert asked(remembered(app), address(app, SPAM).replace("_", "%5F")) is not None


@pytest.mark.parametrize(
    "url",
    [
        f"{PAGE}?format=text/html",
        "/simple/My_Spam/",
        "/simple/my-spam",
        "/simple/unknown/",
        "/simple/my-spam/x/",
        "/files/ab/cd/my_spam-1.0-py3-none-any.whl",
        "/files/x",
        "/",
        "*",
        "",
        "http://localhost:8080/simple/my-spam/",
    ],
)
def test_out_of_the_ordinary__is_the_applications(app: IndexApp, url: str) -> None:
    assert asked(remembered(app), url) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic eDp5"},
        {"x_forwarded_for": "1.2.3.4"},
        {"accept": "image/png"},
        {"host": "evil.example"},
        {"host": ""},
        {"content_length": "5"},
        {"transfer_encoding": "chunked"},
        {"expect": "100-continue"},
        {"upgrade": "h2c"},
        {"address": "10.0.0.1"},
        {"address": ""},
    ],
    ids=str,
)
def test_asker__out_of_the_ordinary__is_the_applications(app: IndexApp, headers: dict[str, str]) -> None:
    assert asked(remembered(app), PAGE, **headers) is None


@pytest.mark.parametrize("headers", [{"range": "bytes=0-1"}, {"if_none_match": "*"}, {"authorization": "Bearer x"}])
def test_file__in_part_or_by_token__is_the_applications(app: IndexApp, headers: dict[str, str]) -> None:
    assert asked(remembered(app), address(app, SPAM), **headers) is None


def test_answer__goes_when_its_entry_does(app: IndexApp, folder: Path) -> None:
    front = remembered(app)
    assert asked(front, PAGE) is not None

    newer = SmallWheel(name="my_spam", version="2.0")
    assert upload(Client(app=app), folder, newer, "/legacy/", token(folder, "other", "upload:*")).status == 200

    assert asked(front, PAGE) is None
    assert b"my_spam-2.0" in told(asked(remembered(app), PAGE))[2]


@pytest.mark.parametrize("change", [b"", b"more of it" * 1000])
def test_file__that_is_another_one__is_the_applications(app: IndexApp, change: bytes) -> None:
    front, url = remembered(app), address(app, SPAM)
    assert asked(front, url) is not None
    path = app.site.catalog.store.local_path(url.split("/")[3])  # type: ignore[arg-type]  # it is one
    assert path is not None
    aside = path.rename(path.with_name("aside"))
    assert asked(front, url) is None

    path.write_bytes(change)
    assert asked(front, url) is None

    aside.replace(path)


def test_token_needed__nobody_is_answered_without_one(folder: Path) -> None:
    closed = make_app(settings(folder, AccessRules(anonymous_local_read=False)))

    assert asked(remembered(closed), PAGE) is None


def test_open_to_everybody__strangers_too(folder: Path) -> None:
    front = remembered(make_app(settings(folder, AccessRules(anonymous_read=True))))

    assert told(asked(front, PAGE, address="10.0.0.1"))[1]["cache-control"].startswith("public")


def test_prefix__is_cut_off_where_a_proxy_left_it(app: IndexApp) -> None:
    remembered(app)

    assert asked(Front(app, prefix="/sub"), f"/sub{PAGE}") is not None


def test_access_log__of_all__has_a_line(app: IndexApp, caplog: pytest.LogCaptureFixture) -> None:
    remembered(app)
    caplog.set_level("INFO")

    assert asked(Front(IndexApp(site=app.site, access_log="all")), PAGE, x_request_id="abc") is not None
    assert asked(Front(IndexApp(site=app.site, access_log="notable")), PAGE) is not None

    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"GET {PAGE} 200 ")
    assert line.endswith("ms, anonymous-local at 127.0.0.1, request abc")


@pytest.fixture
def closed(folder: Path) -> Front:
    return remembered(make_app(settings(folder, AccessRules(anonymous_local_read=False))))


def test_token__of_a_reader__is_answered(closed: Front, folder: Path, app: IndexApp) -> None:
    reader = token(folder, "reader", "read:my-*")

    ready = asked(closed, PAGE, authorization=reader)

    assert told(ready)[1]["cache-control"].startswith("private")
    assert asked(closed, address(app, SPAM), authorization=reader, host="wheels.example") is not None
    assert asked(closed, address(app, LARGE) + ".metadata", authorization=reader) is None
    assert asked(closed, "/simple/", authorization=reader) is None
    assert asked(closed, PAGE, authorization=reader[:-4]) is None
    assert asked(closed, PAGE) is None
    closed._app.site.gate.tokens.revoke("reader")
    assert asked(closed, PAGE, authorization=reader) is None


def test_tokens__that_cannot_be_read__are_the_applications(closed: Front, folder: Path) -> None:
    reader, tokens = token(folder, "third", "read:*"), folder / "tokens.json"
    kept = tokens.read_bytes()
    assert asked(closed, PAGE, authorization=reader) is not None
    tokens.write_text("nonsense")

    assert asked(closed, PAGE, authorization=reader) is None

    tokens.write_bytes(kept)


def test_token__after_too_many_wrong_ones__is_the_applications(closed: Front, folder: Path) -> None:
    gate, reader = closed._app.site.gate, token(folder, "another", "read:*")
    known = gate.tokens.list()[-1].id
    assert asked(closed, PAGE, authorization=reader) is not None
    for _ in range(100):
        gate.failures.add(f"127.0.0.1 {known}", gate.clock())

    assert asked(closed, PAGE, authorization=reader) is None
    assert asked(closed, PAGE, authorization=reader, address="127.0.0.2") is not None


def test_known__is_bounded(app: IndexApp) -> None:
    front = remembered(app)
    question = front.question(PAGE.encode(), {})
    assert question is not None

    for number in range(20_000):
        front.know(b"%d" % number, question)
    front.know(b"x" * 10_000, question)

    assert 0 < len(front.known) < 10_000
    assert max(map(len, front.known)) < 10_000
