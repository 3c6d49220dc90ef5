from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import urllib3

from wheelhouse.index.serving.loopback import loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from wheelhouse.index.serving.answers import Receive, Scope, Send


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Say what was asked, in two pieces."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    said = [scope["method"], scope["path"], scope["query_string"].decode(), headers.get("x-mine", ""), body.decode()]
    data = "\n".join(said).encode()
    status = 301 if scope["path"] == "/moved" else 200
    sent = [(b"content-length", str(len(data)).encode()), (b"x-ours", b"yes"), (b"location", b"there/")]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    if scope["method"] != "HEAD":
        await send({"type": "http.response.body", "body": data[:3], "more_body": True})
        await send({"type": "http.response.body", "body": data[3:]})
    else:
        await send({"type": "http.response.body", "body": b""})


def ask(work: Callable[[str], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
    async def serve() -> urllib3.BaseHTTPResponse:
        async with loopback(echo) as root:
            return await asyncio.to_thread(work, root)

    return asyncio.run(serve())


def get(url: str, method: str = "GET", **more: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        method, url, headers={"x-mine": "y"}, body=more.get("body"), redirect=False, retries=False, timeout=5
    )


def test_loopback__question__reaches_the_application() -> None:
    got = ask(lambda root: get(f"{root}a%20b/c?d=e"))
    assert got.status == 200
    assert got.data.decode().split("\n") == ["GET", "/a b/c", "d=e", "y", ""]
    assert got.headers["x-ours"] == "yes"


def test_loopback__body__is_handed_on() -> None:
    body = "x" * 700_000
    assert ask(lambda root: get(root, "POST", body=body)).data.decode().split("\n")[-1] == body


def test_loopback__head__has_the_length_and_no_body() -> None:
    got = ask(lambda root: get(root, "HEAD"))
    assert (got.headers["content-length"], got.data) == ("10", b"")


def test_loopback__redirect__stays_relative() -> None:
    got = ask(lambda root: get(f"{root}moved"))
    assert (got.status, got.headers["location"]) == (301, "there/")


def test_loopback__without_the_secret__is_nobody_at_home() -> None:
    def without(root: str) -> urllib3.BaseHTTPResponse:
        place, _, secret = root.rstrip("/").rpartition("/")
        assert len(secret) >= 32
        assert get(f"{place}/{secret[:-1]}/a").status == 404
        assert get(f"{place}/{secret}").status == 404
        return get(f"{place}/simple/")

    assert ask(without).status == 404
