"""What the routes that change something share: programs only, a small JSON body in, an error's answer out."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

import pydantic
from starlette.responses import PlainTextResponse

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.access.auth import Denied
from wheelhouse.index.problems import DeniedError, SilentError, problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

LOG = logging.getLogger("wheelhouse.index")
_MOST_BYTES = 64 * 1024
_JSON = "application/json"
LONGEST_SILENCE = 60.0
"""Seconds: who sends nothing for so long in the middle of a request has gone, or wants to keep others out."""


class Body(pydantic.BaseModel):
    """Base of what clients send."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


_Body = TypeVar("_Body", bound=Body)


def expect_program(request: Request) -> None:
    """Refuse what a web page makes a browser send: browsers say where it comes from. Raises DeniedError."""
    if "origin" in request.headers:
        raise DeniedError(Denied(status=403, message="a web page cannot do this"))


async def body_of(request: Request, *, silence: float = LONGEST_SILENCE) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises SilentError, ClientDisconnect."""
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(silence):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SilentError(f"nothing more of the request came for {silence:g} seconds") from None
        if piece is None:
            return
        yield piece


async def read_json(request: Request, kind: type[_Body]) -> _Body:
    """Read a small body of the type that no form in a web page can send. Raises IndexRefusesError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise IndexRefusesError(f"the body has to be {_JSON}", hint=f"Content-Type: {_JSON}, and at least {{}}")
    body = bytearray()
    async for chunk in body_of(request):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise IndexRefusesError(f"the body has more than {_MOST_BYTES} bytes")
    try:
        return kind.model_validate_json(bytes(body))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise IndexRefusesError(f"{place}: {first['msg'][:200]}") from error


def answer_problem(request: Request, error: Exception) -> Response:
    """Say what a client is told of an error; what is our own doing goes to the log."""
    problem = problem_of(error)
    if problem.ours:
        LOG.error("%s %s", request.method, request.url.path, exc_info=error)
    return PlainTextResponse(f"{problem.text}\n", status_code=problem.status, headers=dict(problem.headers))
