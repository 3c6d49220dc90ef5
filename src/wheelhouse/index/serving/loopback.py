"""An ASGI application in, its address on this machine out, for as long as a block runs.

For a command that wants an installer to see exactly what the server would show it. The address holds a secret, so that
nobody else on the machine reads along; what is asked without it is answered with 404.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from wheelhouse.index.serving.answers import Receive, Scope, Send

_HOST = "127.0.0.1"


@asynccontextmanager
async def loopback(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve an application; yield its address, with a slash at the end."""
    from wheelhouse.index.serving.server import Server  # noqa: PLC0415 - start-up time

    secret = secrets.token_urlsafe(24)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        first, slash, path = scope["path"].removeprefix("/").partition("/")
        if slash and hmac.compare_digest(first.encode(), secret.encode()):
            await app({**scope, "path": f"/{path}"}, receive, send)
            return
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    server = Server(guarded, http="httptools")
    with socket.create_server((_HOST, 0)) as taken:
        serving = asyncio.create_task(server.serve(sockets=[taken]))
        try:
            await server.up.wait()
            yield f"http://{_HOST}:{taken.getsockname()[1]}/{secret}/"
        finally:
            server.should_exit = server.force_exit = True
            await serving
