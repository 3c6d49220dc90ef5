from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from fake_upstream import FakeFile, fake_upstream
from mirrors import JSON, Clock, mirroring
from small_wheels import SmallWheel
from wheelhouse.index.upstream.rules import MirrorRules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream

EGGS = FakeFile(filename="eggs-1.0-py3-none-any.whl", data=b"e" * 300_000, metadata=b"Name: eggs\n")
HAM = FakeFile(filename="ham-2.0.tar.gz", data=b"ham")
SPELLINGS = ["eggs", "Eggs", "EGGS"]


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream(eggs=[EGGS], ham=[HAM]) as made:
        yield made


def test_project__of_upstream__is_listed_and_served(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert await index.names("eggs") == [EGGS.filename]
            url = await index.url("eggs")
            for path, data in ((url, EGGS.data), (f"{url}.metadata", EGGS.metadata)):
                for _ in range(2):  # from upstream, and then from the shelf
                    got = await index.get(path)
                    assert (got.status, got.body) == (200, data)
                    assert got.headers["content-length"] == str(len(data or b""))
            html = (await index.get("/simple/eggs/", accept="text/html")).body.decode()
            assert f'data-core-metadata="sha256={hashlib.sha256(EGGS.metadata or b"").hexdigest()}"' in html
            older = await index.get("/pypi/eggs/json")
            assert older.status == 200
            assert EGGS.sha256 in older.body.decode()
            assert (await index.get("/simple/", accept=JSON)).body.count(b'"name"') == 1
        assert upstream.times("/simple/eggs/") == upstream.times(f"/packages/{EGGS.filename}") == 1

    asyncio.run(ask())


def test_get_ready__asks_nobody__and_the_first_question_goes_on_from_there(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await index.mirror.get_ready()
            assert upstream.asked == []
            assert await index.names("eggs") == [EGGS.filename]

    asyncio.run(ask())


def test_project__nobody_has_it__is_404_and_remembered(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            for _ in range(3):
                assert (await index.get("/simple/nothing/")).status == 404
            assert upstream.times("/simple/nothing/") == 1
            upstream.projects["nothing"] = [HAM]
            index.clock.pass_(minutes=2)
            assert (await index.get("/simple/nothing/")).status == 200

    asyncio.run(ask())


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("path", ["/simple/{}/", "/pypi/{}/json", "/simple/{}"])
def test_denied__every_route_and_spelling__is_403(
    upstream: FakeUpstream, tmp_path: Path, spelled: str, path: str
) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(deny=("egg*",))) as index:
            got = await index.get(path.format(spelled))
            if got.status == 301:
                got = await index.get(path.format("eggs").rstrip("/") + ("" if path.endswith("json") else "/"))
            assert got.status == 403
            name = EGGS.filename.replace("eggs", spelled)
            assert (await index.get(f"/files/{EGGS.sha256[:2]}/{EGGS.sha256}/{name}")).status == 403
        assert upstream.asked == []

    asyncio.run(ask())


def test_allow__all_else__is_403(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(allow=("ham",))) as index:
            assert (await index.get("/simple/eggs/")).status == 403
            assert (await index.get("/simple/ham/")).status == 200

    asyncio.run(ask())


def test_private__what_has_files_of_ours__is_never_asked_for(upstream: FakeUpstream, tmp_path: Path) -> None:
    wheel = SmallWheel(name="eggs", version="3.0").write(tmp_path)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert (await index.upload(wheel, "eggs", "3.0")).status == 200
            for spelled in SPELLINGS:
                await index.get(f"/simple/{spelled}/")
                await index.get(f"/pypi/{spelled}/json")
            assert await index.names("eggs") == [wheel.name]
            assert (await index.get(f"/files/{EGGS.sha256[:2]}/{EGGS.sha256}/{EGGS.filename}")).status == 404
        assert upstream.asked == []

    asyncio.run(ask())


def test_private__by_configuration__is_never_asked_for(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(policies={"eg*": "private"})) as index:
            assert (await index.get("/simple/eggs/")).status == 404
        assert upstream.asked == []

    asyncio.run(ask())


def test_overlay__ours_first_then_theirs(upstream: FakeUpstream, tmp_path: Path) -> None:
    new = SmallWheel(name="eggs", tag="cp313-cp313-linux_riscv64").write(tmp_path)
    same = SmallWheel(name="eggs").write(tmp_path)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(policies={"eggs": "overlay"})) as index:
            await index.upload(new, "eggs")
            assert await index.names("eggs") == [new.name, EGGS.filename]
            await index.upload(same, "eggs")
            assert set(await index.names("eggs")) == {new.name, same.name}  # ours stands for theirs
            upstream.down = True
            index.clock.pass_(days=1)
            assert set(await index.names("eggs")) == {new.name, same.name}

    asyncio.run(ask())


def test_overlay__upstream_never_heard_of__ours_are_served(upstream: FakeUpstream, tmp_path: Path) -> None:
    wheel = SmallWheel(name="eggs", version="3.0").write(tmp_path)
    upstream.down = True

    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=MirrorRules(policies={"eggs": "overlay"})) as index:
            await index.upload(wheel, "eggs", "3.0")
            assert await index.names("eggs") == [wheel.name]

    asyncio.run(ask())


