"""A dialect as an ASGI application on a server: every request gets an answer in its manner, whatever happens."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.api import acting, body, problems, query
from stoker.api.call import GONE, Answer, Call, Receive, Scope, Send, Server
from stoker.api.dialects.dialect import Dialect
from stoker.api.openapi import describe
from stoker.api.problems import MethodNotAllowed
from stoker.api.route import PUBLIC, Route, check
from stoker.api.tree import Tree
from stoker.api.write import write
from stoker.errors import NotFound, StokerError


class NotTaken(MethodNotAllowed):
    def __init__(self, path: str, method: str, allowed: str) -> None:
        super().__init__(f"{path} does not take {method}", place="method", remedy=f"It takes {allowed}.")
        self.allowed = allowed


class Mounted:
    """One dialect. ValueError where a route declares no scope, or lies outside of its paths."""

    def __init__(self, server: Server, dialect: Dialect) -> None:
        self._server = server
        self._dialect = dialect
        self._manner = dialect.manner
        self._state = dialect.state(server)
        described = Route(
            method="GET",
            path=dialect.description,
            scopes=(PUBLIC,),
            summary="This API, as an OpenAPI 3.1 document",
            endpoint=self._openapi,
            response=object,
        )
        routes = (*dialect.routes, described)
        check(routes)
        self._tree: Tree[dict[str, Route]] = Tree()
        for path, methods in _by_path(routes, dialect).items():
            self._tree.add(path, methods)
        self._document = msgspec.json.encode(
            describe(routes, version=server.version, path_prefix=server.path_prefix, terms=dialect.terms)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        if answer is not GONE:
            answer = self._manner.dress(answer, scope)
        await write(answer, receive, send, close=self._server.closing.begun)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        route: Route | None = None
        try:
            if (answer := self._manner.preflight(scope)) is not None:
                return answer
            route, path = self._route(scope)
            call = await self._call(route, path, scope, receive)
            return await (acting.acted(route, call) if route.acts else route.endpoint(call))
        except body.Disconnected:
            return GONE
        except NotTaken as error:
            answer = self._manner.refuse(error, scope)
            return msgspec.structs.replace(answer, headers=(*answer.headers, (b"allow", error.allowed.encode())))
        except StokerError as error:
            if route is not None:
                acting.refused(self._server, route, scope, error)
            return self._manner.refuse(error, scope)
        except Exception as error:  # noqa: BLE001  the last seam before the wire: logged in full, shown as an incident
            return self._manner.fail(problems.incident(error, f"{scope['method']} {scope['path']}"))

    def _route(self, scope: Scope) -> tuple[Route, dict[str, str]]:
        found = self._tree.find(scope["raw"])
        if found is None:
            raise NotFound(f"there is no route {scope['path']}", code="no_such_route", place="path")
        methods, path = found
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            raise NotTaken(scope["path"], method, ", ".join(sorted(methods)))
        if self._dialect.namespace is not None:
            path["namespace"] = self._dialect.namespace
        scope["path_params"] = path
        return methods[method], path

    async def _call(self, route: Route, path: dict[str, str], scope: Scope, receive: Receive) -> Call:
        namespace = path.get("namespace", "")
        caller = await self._manner.admit(self._server, route, scope, namespace)
        scope["caller"] = caller
        parameters = query.decode(scope["query_string"], route.query) if route.query else None
        decoded: Any = None
        if route.request is not None and not route.upload:
            decoded = self._manner.decode(await body.read(scope, receive), route.request)
        return Call(
            server=self._server,
            caller=caller,
            scope=scope,
            receive=receive,
            namespace=namespace,
            path=path,
            query=parameters,
            body=decoded,
            state=self._state,
        )

    async def _openapi(self, _: Call) -> Answer:
        return Answer(body=self._document)


def _by_path(routes: tuple[Route, ...], dialect: Dialect) -> dict[str, dict[str, Route]]:
    found: dict[str, dict[str, Route]] = {}
    for route in routes:
        if route.path.strip("/").partition("/")[0] not in dialect.heads:
            raise ValueError(f"{route.method} {route.path} does not lie below {' or '.join(dialect.heads)}")
        found.setdefault(route.path, {})[route.method] = route
    return found
