"""Every route, asked anything: whatever comes in, an answer goes out that is one, in time, and tells no secret.

The routes are those of the application itself, so a new one is tried the day it is written. `WHEELHOUSE_FUZZ=1000` asks
each route so many times; without it the requests are few, and the same in every run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asgi import form
from full_index import KINDS, SAMPLES, Answered, Asked, FullIndex, every_route, full_index
from small_wheels import SmallWheel
from uploaders import packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

TIMES = int(os.environ.get("WHEELHOUSE_FUZZ", "0"))
QUICK = 40
MOST_MEMORY = 12 * 2**20
ANYTHING = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FFF), max_size=20)
HOSTILE = st.sampled_from(
    [
        "..", ".", "-", "%", "%00", "%0d%0aSet-Cookie:%20a=b", "%2e%2e%2fetc%2fpasswd", "%2f", "%5c..%5c", "%ff", "+",
        "a" * 300, "a%20b", "{{7*7}}", "<script>", "%c3%a9", "%e2%80%ae", "~root", "con.json", "1.0.0rc1", "v1.0", "*",
    ]
)  # fmt: skip
HEADERS: dict[str, SearchStrategy[str]] = {
    "accept": st.lists(
        st.builds(
            "{};q={}".format,
            st.sampled_from(["text/html", "*/*", "application/vnd.pypi.simple.v1+json", "application/*", "", "a/b/c"]),
            st.sampled_from(["0", "1", "0.5", "1.001", "-1", "nan", "inf", "", "9" * 400]),
        ),
        max_size=20,
    ).map(",".join),
    "accept-encoding": st.sampled_from(["gzip", "zstd;q=0", "*;q=0", "br, gzip;q=1.5", "identity;q=0, *;q=0", ";;,"]),
    "range": st.sampled_from(
        ["bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-1", "bytes=0-,1-2", "bytes=" + "9" * 400 + "-", "lines=1-2",
         "=", "bytes=0-" + "0-," * 500, "bytes=999999999999999999-", "bytes=\u0665-\u0666"]
    ),
    "if-range": st.sampled_from(['"a"', "W/", "Wed, 21 Oct 2015 07:28:00 GMT"]),
    "if-none-match": st.sampled_from(["*", '"a", W/"b"', '"', "W/", '"' * 999]),
    "if-modified-since": st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "never"]),
    "authorization": st.sampled_from(
        ["Basic", "Basic %%%", "Basic X190b2tlbl9fOg==", "Bearer ", "Bearer wh_", "Bearer wh_a_b", "Digest a",
         "Basic /w==", "Bearer wh_" + "a" * 5000, "Bearer wh_eyJhbGciOiJub25lIn0.e30."]
    ),
    "content-type": st.sampled_from(
        ["application/json", "application/json; charset=utf-16", "multipart/form-data",
         "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 300,
         "multipart/form-data; boundary*=utf-8''%ff", "text/plain", ";"]
    ),
    "content-length": st.sampled_from(["-1", "0", "abc", "9" * 40]),
    "host": st.sampled_from(["", "evil.example", "localhost:99999", "[::1", "a b", "localhost/../x", "\u00e9"]),
    "origin": st.sampled_from(["null", "https://evil.example"]),
    "x-request-id": st.sampled_from(["a" * 500, "a b", "ok-1", "\u00ff"]),
    "x-forwarded-for": st.sampled_from(["127.0.0.1", "::1, 198.51.100.1", ",,,", "a" * 999]),
    "x-forwarded-host": ANYTHING,
    "x-forwarded-proto": st.sampled_from(["https", "javascript"]),
    "x-forwarded-prefix": st.sampled_from(["/a", "//evil.example", "\\"]),
    "cookie": ANYTHING,
    "expect": st.just("100-continue"),
    "te": st.just("trailers"),
}  # fmt: skip
QUERIES = st.lists(
    st.builds(
        "{}={}".format,
        st.sampled_from(["format", "q", "page", "state", "project", "v", "", "%00"]),
        HOSTILE | st.sampled_from(["application/vnd.pypi.simple.v1+json", "-1", "999999999", "spam", "failed", "1e9"]),
    ),
    max_size=3,
).map("&".join)
VALUES: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANYTHING, inner, max_size=3),
    max_leaves=6,
)
JSONS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            name: VALUES | st.sampled_from(["archived", "overlay", "private", "a.b.c"])
            for name in ("reason", "status", "policy", "token")
        },
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"", b"{", b"[" * 5000, b"\xff\xfe", b'{"token": "' + b"a" * 40_000, b'{"reason": "\\ud800"}', b"NaN"]
    ),
)
WHEEL = SmallWheel(name="my_spam", version="9.0")
FORM, _ = form(
    {":action": "file_upload", "protocol_version": "1", "name": "my-spam", "version": "9.0", "attestations": "[]"},
    filename=WHEEL.filename,
    content=packed(WHEEL),
)
FORM_TYPE = (b"content-type", b"multipart/form-data; boundary=frontier")


@st.composite
def broken_forms(draw: st.DrawFn) -> bytes:
    """Give an upload that is cut, has a piece twice, or has other bytes in places."""
    data = bytearray(FORM)
    for _ in range(draw(st.integers(1, 3))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 300))
        piece = draw(
            st.sampled_from([b"", b"\r\n", b"--frontier\r\n", b"--frontier--\r\n", b'"', b"\0", b"\xff" * 9])
            | st.just(bytes(data[start : start + length]) * 2)
        )
        data[start : start + length] = piece
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


@st.composite
def requests(draw: st.DrawFn, index: FullIndex, tokens: list[str], pattern: str, methods: set[str]) -> Asked:
    """Give a request that leads to a route, or nearly."""
    project = draw(st.sampled_from(sorted(KINDS)))
    filename, sha256 = index.files[project]
    good = {**SAMPLES, "project": project, "filename": filename, "sha256": sha256, "shelf": sha256[:2]}
    odd = draw(st.integers(0, 9)) < 4

    def fill(found: re.Match[str]) -> str:
        return draw(HOSTILE | ANYTHING.map(_quoted)) if odd and draw(st.booleans()) else good[found[1]]

    path = re.sub(r"\{(\w+)[^}]*\}", fill, pattern) + draw(st.sampled_from(["", "", "", "/", "//", "/..", ";a", "%20"]))
    method = draw(
        st.sampled_from([*sorted(methods)] * 4 + ["HEAD", "OPTIONS", "PUT", "DELETE", "POST", "TRACE", "get", "X"])
    )
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), unique=True, max_size=4))
    given_headers = {name: draw(HEADERS[name]) for name in names}
    if draw(st.integers(0, 2)):
        given_headers["authorization"] = f"Bearer {draw(st.sampled_from(tokens))}"
    headers = [
        (name.encode(), value.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b""))
        for name, value in {"host": "localhost:8080", **given_headers}.items()
    ]
    body = b""
    if method in {"POST", "PUT"}:
        if "legacy" in pattern and draw(st.integers(0, 3)):
            body, headers = draw(broken_forms()), [*headers, FORM_TYPE]
        else:
            body = draw(JSONS)
            headers += [(b"content-type", b"application/json")] if draw(st.booleans()) else []
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return Asked(
        path=path,
        method=method,
        query=draw(QUERIES),
        headers=tuple(headers),
        body=tuple(pieces),
        address=draw(st.sampled_from(["127.0.0.1", "::1", "198.51.100.7", "203.0.113.9"])),
    )


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullIndex]:
    with full_index(tmp_path_factory.mktemp("full"), anonymous_local_upload=True) as made:
        yield made


@pytest.fixture(scope="module")
def tokens(index: FullIndex) -> list[str]:
    every = [f"{action}:*" for action in ("read", "upload", "yank", "delete", "admin", "metrics")]
    return [index.token(*every), index.token("read:my-spam"), index.token("upload:acme-*")]


def expect_sane(index: FullIndex, asked: Asked, got: Answered) -> None:
    """Hold an answer against what every answer has to be."""
    assert got.status < 500 or got.status == 503
    assert got.whole
    for name, value in got.headers:
        assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
        assert not re.search(rb"[\r\n\0]", value), (name, value)
    everything = got.body + b"\n".join(value for _, value in got.headers)
    for secret in (str(index.folder), "Traceback", "site-packages", "wheelhouse/index", *index.secrets):
        assert secret.encode() not in everything
    assert not re.match(r"[/\\]{2}|[a-z]+:", got.header("location") or "", re.IGNORECASE)
    length = got.header("content-length")
    if got.status in {204, 304}:
        assert got.body == b""
    elif length is not None and asked.method != "HEAD":  # whose body the server leaves out, if nobody has before
        assert int(length) == len(got.body)


@pytest.mark.slow
def test_any_route__anything__is_answered_and_tells_no_secret(
    index: FullIndex, tokens: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for pattern, methods in every_route(index.app).items():

        @settings(
            max_examples=TIMES or QUICK,
            derandomize=not TIMES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if TIMES else [Phase.generate],
        )
        @given(asked=requests(index, tokens, pattern, methods))
        def answer(asked: Asked) -> None:
            caplog.clear()
            got = index.ask(asked)
            expect_sane(index, asked, got)
            told = [each for each in caplog.records if each.exc_info and each.levelno >= logging.ERROR]
            assert got.status == 503 or not told

        answer()


@pytest.mark.parametrize(
    "path", ["/legacy/", "/_/stages/next/publish", "/_/oidc/mint-token", "/_/projects/my-spam/status"]
)
@pytest.mark.parametrize(
    "piece", [b"a" * 2**16, b"--frontier\r\n" * 5000, b'--frontier\r\nContent-Disposition: "' * 2000]
)
def test_body_without_end__is_given_up_in_bounded_memory(
    index: FullIndex, tokens: list[str], path: str, piece: bytes
) -> None:
    kind = FORM_TYPE if path == "/legacy/" else (b"content-type", b"application/json")
    headers = ((b"host", b"localhost:8080"), (b"authorization", f"Bearer {tokens[0]}".encode()), kind)
    asked = Asked(
        path=path, method="PUT" if path.endswith("status") else "POST", headers=headers, body=(piece,) * 1000
    )  # one piece of memory, however often it is sent
    tracemalloc.start()
    try:
        got = index.ask(asked)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    expect_sane(index, asked, got)
    assert got.status in {400, 422}
    assert most < MOST_MEMORY


def test_names_and_headers_without_end__are_answered_in_time(index: FullIndex) -> None:
    long = "a-" * 30_000 + "a"
    for path in (
        f"/simple/{long}/",
        f"/project/{long}/",
        f"/files/aa/{'b' * 64}/{long}-1.0.tar.gz",
        "/" + "a/" * 30_000,
    ):
        asked = Asked(
            path=path,
            headers=((b"host", b"localhost"), (b"accept", b"a/b," * 20_000), (b"if-none-match", b'"' * 60_001)),
        )
        got = index.ask(asked)
        expect_sane(index, asked, got)
        assert got.status in {301, 400, 404}
        assert len(got.body) < 10_000
