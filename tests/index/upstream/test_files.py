from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fake_upstream import FakeFile, fake_upstream
from mirrors import mirroring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream
    from mirrors import Index

EGGS = FakeFile(filename="eggs-1.0-py3-none-any.whl", data=bytes(range(256)) * 4000, metadata=b"Name: eggs\n")
PATH = f"/packages/{EGGS.filename}"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream(eggs=[EGGS]) as made:
        yield made


def leftovers(index: Index) -> list[Path]:
    return [path for path in index.mirror.shelf.root.rglob("*") if path.is_file() and path.name != "account"]


def test_fetch__a_hundred_askers__is_one(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.may_send.clear()

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            asking = [asyncio.create_task(index.get(url)) for _ in range(100)]
            await asyncio.to_thread(upstream.half_sent.wait, 5)
            await asyncio.sleep(0.1)
            asking += [asyncio.create_task(index.get(url)) for _ in range(10)]  # while it is half here
            await asyncio.sleep(0.05)
            upstream.may_send.set()
            got = await asyncio.gather(*asking)
            assert all(each.status == 200 and each.body == EGGS.data for each in got)
            assert index.mirror.stats().counted.file_shared == 109
        assert upstream.times(PATH) == 1

    asyncio.run(ask())


def test_fetch__asker_leaves__goes_on(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.may_send.clear()

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            leaving, staying = (asyncio.create_task(index.get(url)) for _ in range(2))
            await asyncio.to_thread(upstream.half_sent.wait, 5)
            leaving.cancel()
            await asyncio.sleep(0.01)
            upstream.may_send.set()
            assert (await staying).body == EGGS.data
            assert (await index.get(url)).body == EGGS.data
        assert upstream.times(PATH) == 1

    asyncio.run(ask())


def test_fetch__wrong_bytes__reach_nobody_whole_and_are_not_kept(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.wrong = True

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            got = await asyncio.gather(*(index.get(url) for _ in range(3)), return_exceptions=True)
            assert all(isinstance(each, Exception) for each in got)  # the server cuts the connection
            assert leftovers(index) == []
            assert index.mirror.stats().counted.file_wrong == 1
            upstream.wrong = False
            assert (await index.get(url)).body == EGGS.data

    asyncio.run(ask())


@pytest.mark.parametrize("size", [1, 1000])
def test_fetch__small_and_wrong__is_503(upstream: FakeUpstream, tmp_path: Path, size: int) -> None:
    upstream.projects["eggs"] = [FakeFile(filename=EGGS.filename, data=b"x" * size)]
    upstream.wrong = True

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await index.get(await index.url("eggs"))
            assert (got.status, got.headers["Retry-After"]) == (503, "5")
            assert leftovers(index) == []

    asyncio.run(ask())


@pytest.mark.parametrize("size", [len(EGGS.data) - 1, len(EGGS.data) + 1])
def test_fetch__of_another_size_than_the_page_says__is_not_kept(
    upstream: FakeUpstream, tmp_path: Path, size: int
) -> None:
    upstream.projects["eggs"] = [FakeFile(filename=EGGS.filename, data=EGGS.data, said={"size": size})]

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            with pytest.raises(Exception, match="eggs"):
                await index.get(await index.url("eggs"))
            assert leftovers(index) == []

    asyncio.run(ask())


def test_fetch__upstream_gone_between_page_and_file__is_503(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            upstream.down = True
            assert (await index.get(url)).status == 503
            upstream.down, upstream.status = False, 500
            assert (await index.get(url)).status == 503
            upstream.status = 404
            assert (await index.get(url)).status == 404
            upstream.status = None
            assert (await index.get(url)).status == 200

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("asked", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=-100", -100, None), ("bytes=500000-", 500_000, None)]
)
def test_range__of_what_is_not_here__is_of_verified_bytes(
    upstream: FakeUpstream, tmp_path: Path, asked: str, start: int, end: int | None
) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            for _ in range(2):
                got = await index.get(url, range=asked)
                assert (got.status, got.body) == (206, EGGS.data[start:end])
        assert upstream.times(PATH) == 1

    asyncio.run(ask())


def test_head__of_what_is_not_here__fetches_nothing(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await index.get(await index.url("eggs"), method="HEAD")
            assert (got.status, got.body) == (200, b"")
            assert got.headers["content-length"] == str(len(EGGS.data))
            assert got.headers["accept-ranges"] == "bytes"
        assert upstream.times(PATH) == 0

    asyncio.run(ask())


def test_budget__least_used__goes(upstream: FakeUpstream, tmp_path: Path) -> None:
    files = [FakeFile(filename=f"eggs-{n}.0.tar.gz", data=bytes([n]) * 100_000) for n in range(1, 5)]
    upstream.projects["eggs"] = files

    async def ask() -> None:
        async with mirroring(tmp_path, upstream, budget=250_000) as index:
            for number, file in enumerate(files):
                assert (await index.get(await index.url("eggs", number))).body == file.data
            stats = index.mirror.stats().shelf
            assert stats.size <= 250_000
            assert stats.evicted >= 2

    asyncio.run(ask())


def test_file__larger_than_the_budget__is_503(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, budget=1000) as index:
            got = await index.get(await index.url("eggs"))
            assert (got.status, got.headers["Retry-After"]) == (503, "60")
            assert b"has no room for it" in got.body

    asyncio.run(ask())


def test_file__of_a_page_without_sizes__is_served(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.html = True

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            url = await index.url("eggs")
            assert (await index.get(url, method="HEAD")).headers["content-length"] == str(len(EGGS.data))
            assert (await index.get(url)).body == EGGS.data

    asyncio.run(ask())


@pytest.mark.parametrize(
    "path", ["/files/{ab}/{sha}/{name}.provenance", "/files/00/{sha}/{name}", "/files/{ab}/" + "0" * 64 + "/{name}"]
)
def test_file__that_is_not_there__is_404(upstream: FakeUpstream, tmp_path: Path, path: str) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            got = await index.get(path.format(ab=EGGS.sha256[:2], sha=EGGS.sha256, name=EGGS.filename))
            assert got.status == 404

    asyncio.run(ask())
