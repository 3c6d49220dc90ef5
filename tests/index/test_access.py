"""Every route there is, asked by strangers and by those with too small a token: a new route has to find its place."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from asgi import Client
from full_index import every_starlette_route
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.index.serving.app import IndexApp

#: What anybody may ask, whoever they are: nothing of a project is in these answers.
PUBLIC = {"/_/openapi.json", "/health", "/ready", "/static/{name}", "/_/oidc/audience", "/_/oidc/mint-token"}
PAGES = ["/simple/", "/simple/spam/", "/files/ab/" + "ab" * 32 + "/spam-1.0-py3-none-any.whl"]
SAMPLES = {"filename": "spam-1.0-py3-none-any.whl", "version": "1.0", "stage": "next"}


@pytest.fixture
def app(tmp_path: Path) -> IndexApp:
    return make_app(
        Settings(
            store=str(tmp_path / "store"),
            tokens=tmp_path / "tokens.json",
            audit=tmp_path / "audit",
            access=AccessRules(),
            max_upload=100_000,
        )
    )


def every_request(app: IndexApp) -> Iterator[tuple[str, str, str]]:
    """Yield the pattern of each route, each method that it has, and an address that fits."""
    yield from ((page, "GET", page) for page in PAGES)
    for pattern, methods in every_starlette_route(app._routes.routes, ""):
        address = re.sub(r"\{(\w+)[^}]*\}", lambda found: SAMPLES.get(found[1], "spam"), pattern)
        yield from ((pattern, method, address) for method in sorted(methods - {"HEAD"}))


def test_stranger__every_route__is_asked_for_a_token(app: IndexApp) -> None:
    client = Client(app=app, address="192.0.2.1")
    answers = {
        (pattern, method): client.get(address, method=method)
        for pattern, method, address in every_request(app)
        if pattern not in PUBLIC
    }
    assert {request: got.status for request, got in answers.items()} == dict.fromkeys(answers, 401)
    assert all("www-authenticate" in {name.lower() for name in got.headers} for got in answers.values())


def test_token_for_another_project__every_route_of_a_project__is_forbidden(app: IndexApp, tmp_path: Path) -> None:
    scopes = [Scope.parse(f"{action}:acme-*") for action in ("read", "upload", "yank", "delete", "admin")]
    token = TokenFile(tmp_path / "tokens.json").create("ci", scopes=scopes, now=datetime.now(UTC), lifetime=None)
    client = Client(app=app, address="192.0.2.1")
    answers = {
        (pattern, method): client.get(address, method=method, authorization=f"Bearer {token}").status
        for pattern, method, address in every_request(app)
        if "{project}" in pattern or pattern in PAGES
    }
    assert answers == dict.fromkeys(answers, 403)


def test_token_that_may_read_only__upload__is_forbidden_before_its_body_is_read(app: IndexApp, tmp_path: Path) -> None:
    token = TokenFile(tmp_path / "tokens.json").create(
        "ci", scopes=[Scope.parse("read:*")], now=datetime.now(UTC), lifetime=None
    )
    got = Client(app=app).get("/legacy/", method="POST", authorization=f"Bearer {token}")
    assert (got.status, got.body) == (403, b"this token has no scope upload\n")
