"""An index with upstreams behind it, asked without a network between; the upstreams are asked over one."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asgi import Client, form
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings
from wheelhouse.index.upstream.address import Upstream
from wheelhouse.index.upstream.mirror import Mirror, MirrorSetup
from wheelhouse.index.upstream.rules import MirrorRules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from asgi import Got
    from fake_upstream import FakeUpstream
    from wheelhouse.index.pages.catalog import Catalog
    from wheelhouse.index.upstream.pages import Freshness

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(slots=True)
class Clock:
    """Time that goes on when it is told to."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that mirrors."""

    client: Client
    mirror: Mirror
    catalog: Catalog
    clock: Clock

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Got:
        return await self.client._ask(path, method, b"", headers)

    async def page(self, project: str) -> dict[str, Any]:
        got = await self.get(f"/simple/{project}/", accept=JSON)
        assert got.status == 200, got.body
        found: dict[str, Any] = json.loads(got.body)
        return found

    async def names(self, project: str) -> list[str]:
        return [file["filename"] for file in (await self.page(project))["files"]]

    async def url(self, project: str, number: int = 0) -> str:
        url: str = (await self.page(project))["files"][number]["url"]
        return url.removeprefix("../..")

    async def upload(self, wheel: Path, name: str, version: str = "1.0") -> Got:
        fields = {":action": "file_upload", "protocol_version": "1", "name": name, "version": version}
        content = await asyncio.to_thread(wheel.read_bytes)
        body, kind = form(fields, filename=wheel.name, content=content)
        return await self.client._ask("/legacy/", "POST", body, {"content-type": kind})


@asynccontextmanager
async def mirroring(
    folder: Path,
    *upstreams: FakeUpstream | str,
    rules: MirrorRules | None = None,
    offline: bool = False,
    budget: int | None = None,
    clock: Clock | None = None,
    freshness: Freshness | None = None,
) -> AsyncIterator[Index]:
    """Give an index over a folder; the same folder again is the same index after a restart."""
    urls = [upstream if isinstance(upstream, str) else upstream.url for upstream in upstreams]
    clock = clock or Clock()
    setup = MirrorSetup(
        folder=folder / "mirror",
        upstreams=lambda: [Upstream.parse(url) for url in urls],
        rules=rules or MirrorRules(),
        budget=budget,
        offline=offline,
        freshness=freshness,
    )
    settings = Settings(
        store=str(folder / "store"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=AccessRules(anonymous_local_upload=True),
        max_upload=1_000_000,
    )
    app = make_app(settings)
    mirror = Mirror.open(setup, now=clock)
    app.site.catalog.mirror = mirror
    app.site.catalog.fresh_for = -1.0  # each request looks
    try:
        yield Index(client=Client(app=app), mirror=mirror, catalog=app.site.catalog, clock=clock)
    finally:
        await mirror.close()
        await asyncio.sleep(0)
