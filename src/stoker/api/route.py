"""What a route is: its place, who may use it, and what goes in and out. The OpenAPI document is made from these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from stoker.api.call import Answer, Call
from stoker.core.roles import SCOPES, ScopeName

Scope = ScopeName | Literal["public"]
PUBLIC: Scope = "public"
ANY_TOKEN: tuple[Scope, ...] = SCOPES

NAMESPACED = "/v1/namespaces/{namespace}"
PATH_PARAMETERS: dict[str, Any] = {
    "namespace": str,
    "id": Annotated[int, msgspec.Meta(ge=1)],
    "name": str,
}

Endpoint = Callable[[Call], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    `scopes`: any of them opens it, `admin` always does. `request`: the type of the JSON body; `upload`: the body is
    bytes that the endpoint streams itself, or JSON (of the type `request`) that it reads itself. `response`: the type
    of the JSON answer, or a media type for anything else; None: no content. `hot`: dispatched by its last path segment,
    before the router. `audit`: where the audit log has it, if it may change something: in a row of its own; at the run
    that it starts, which remembers the token; in a row once it was answered, for what goes on then; nowhere, as what
    runners report. `told`: what of a call goes there; None: this one changes nothing.
    """

    method: Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    endpoint: Endpoint
    scopes: tuple[Scope, ...] = ()
    query: Any = None
    headers: tuple[str, ...] = ()
    request: Any = None
    upload: bool = False
    response: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    hot: bool = False
    audit: Literal["row", "run", "begun", "no"] = "row"
    told: Callable[[Call], dict[str, Any] | None] | None = None

    @property
    def name(self) -> str:
        return self.endpoint.__name__

    @property
    def acts(self) -> bool:
        """Whether it is for the audit log."""
        return self.audit == "begun" or (self.method != "GET" and self.audit != "no")

    @property
    def public(self) -> bool:
        return self.scopes == (PUBLIC,)


def check(routes: Sequence[Route]) -> None:
    """Refuse a table in which a route lacks a scope, or two routes share a place. ValueError, naming the route."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        place = f"{route.method} {route.path}"
        if not route.scopes or not set(route.scopes) <= {*SCOPES, PUBLIC}:
            raise ValueError(f"{place} declares no scope; give it `scopes=` of {', '.join([*SCOPES, PUBLIC])}")
        if PUBLIC in route.scopes and not route.public:
            raise ValueError(f"{place} is public and scoped at once; it is one or the other")
        if (route.method, route.path) in seen:
            raise ValueError(f"{place} is declared twice")
        seen.add((route.method, route.path))
