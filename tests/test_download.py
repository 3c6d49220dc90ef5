from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from servers import Answer, serve
from wheelhouse.download import connections, download, read_page, verified, without_secrets
from wheelhouse.errors import CanceledError, RequirementsError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

BODY = b"some bytes of a source" * 1000
HASH = hashlib.sha256(BODY).hexdigest()


def files_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def fetch(url: str, cache: Path, **more: int) -> Path:
    return download(url, sha256=HASH, cache=cache, what="spam", limit=more.get("limit", 10**6))


def test_download__right_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve({"/a": [Answer(body=BODY)]}) as server:
        path = download(
            f"{server.url}/a",
            sha256=HASH,
            cache=tmp_path,
            what="spam",
            progress=lambda done, total: seen.append((done, total)),
        )
    assert path.read_bytes() == BODY
    assert files_in(tmp_path) == [path]
    assert seen[-1] == (len(BODY), len(BODY))


def test_download__in_the_cache__asks_nobody(tmp_path: Path) -> None:
    with serve({"/a": [Answer(body=BODY)]}) as server:
        fetch(f"{server.url}/a", tmp_path)
        fetch(f"{server.url}/a", tmp_path)
        assert server.asked == ["/a"]


def test_download__cache_spoilt__fetched_again(tmp_path: Path) -> None:
    with serve({"/a": [Answer(body=BODY)]}) as server:
        path = fetch(f"{server.url}/a", tmp_path)
        path.write_bytes(b"spoilt")
        assert verified(HASH, cache=tmp_path) is None
        assert fetch(f"{server.url}/a", tmp_path).read_bytes() == BODY


def test_download__wrong_bytes__tells_both_hashes_and_keeps_nothing(tmp_path: Path) -> None:
    other = b"other bytes"
    with serve({"/a": [Answer(body=other)]}) as server, pytest.raises(SourceError) as caught:
        fetch(f"{server.url}/a", tmp_path)
    assert HASH in str(caught.value)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert files_in(tmp_path) == []


def test_download__server_error_then_well(tmp_path: Path) -> None:
    with serve({"/a": [Answer(status=500), Answer(status=503), Answer(body=BODY)]}) as server:
        assert fetch(f"{server.url}/a", tmp_path).read_bytes() == BODY
        assert len(server.asked) == 3


def test_download__broken_off_then_well(tmp_path: Path) -> None:
    with serve({"/a": [Answer(body=BODY, cut=700), Answer(body=BODY)]}) as server:
        assert fetch(f"{server.url}/a", tmp_path).read_bytes() == BODY
        assert len(server.asked) == 2


@pytest.mark.parametrize("answer", [Answer(body=BODY, cut=700), Answer(status=500)], ids=["cut", "status"])
def test_download__never_well__gives_up_and_keeps_nothing(tmp_path: Path, answer: Answer) -> None:
    with serve({"/a": [answer]}) as server:
        with pytest.raises(SourceError) as caught:
            fetch(f"{server.url}/a", tmp_path)
        assert len(server.asked) == 4
    assert caught.value.hint is not None
    assert files_in(tmp_path) == []


def test_download__trickles__ends_when_it_is_told(tmp_path: Path) -> None:
    asked: list[None] = []

    def go_on() -> None:
        asked.append(None)
        if len(asked) > 3:
            raise CanceledError("stopped")

    with serve({"/a": [Answer(body=b"x" * 10_000, pause=0.05)]}) as server, pytest.raises(CanceledError):
        download(f"{server.url}/a", sha256=HASH, cache=tmp_path, what="spam", go_on=go_on)
    assert len(asked) == 4
    assert files_in(tmp_path) == []


def test_download__nobody_listens(tmp_path: Path) -> None:
    with serve({}) as server:
        url = server.url
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 failed: .*refused") as caught:
        fetch(f"{url}/a", tmp_path)
    assert "network" in (caught.value.hint or "")


def test_download__too_large__stops(tmp_path: Path) -> None:
    with serve({"/a": [Answer(body=BODY)]}) as server, pytest.raises(SourceError, match="larger than 100 bytes"):
        fetch(f"{server.url}/a", tmp_path, limit=100)
    assert files_in(tmp_path) == []


def test_download__not_there__raises_what_the_caller_asks_for(tmp_path: Path) -> None:
    with serve({}) as server, pytest.raises(RequirementsError, match="404"):
        download(f"{server.url}/a", sha256=HASH, cache=tmp_path, what="spam", raises=RequirementsError)


def test_download__many_askers__one_download(tmp_path: Path) -> None:
    with serve({"/a": [Answer(body=BODY)]}) as server:
        with ThreadPoolExecutor(8) as pool:
            paths = set(pool.map(lambda _: fetch(f"{server.url}/a", tmp_path), range(8)))
        assert server.asked == ["/a"]
    assert len(paths) == 1


def test_download__file_address(tmp_path: Path) -> None:
    source = tmp_path / "a file.tar.gz"
    source.write_bytes(BODY)
    assert fetch(source.as_uri(), tmp_path / "cache").read_bytes() == BODY
    with pytest.raises(SourceError, match="no such file"):
        download((tmp_path / "none").as_uri(), sha256="0" * 64, cache=tmp_path / "cache", what="spam")


def test_download__proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"http://far.invalid/a": [Answer(body=BODY)]}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert fetch("http://far.invalid/a", tmp_path).read_bytes() == BODY


def test_download__password__sent_but_never_told(tmp_path: Path) -> None:
    with serve({}) as server:
        url = server.url.replace("://", "://me:s%40cret@") + "/a"
        with pytest.raises(SourceError) as caught:
            fetch(url, tmp_path)
        assert {name.lower() for name in server.headers[0]} >= {"authorization"}
    assert "cret" not in f"{caught.value} {caught.value.hint}"
    assert without_secrets("https://u:p@host:8/x") == "https://host:8/x"


def test_read_page__follows_redirects_and_says_where_it_came_from() -> None:
    routes = {"/a": [Answer(status=301, headers={"Location": "/b/"})], "/b/": [Answer(body=b"page")]}
    with serve(routes) as server:
        page = read_page(f"{server.url}/a", accept="*/*")
        assert (page.data, page.url) == (b"page", f"{server.url}/b/")


def test_connections__over_http__have_the_certificates_for_where_they_are_sent_on() -> None:
    with connections("http://index.example/") as following:
        assert following.connection_pool_kw["ssl_context"] is not None
    with connections("http://index.example/", redirects=False) as staying:
        assert staying.connection_pool_kw["ssl_context"] is None
