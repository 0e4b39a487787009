"""What a dialect is: a table of routes below its own paths, and a manner of its own in all that it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from stoker.api.call import Answer, Scope, Server
from stoker.api.route import Route
from stoker.engine.caller import Caller
from stoker.errors import StokerError

if TYPE_CHECKING:
    from stoker.api.openapi import Terms
    from stoker.engine.engine import Engine


class Manner(Protocol):
    """How a dialect meets its callers. Nothing of a request gets past it, whatever goes wrong."""

    async def admit(self, server: Server, route: Route, scope: Scope, namespace: str) -> Caller:
        """The caller, if it may use this route here. Refuses in the dialect's own words otherwise."""
        ...

    def decode(self, content: bytes, shape: Any) -> Any:
        """The value of a body, of the type that a route declares."""
        ...

    def refuse(self, error: StokerError, scope: Scope) -> Answer:
        """A refusal, of a path or a method that is not there too."""
        ...

    def fail(self, incident: str) -> Answer:
        """What is answered to an error nobody foresaw. `incident` names its entry in the log."""
        ...

    def preflight(self, scope: Scope) -> Answer | None:
        """The answer to a browser that asks whether a page may call; None to everything else."""
        ...

    def dress(self, answer: Answer, scope: Scope) -> Answer:
        """Put on what every answer carries."""
        ...


async def nothing(_: Engine) -> None:
    """What most dialects need before they are served."""


def stateless(_: Server) -> None:
    """What most dialects remember between two calls."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol.

    `heads`: the first segments of its paths, as `v0`. `routes`: their paths begin there; a parameter may say what it
    takes, as `{id:guid}`. `description`: the path of its OpenAPI document; `terms`: what that says of it.
    `namespace`: the one that it serves, if its paths name none. `state`: makes, once a server, what its calls find in
    `call.state`: settings, things remembered. `begin`: what is done before it is served, each time.
    """

    name: str
    heads: tuple[str, ...]
    routes: tuple[Route, ...]
    manner: Manner
    description: str
    terms: Terms
    namespace: str | None = None
    state: Callable[[Server], Any] = stateless
    begin: Callable[[Engine], Awaitable[None]] = nothing