def test_min_age__young_files__come_when_they_are_old_enough(upstream: FakeUpstream, tmp_path: Path) -> None:
    young = FakeFile(filename="eggs-2.0-py3-none-any.whl", data=b"2", said={"upload-time": "2025-12-30T00:00:00Z"})
    timeless = FakeFile(filename="eggs-3.0-py3-none-any.whl", data=b"3", said={"upload-time": None})
    upstream.projects["eggs"] += [young, timeless]
    upstream.said["versions"] = ["1.0", "2.0", "3.0", "0.1"]
    rules = MirrorRules(min_age=timedelta(days=7), min_ages={"ham": timedelta(0)})

    async def ask() -> None:
        async with mirroring(tmp_path, upstream, rules=rules) as index:
            page = await index.page("eggs")
            assert [file["filename"] for file in page["files"]] == [EGGS.filename]
            assert page["versions"] == ["1.0", "0.1"]
            assert (await index.get(f"/files/{young.sha256[:2]}/{young.sha256}/{young.filename}")).status == 404
            index.clock.pass_(days=5)
            assert await index.names("eggs") == [EGGS.filename, young.filename]

    asyncio.run(ask())


def test_offline__serves_what_is_here__and_lists_nothing_else(upstream: FakeUpstream, tmp_path: Path) -> None:
    other = FakeFile(filename="eggs-2.0-py3-none-any.whl", data=b"2")
    upstream.projects["eggs"].append(other)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await index.get(await index.url("eggs"))  # not its metadata
        upstream.asked.clear()
        async with mirroring(tmp_path, upstream, offline=True) as index:
            index.clock.pass_(days=100)
            (file,) = (await index.page("eggs"))["files"]
            assert file["filename"] == EGGS.filename
            assert "core-metadata" not in file
            assert (await index.get(await index.url("eggs"))).body == EGGS.data
            assert (await index.get("/simple/ham/")).status == 404
            assert (await index.get(f"/files/{other.sha256[:2]}/{other.sha256}/{other.filename}")).status == 404
            assert index.mirror.stats().offline
        assert upstream.asked == []

    asyncio.run(ask())


def test_stats__count(upstream: FakeUpstream, tmp_path: Path) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert index.mirror.stats().upstreams == {}
            url = await index.url("eggs")
            await index.get(url)
            await index.get(url)
            stats = index.mirror.stats()
            assert (stats.counted.file_misses, stats.counted.file_hits, stats.counted.page_misses) == (1, 1, 1)
            assert (stats.counted.bytes_fetched, stats.shelf.size) == (len(EGGS.data), len(EGGS.data))
            assert stats.upstreams[upstream.url].up
            upstream.down = True
            await index.get("/simple/other/")
            assert not index.mirror.stats().upstreams[upstream.url].up

    asyncio.run(ask())


def test_restart__within_freshness__asks_nothing(upstream: FakeUpstream, tmp_path: Path) -> None:
    clock = Clock()

    async def ask() -> None:
        for _ in range(2):
            async with mirroring(tmp_path, upstream, clock=clock) as index:
                assert await index.names("eggs") == [EGGS.filename]
        assert upstream.times("/simple/eggs/") == 1

    asyncio.run(ask())


@pytest.mark.parametrize("length", [129, 300, 5000])
def test_project__with_a_name_of_any_length__is_404(upstream: FakeUpstream, tmp_path: Path, length: int) -> None:
    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            assert (await index.get(f"/simple/{'a' * length}/")).status == 404

    asyncio.run(ask())


def test_root__lists_what_is_mirrored__but_nothing_a_rule_hides(upstream: FakeUpstream, tmp_path: Path) -> None:
    wheel = SmallWheel(name="spam").write(tmp_path)

    async def ask() -> None:
        async with mirroring(tmp_path, upstream) as index:
            await index.upload(wheel, "spam")
            for project in ("eggs", "ham", "nothing"):
                await index.get(f"/simple/{project}/")
            listed = json.loads((await index.get("/simple/", accept=JSON)).body)["projects"]
            assert [each["name"] for each in listed] == ["eggs", "ham", "spam"]
        async with mirroring(tmp_path, upstream, rules=MirrorRules(deny=("ham",), policies={"e*": "private"})) as index:
            listed = json.loads((await index.get("/simple/", accept=JSON)).body)["projects"]
            assert [each["name"] for each in listed] == ["spam"]

    asyncio.run(ask())
