"""From request to answer, the same way for every route: admit, decode, one endpoint, encode; errors become problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stoker.api import acting, auth, body, problems, query
from stoker.api.call import GONE, Answer, Call, Receive, Scope, Send, Server
from stoker.api.query import Query
from stoker.api.route import Route
from stoker.api.write import write
from stoker.errors import StokerError


class Resource:
    """All methods of one path, as an ASGI callable."""

    def __init__(self, server: Server, routes: Sequence[Route]) -> None:
        self._server = server
        self._methods = {route.method: (route, _decoder(route)) for route in routes}
        self.hot = any(route.hot for route in routes)
        self._allow = ", ".join(sorted(self._methods)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        await write(answer, receive, send, close=self._server.closing.begun)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        found = self._methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if found is None:
            return self._not_allowed(scope)
        route, decoder = found
        try:
            call = await self._call(route, decoder, scope, receive)
            return await (acting.acted(route, call) if route.acts else route.endpoint(call))
        except body.Disconnected:
            return GONE
        except StokerError as error:
            acting.refused(self._server, route, scope, error)
            return problems.answer(error)
        except Exception as error:  # noqa: BLE001  the last seam before the wire: logged in full, shown as an incident
            return problems.internal(error, f"{scope['method']} {route.path}")

    async def _call(
        self, route: Route, decoder: msgspec.json.Decoder[Any] | None, scope: Scope, receive: Receive
    ) -> Call:
        path = scope["path_params"]
        namespace = path.get("namespace")
        caller = await auth.admit(self._server, route, scope, namespace)
        parameters = query.decode(scope["query_string"], route.query or Query)
        sent = body.decode(await body.read(scope, receive), decoder) if decoder else None
        return Call(
            server=self._server,
            caller=caller,
            scope=scope,
            receive=receive,
            namespace=namespace or "",
            path=path,
            query=parameters,
            body=sent,
        )

    def _not_allowed(self, scope: Scope) -> Answer:
        error = problems.MethodNotAllowed(
            f"{scope['path']} does not take {scope['method']}",
            place="method",
            remedy=f"It takes {self._allow.decode()}.",
        )
        return problems.answer(error, ((b"allow", self._allow),))


def _decoder(route: Route) -> msgspec.json.Decoder[Any] | None:
    return msgspec.json.Decoder(route.request) if route.request is not None else None
