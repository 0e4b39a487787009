"""Tokens, and who the caller is."""

from __future__ import annotations

import msgspec

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.route import ANY_TOKEN, Route
from stoker.core.views import TokenRequest, TokenView


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True):
    """What the presented token allows. `*` in `namespaces`: all; empty `kinds`: all."""

    name: str
    scopes: list[str]
    namespaces: list[str]
    kinds: list[str]
    role: str | None = None


async def create_token(call: Call) -> Answer:
    request: TokenRequest = call.body
    return as_json(await call.engine.tokens.create(request), status=201)


async def list_tokens(call: Call) -> Answer:
    return as_json(await call.engine.tokens.list())


async def revoke_token(call: Call) -> Answer:
    await call.engine.tokens.revoke(call.id)
    return NO_CONTENT


async def whoami(call: Call) -> Answer:
    caller = call.caller
    return as_json(
        WhoAmI(
            name=caller.name,
            scopes=sorted(caller.scopes),
            namespaces=sorted(caller.namespaces),
            kinds=sorted(caller.kinds),
            role=caller.role,
        )
    )


ROUTES = (
    Route(
        method="POST",
        path="/v1/tokens",
        scopes=("admin",),
        summary="Create a token; the answer is the only place that shows it",
        endpoint=create_token,
        request=TokenRequest,
        response=TokenView,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/tokens",
        scopes=("admin",),
        summary="List the tokens, without their secrets",
        endpoint=list_tokens,
        response=list[TokenView],
    ),
    Route(
        method="DELETE",
        path="/v1/tokens/{id}",
        scopes=("admin",),
        summary="Revoke a token",
        endpoint=revoke_token,
        status=204,
    ),
    Route(
        method="GET",
        path="/v1/whoami",
        scopes=ANY_TOKEN,
        summary="What the presented token allows",
        endpoint=whoami,
        response=WhoAmI,
    ),
)
