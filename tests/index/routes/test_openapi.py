"""The document of the HTTP API, against the routes that there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from asgi import Client
from full_index import every_route
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.routes.openapi import OPERATIONS, document
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.serving.app import IndexApp


def app(folder: Path) -> IndexApp:
    return make_app(
        Settings(
            store=str(folder / "store"),
            tokens=folder / "tokens.json",
            audit=folder / "audit",
            access=AccessRules(),
            max_upload=1000,
        )
    )


def test_operations__are_the_routes_and_their_methods(tmp_path: Path) -> None:
    routes = {
        path: {each.lower() for each in methods} - {"head"} for path, methods in every_route(app(tmp_path)).items()
    }
    assert {path: set(methods) for path, methods in OPERATIONS.items()} == routes


def test_document__is_served__below_a_proxys_path_too(tmp_path: Path) -> None:
    client = Client(app=app(tmp_path), address="203.0.113.9")
    got = client.get("/_/openapi.json")
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert json.loads(got.body) == document()
    assert document("/pypi")["servers"] == [{"url": "/pypi/"}]
