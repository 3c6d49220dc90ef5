"""Trusted publishing over HTTP, word for word as PyPI has it, so that its clients need to know nothing new.

GET  /_/oidc/audience    whom an identity token has to be made for
POST /_/oidc/mint-token  an identity token in, an upload token out
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pydantic
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wheelhouse.index.access.audit import AuditAction, AuditOutcome
from wheelhouse.index.access.auth import Who
from wheelhouse.index.access.publishers import MintRefusedError
from wheelhouse.index.routes.requests import answer_json, body_of
from wheelhouse.index.routes.site import Deed, asker_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from wheelhouse.index.access.minting import Minted
    from wheelhouse.index.access.oidc import TrustedPublishing
    from wheelhouse.index.routes.site import Site

_MOST_BYTES = 32_768
_LATER = 60
_OUTAGE = 503


class _Payload(pydantic.BaseModel):
    """What a client sends."""

    token: pydantic.StrictStr


def oidc_routes(site: Site) -> list[BaseRoute]:
    """Make the routes of trusted publishing."""
    routes = _Routes(site)
    return [
        Route("/_/oidc/audience", routes.audience),
        Route("/_/oidc/mint-token", routes.mint_token, methods=["POST"]),
    ]


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def audience(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Say whom an identity token has to be made for."""
        publishing = self._site.publishing
        if publishing is None:
            return _not_here()
        return JSONResponse({"audience": publishing.audience})

    async def mint_token(self, request: Request) -> Response:
        """Give an upload token for an identity token."""
        publishing, asker = self._site.publishing, asker_of(request.scope)
        if publishing is None:
            return _not_here()
        if "origin" in request.headers:
            return JSONResponse({"message": "a web page cannot ask for a token"}, status_code=403)
        deed = Deed(action=AuditAction.MINT_TOKEN)
        try:
            minted = await _mint(request, publishing)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads this
        except MintRefusedError as error:
            by = Who(name=error.who, claims=error.claims) if error.who else None
            await self._site.note(asker, replace(deed, reason=error.description, by=by), AuditOutcome.DENIED)
            return _refused(error)
        await self._site.note(asker, replace(deed, by=Who(name=minted.name, claims=minted.claims)))
        said = {"success": True, "token": minted.text, "expires": int(minted.expires.timestamp())}
        return answer_json(said)


async def _mint(request: Request, publishing: TrustedPublishing) -> Minted:
    body = bytearray()
    async for chunk in body_of(request):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise MintRefusedError("invalid-payload", "the request is too long")
    try:
        payload = _Payload.model_validate_json(bytes(body))
    except pydantic.ValidationError as error:
        raise MintRefusedError(
            "invalid-payload", 'a JSON object with a text `token` is wanted: {"token": "…"}'
        ) from error
    return await publishing.exchange(payload.token)


def _refused(error: MintRefusedError) -> Response:
    said = {
        "message": "Token request failed",
        "errors": [{"code": error.code, "description": error.description}],
    }
    headers = {"Retry-After": str(_LATER)} if error.status == _OUTAGE else {}
    return JSONResponse(said, status_code=error.status, headers=headers)


def _not_here() -> Response:
    said = "trusted publishing is not set up here: [[serve.trusted-publishers]] in wheelhouse.toml does it"
    problem = {"code": "not-enabled", "description": said}
    return JSONResponse(
        {"message": "Trusted publishing functionality not available", "errors": [problem]}, status_code=403
    )
