"""An ASGI application asked without a network: what goes in is a request, what comes out all that it sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from wheelhouse.index.serving.app import IndexApp

LOCAL = {"host": "localhost:8080"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    status: int
    headers: Mapping[str, str]
    body: bytes
    path: str | None
    """The file that the server was told to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    app: IndexApp
    address: str = "127.0.0.1"
    pathsend: bool = False

    def get(
        self,
        url: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **more: str,
    ) -> Got:
        """Ask for a URL; in the names of further headers, `_` stands for `-`."""
        return asyncio.run(self._ask(url, method, body, {**(headers or {}), **more}))

    async def _ask(self, url: str, method: str, body: bytes, headers: Mapping[str, str]) -> Got:
        path, _, query = url.partition("?")
        given = {**LOCAL, **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": (self.address, 1),
            "server": ("localhost", 8080),
            "scheme": "http",
            "http_version": "1.1",
            "extensions": {"http.response.pathsend": {}} if self.pathsend else {},
        }
        incoming = [body[at : at + 1000] for at in range(0, len(body), 1000)] or [b""]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not incoming:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": incoming.pop(0), "more_body": bool(incoming)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        return Got(
            status=start["status"],
            headers={name.decode(): value.decode() for name, value in start["headers"]},
            body=b"".join(message.get("body", b"") for message in rest),
            path=next((message["path"] for message in rest if "path" in message), None),
        )


def form(fields: Mapping[str, str], *, filename: str, content: bytes) -> tuple[bytes, str]:
    """Return an upload's body and its content type."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    head = f'Content-Disposition: form-data; name="content"; filename="{filename}"\r\n\r\n'.encode()
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in [*parts, head + content]) + b"--frontier--\r\n"
    return body, "multipart/form-data; boundary=frontier"


def parcel(*files: tuple[str, bytes], **fields: str) -> tuple[bytes, str]:
    """Return the body of a request with many files, each with the same fields before it, and its content type."""
    parts = [form(fields, filename=filename, content=content)[0] for filename, content in files]
    return b"".join(part.removesuffix(b"--frontier--\r\n") for part in parts) + b"--frontier--\r\n", (
        "multipart/form-data; boundary=frontier"
    )
