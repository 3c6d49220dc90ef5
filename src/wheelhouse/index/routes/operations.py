"""What those who run the index ask it: is it alive, is it ready, how much of what did it do.

GET /health   is the process alive
GET /ready    does its store answer; 503 with a reason where it does not
GET /metrics  numbers for Prometheus, for those who may read them
GET /_/openapi.json  what can be asked here at all, for anybody: it says nothing of what this index has
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.access.scopes import Action
from wheelhouse.index.model import parse_project
from wheelhouse.index.routes.site import asker_of
from wheelhouse.index.telling.gauges import Gauge, mirror_gauges, spool_gauges, tidying_gauges

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from wheelhouse.index.routes.site import Site

#: Prometheus' text format.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST_LOOK = 5.0
"""Seconds that a store has to answer in, to be there."""
_NOT_KEPT = {"Cache-Control": "no-store"}


def operation_routes(site: Site) -> list[BaseRoute]:
    """Make these routes."""

    async def health(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
        return PlainTextResponse("ok\n", headers=_NOT_KEPT)

    async def ready(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
        await _look_at_store(site)
        return PlainTextResponse("ok\n", headers=_NOT_KEPT)

    async def metrics(request: Request) -> Response:
        site.authorize(asker_of(request.scope), Action.METRICS, None)
        from wheelhouse.index.telling.metrics import to_text  # noqa: PLC0415 - start-up time

        gauges = await _gauges(site)
        text = await asyncio.to_thread(to_text, site.traffic, gauges)
        return Response(text, headers={**_NOT_KEPT, "Content-Type": _TEXT})

    async def openapi(request: Request) -> Response:
        from wheelhouse.index.routes.openapi import document  # noqa: PLC0415 - start-up time

        return JSONResponse(document(request.scope.get("root_path", "")), headers={"Cache-Control": "no-cache"})

    return [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/_/openapi.json", openapi),
    ]


async def _look_at_store(site: Site) -> None:
    """Ask the store for anything. Raises StoreUnavailableError, OSError."""
    if site.pending is not None and site.pending.outage.since is not None:
        raise StoreUnavailableError(site.pending.outage.why)
    looking = asyncio.to_thread(site.catalog.store.mark, parse_project("ready"))
    try:
        await asyncio.wait_for(looking, _LONGEST_LOOK)
    except TimeoutError as error:
        raise StoreUnavailableError(f"no answer in {_LONGEST_LOOK:g} seconds") from error


async def _gauges(site: Site) -> tuple[Gauge, ...]:
    try:
        await _look_at_store(site)
        up = 1
    except (StoreUnavailableError, OSError):
        up = 0
    entries, size = site.catalog.held
    own = (
        Gauge(name="wheelhouse_index_store_up", help="The store answers: 1, or 0.", value=up),
        Gauge(name="wheelhouse_index_catalog_entries", help="Projects whose pages are in memory.", value=entries),
        Gauge(name="wheelhouse_index_catalog_bytes", help="Bytes of those pages.", value=size),
    )
    return own + await asyncio.to_thread(_of_parts, site)


def _of_parts(site: Site) -> tuple[Gauge, ...]:
    """Ask the parts that not every index has; both look at a disk."""
    spool = spool_gauges(site.pending.stats(), now=time.time()) if site.pending is not None else ()
    mirror = mirror_gauges(site.catalog.mirror.stats()) if site.catalog.mirror is not None else ()
    tidying = tidying_gauges(site.tidied) if site.tidied is not None else ()
    return (*spool, *mirror, *tidying)
