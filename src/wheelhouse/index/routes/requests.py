"""What the routes that change something share: programs only, a small JSON body in, an error's answer out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
from starlette.responses import JSONResponse, PlainTextResponse

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.access.auth import Denied
from wheelhouse.index.problems import DeniedError, SilentError, problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

_MOST_BYTES = 64 * 1024
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How slowly a request may come. Who is slower has gone, or wants to keep others out."""

    silence: float = 60.0
    """Seconds without a byte; also those that are given besides what the rate allows for."""
    rate: int = 1000
    """Bytes a second; 0: any."""

    def left(self, *, spent: float, received: int) -> float:
        """Return the seconds within which the next byte has to come, after so many seconds and bytes."""
        if not self.rate:
            return self.silence
        return min(self.silence, self.silence + received / self.rate - spent)

    def told(self, waited: float) -> str:
        """Say what a client did that was waited for so many seconds in vain."""
        if waited < self.silence:
            return f"the request came too slowly: fewer than {self.rate:,} bytes a second"
        return f"nothing more of the request came for {self.silence:g} seconds"


PATIENCE = Patience()


class Body(pydantic.BaseModel):
    """Base of what clients send."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


_Body = TypeVar("_Body", bound=Body)


def expect_program(request: Request) -> None:
    """Refuse what a web page makes a browser send: browsers say where it comes from. Raises DeniedError."""
    if "origin" in request.headers:
        raise DeniedError(Denied(status=403, message="a web page cannot do this"))


async def body_of(request: Request, *, patience: Patience = PATIENCE) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises SilentError, ClientDisconnect.

    Only what the client takes is held against it: what this server does with a piece is not.
    """
    pieces, received, spent = request.stream(), 0, 0.0
    while True:
        begun, left = monotonic(), patience.left(spent=spent, received=received)
        try:
            async with asyncio.timeout(left):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SilentError(patience.told(left)) from None
        if piece is None:
            return
        spent += monotonic() - begun
        received += len(piece)
        yield piece


async def read_bytes(request: Request, most: int) -> bytes:
    """Read a body of JSON, of at most so many bytes. Raises IndexRefusesError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise IndexRefusesError(f"the body has to be {_JSON}", hint=f"Content-Type: {_JSON}, and at least {{}}")
    body = bytearray()
    async for chunk in body_of(request):
        body += chunk
        if len(body) > most:
            raise IndexRefusesError(f"the body has more than {most} bytes")
    return bytes(body)


async def read_json(request: Request, kind: type[_Body]) -> _Body:
    """Read a small body of the type that no form in a web page can send. Raises IndexRefusesError."""
    body = await read_bytes(request, _MOST_BYTES)
    try:
        return kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise IndexRefusesError(f"{place}: {first['msg'][:200]}") from error


def answer_json(value: dict[str, Any]) -> Response:
    """Return an answer that is true this moment."""
    return JSONResponse(value, headers={"Cache-Control": "no-store"})


def answer_problem(request: Request, error: Exception) -> Response:
    """Say what a client is told of an error; what is our own doing goes to the log."""
    problem = problem_of(error)
    problem.log(error, f"{request.method} {request.url.path}")
    return PlainTextResponse(f"{problem.text}\n", status_code=problem.status, headers=dict(problem.headers))
