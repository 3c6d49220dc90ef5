from __future__ import annotations

import asyncio
import base64
import gzip
import time
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from fake_upstream import FakeFile, fake_upstream
from mirrors import mirroring
from wheelhouse.index.upstream.folder import Kept, PageFolder
from wheelhouse.index.upstream.pages import Freshness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.utils import NormalizedName

    from fake_upstream import FakeUpstream

EGGS = FakeFile(filename="eggs-1.0-py3-none-any.whl", data=b"eggs", said={"requires-python": ">=3.8"})
PAGE = "/simple/eggs/"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream(eggs=[EGGS]) as made:
        yield made


def test_page__a_hundred_askers__one_question(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await asyncio.gather(*(index.get(PAGE) for _ in range(100)))
            assert {each.status for each in got} == {200}
        assert upstream.times(PAGE) == 1

    asyncio.run(ask())


def test_page__forty_projects_at_once__each_is_parsed_once(upstream: FakeUpstream, tmp_path: Path) -> None:
    class Folder(PageFolder):
        reads = 0

        def read(self, project: NormalizedName) -> tuple[Kept, bytes] | None:
            self.reads += 1
            return super().read(project)

    async def ask() -> None:
        names = [f"eggs-{number}" for number in range(40)]
        upstream.projects = {
            name: [FakeFile(filename=f"{name.replace('-', '_')}-1.tar.gz", data=b"")] for name in names
        }
        async with mirroring(tmp_path, upstream) as index:
            pages = index.mirror.pages
            folder = pages._folder = Folder(tmp_path / "mirror" / "pages")
            await asyncio.gather(*(pages.find(canonicalize_name(name)) for name in names))
            assert [len(pages.read(canonicalize_name(name))[1].files) for name in names] == [1] * 40
            assert folder.reads == 0

    asyncio.run(ask())


def test_page__older_than_its_freshness__is_asked_for_with_its_etag(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await index.names("eggs")
            before = await index.catalog.find("eggs")  # type: ignore[arg-type]
            index.clock.pass_(minutes=11)
            assert await index.names("eggs") == [EGGS.filename]
            assert await index.catalog.find("eggs") is before  # type: ignore[arg-type] # nothing was rendered anew
            assert "if-none-match" in upstream.got[-1]
            assert index.mirror.stats().counted.page_revalidated == 1
            upstream.projects["eggs"] = [FakeFile(filename="eggs-2.0.tar.gz", data=b"2")]
            assert await index.names("eggs") == [EGGS.filename]
            index.clock.pass_(minutes=11)
            assert await index.names("eggs") == ["eggs-2.0.tar.gz"]

    asyncio.run(ask())


@pytest.mark.parametrize("fault", ["down", "500", "403", "429", "malformed", "another", "cut"])
def test_page__upstream_fails__old_page_or_503(upstream: FakeUpstream, tmp_path: Path, fault: str) -> None:
    def break_() -> None:
        if fault == "down":
            upstream.down = True
        elif fault == "cut":
            upstream.headers["Content-Length"] = "1000000"
        elif fault.isdigit():
            upstream.status = int(fault)
        else:
            text = b'{"meta": {"api-version": "1.0"}, "name": "other", "files": []}' if fault == "another" else b"[1"
            upstream.pages |= {"eggs": text, "ham": text}

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            before = await index.page("eggs")
            break_()
            index.clock.pass_(days=400)
            assert await index.page("eggs") == before
            assert index.mirror.stats().counted.page_stale
            got = await index.get("/simple/ham/")
            assert got.status == 503
            assert got.headers["Retry-After"] == "5"
            assert b"127.0.0.1" not in got.body
        async with mirroring(tmp_path, upstream) as index:  # after a restart
            index.clock.pass_(days=400)
            assert await index.page("eggs") == before

    if fault == "cut":
        upstream.etags = False
    asyncio.run(ask())


def test_page__upstream_slow__old_page_in_time(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, freshness=Freshness(patience=0.05)) as index:
            await index.names("eggs")
            index.clock.pass_(days=1)
            pages = index.mirror.client.page

            async def slow(*args: object, **more: object) -> object:
                await asyncio.sleep(1)
                return await pages(*args, **more)  # type: ignore[arg-type]

            index.mirror.pages._client = _Slow(slow)  # type: ignore[assignment]
            began = time.monotonic()
            assert await index.names("eggs") == [EGGS.filename]
            assert time.monotonic() - began < 0.8

    asyncio.run(ask())


class _Slow:
    def __init__(self, page: object) -> None:
        self.page = page


def test_page__gone_from_upstream__is_gone_here(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await index.names("eggs")
            del upstream.projects["eggs"]
            index.clock.pass_(hours=1)
            assert (await index.get(PAGE)).status == 404
            assert list(index.mirror.folder.projects()) == []

    asyncio.run(ask())


def test_page__keys_of_upstream__stay(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.said |= {"versions": ["1.0", "0.9"], "project-status": {"status": "archived"}, "alternate": ["x"]}
    said = {"yanked": "broken", "provenance": "https://pypi.example/x", "_extra": [1], "requires-python": ">=3.8"}
    upstream.projects["eggs"] = [FakeFile(filename=EGGS.filename, data=b"eggs", said={**said, "gpg-sig": True})]

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            page = await index.page("eggs")
            assert {key: page[key] for key in upstream.said} == upstream.said
            (file,) = page["files"]
            assert {key: file[key] for key in said} == said
            assert "gpg-sig" not in file
            assert file["upload-time"] == "2024-01-02T03:04:05.678901Z"
            html = (await index.get(PAGE, accept="text/html")).body.decode()
            assert 'data-yanked="broken"' in html
            assert 'data-requires-python="&gt;=3.8"' in html
            assert 'content="archived"' in html

    asyncio.run(ask())


def test_page__upstream_without_json__is_read_as_html(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.html = True

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            (file,) = (await index.page("eggs"))["files"]
            assert file["hashes"] == {"sha256": EGGS.sha256}
            assert "size" not in file
            assert (await index.get("/pypi/eggs/json")).status == 200

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("caching", "fresh_for"),
    [
        (None, 600),
        ("max-age=60", 60),
        ("public, max-age=1", 10),
        ("max-age=99999999", 3600),
        ("no-store", 10),
        ("s-maxage=5", 600),
        ("max-age=x", 600),
    ],
)
def test_freshness__within_bounds(caching: str | None, fresh_for: float) -> None:
    assert Freshness().of(caching) == fresh_for


def test_upstreams__first_that_has_it__answers_alone(upstream: FakeUpstream, tmp_path: Path) -> None:
    second = {
        "eggs": [FakeFile(filename="eggs-9.0.tar.gz", data=b"9")],
        "ham": [FakeFile(filename="ham-1.tar.gz", data=b"h")],
    }

    async def ask() -> None:
        with fake_upstream(**second) as other:
            async with mirroring(tmp_path, upstream, other) as index:
                assert await index.names("eggs") == [EGGS.filename]
                assert await index.names("ham") == ["ham-1.tar.gz"]
                assert (await index.get(await index.url("ham"))).body == b"h"
                upstream.down = True
                index.clock.pass_(days=1)
                assert await index.names("ham") == ["ham-1.tar.gz"]  # known; and nobody else's can slip in
                assert (await index.get("/simple/spam/")).status == 503
            assert "/simple/eggs/" not in other.asked
            assert other.times("/simple/spam/") == 0

    asyncio.run(ask())


def test_credentials__go_to_the_upstream_alone(upstream: FakeUpstream, tmp_path: Path) -> None:
    with_password = upstream.url.replace("http://", "http://me:s%40cret@")

    async def ask() -> None:
        with fake_upstream(eggs=[EGGS]) as elsewhere:
            target = f"{elsewhere.url.removesuffix('simple/')}packages/{EGGS.filename}"
            upstream.projects["eggs"] = [FakeFile(filename=EGGS.filename, data=EGGS.data, said={"url": target})]
            async with mirroring(tmp_path, with_password) as index:
                page = await index.get("/simple/eggs/")
                assert b"cret" not in page.body
                assert (await index.get(await index.url("eggs"))).body == EGGS.data
                assert "cret" not in repr(index.mirror.stats())
            assert upstream.got[0]["authorization"] == f"Basic {base64.b64encode(b'me:s@cret').decode()}"
            assert "authorization" not in elsewhere.got[0]
        kept = b"".join(path.read_bytes() for path in (tmp_path / "mirror").rglob("*") if path.is_file())
        assert b"cret" not in kept

    asyncio.run(ask())


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "http://10.0.0.1/simple/eggs/", "http://localhost:1/", "{url}eggs/"],
)
def test_redirect__where_it_may_not_lead_or_without_end__is_503(
    upstream: FakeUpstream, tmp_path: Path, target: str
) -> None:
    upstream.status = 302
    upstream.headers["Location"] = target.format(url=upstream.url)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert (await index.get(PAGE)).status == 503
        assert set(upstream.asked) == {PAGE}

    asyncio.run(ask())


def test_page__too_large__is_503_and_is_not_kept(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.pages["eggs"] = gzip.compress(b" " * (80 << 20), 1)  # 80 MB of a few hundred kB
    upstream.headers["Content-Encoding"] = "gzip"

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert (await index.get(PAGE)).status == 503
            assert list(index.mirror.folder.projects()) == []

    asyncio.run(ask())
