"""An index in memory, its tokens, and uploads to any of its places."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from asgi import form
from wheelhouse.index.access.auth import AccessRules, utc_now
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Client, Got
    from small_wheels import SmallWheel

JSON = "application/vnd.pypi.simple.v1+json"


def settings(folder: Path, access: AccessRules | None = None) -> Settings:
    tokens, audit = folder / "tokens.json", folder / "audit"
    rules = access or AccessRules(anonymous_local_read=True)
    return Settings(store=str(folder / "store"), tokens=tokens, audit=audit, access=rules, max_upload=1_000_000)


def token(folder: Path, name: str, *scopes: str) -> str:
    """Make a token, and return the header that sends it."""
    parsed = [Scope.parse(scope) for scope in scopes]
    text = TokenFile(folder / "tokens.json").create(name, scopes=parsed, now=utc_now(), lifetime=None)
    return "Basic " + base64.b64encode(f"__token__:{text}".encode()).decode()


def upload(client: Client, folder: Path, wheel: SmallWheel, to: str, authorization: str | None = None) -> Got:
    path = wheel.write(folder / "made")
    fields = {":action": "file_upload", "protocol_version": "1", "name": wheel.name, "version": wheel.version}
    body, kind = form(fields, filename=path.name, content=path.read_bytes())
    headers = {"authorization": authorization} if authorization else {}
    return client.get(to, method="POST", body=body, headers={"content-type": kind, **headers})


def page(client: Client, url: str, **headers: str) -> dict[str, Any]:
    got = client.get(url, headers={"accept": JSON, **headers})
    assert got.status == 200, got.body
    loaded: dict[str, Any] = json.loads(got.body)
    return loaded


def names(client: Client, url: str, **headers: str) -> list[str]:
    return [file["filename"] for file in page(client, url, **headers)["files"]]
