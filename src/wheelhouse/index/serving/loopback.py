"""An ASGI application in, its address on this machine out, for as long as a block runs.

For a command that wants an installer to see exactly what the server would show it. The address holds a secret, so that
nobody else on the machine reads along; what is asked without it is answered with 404.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import web

    from wheelhouse.index.serving.answers import Message, Receive, Scope, Send

_HOST = "127.0.0.1"
_PIECE = 256 * 1024
#: They belong to the connection, which is aiohttp's.
_OF_THE_CONNECTION = {b"content-length", b"transfer-encoding", b"connection", b"date", b"server"}


@asynccontextmanager
async def loopback(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve an application; yield its address, with a slash at the end."""
    from aiohttp import web  # noqa: PLC0415 - start-up time

    secret = secrets.token_urlsafe(24)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        first, slash, path = request.path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(first.encode(), secret.encode()):
            return web.Response(status=404)
        return await _ask(app, request, f"/{path}")

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HOST, 0)
        await site.start()
        yield f"http://{_HOST}:{runner.addresses[0][1]}/{secret}/"
    finally:
        await runner.cleanup()


async def _ask(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], request: web.BaseRequest, path: str
) -> web.StreamResponse:
    from aiohttp import web  # noqa: PLC0415 - loaded before

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": request.query_string.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()],
        "client": (_HOST, 0),
        "server": (_HOST, 0),
    }
    response: web.StreamResponse | None = None

    async def receive() -> Message:
        body = await request.content.read(_PIECE)
        return {"type": "http.request", "body": body, "more_body": not request.content.at_eof()}

    async def send(message: Message) -> None:
        nonlocal response
        if message["type"] == "http.response.start":
            response = web.StreamResponse(status=message["status"])
            for name, value in message["headers"]:
                if name == b"content-length":
                    response.content_length = int(value)
                elif name not in _OF_THE_CONNECTION:
                    response.headers.add(name.decode(), value.decode("latin-1"))
            await response.prepare(request)
        elif response is not None and message.get("body"):
            await response.write(message["body"])

    await app(scope, receive, send)
    assert response is not None  # noqa: S101 - an application answers
    await response.write_eof()
    return response
