"""The ASGI application: a table of routes over an engine. Hot routes are dispatched before the tree of paths."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import msgspec

from stoker.api import paths, problems
from stoker.api.call import Exposition, Receive, Scope, Send, Server
from stoker.api.closing import Closing
from stoker.api.pipeline import Resource
from stoker.api.route import NAMESPACED, Route, check
from stoker.api.routes import ROUTES
from stoker.api.tree import Tree
from stoker.api.write import write
from stoker.errors import NotFound

if TYPE_CHECKING:
    from stoker.api.dialects.dialect import Dialect
    from stoker.api.dialects.mounted import Mounted
    from stoker.engine.engine import Engine

_NAMESPACES = NAMESPACED.removesuffix("{namespace}")


def build(
    engine: Engine,
    *,
    version: str,
    insecure: bool = False,
    path_prefix: str = "",
    metrics: Exposition | None = None,
    opened: Collection[str] = (),
    routes: Sequence[Route] = ROUTES,
    dialects: Sequence[Dialect] = (),
) -> App:
    """The application. `insecure`: without tokens, for loopback only; `opened`: scopes that need none.

    ValueError if a route declares no scope, or two of all that it speaks have paths in common.
    """
    check(routes)
    server = Server(
        engine=engine,
        closing=Closing(),
        version=version,
        path_prefix=path_prefix,
        insecure=insecure,
        openapi=partial(_described, tuple(routes), version, path_prefix),
        metrics=metrics,
        opened=frozenset(opened),
        dialects=tuple(dialect.name for dialect in dialects),
    )
    return App(server, routes, dialects)


@cache
def _described(routes: tuple[Route, ...], version: str, path_prefix: str) -> bytes:
    """Made once, when it is first asked for: a process may open many servers, one after the other."""
    from stoker.api.openapi import describe

    return msgspec.json.encode(describe(routes, version=version, path_prefix=path_prefix))


class App:
    """One server's ASGI callable. `closing.begin()` ends its held calls with an answer."""

    def __init__(self, server: Server, routes: Sequence[Route], dialects: Sequence[Dialect] = ()) -> None:
        self.server = server
        self.closing = server.closing
        resources = _resources(server, routes)
        self._hot = {path.rpartition("/")[2]: resource for path, resource in resources.items() if resource.hot}
        self._mounted = _mounted(server, dialects, {path.split("/", 2)[1] for path in resources})
        self._tree: Tree[Resource] = Tree()
        for path, resource in resources.items():
            self._tree.add(_pattern(path), resource)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _not_http(scope, receive, send)
            return
        path = paths.without_prefix(paths.collapse(scope["path"]), self.server.path_prefix)
        if path is None:
            await self._unknown(scope, receive, send)
            return
        if self._mounted and (mounted := self._mounted.get(path.split("/", 2)[1])):
            scope["raw"] = paths.raw(scope, path, self.server.path_prefix)
            scope["path"] = path
            await mounted(scope, receive, send)
            return
        scope["path"] = path
        if path.startswith(_NAMESPACES):
            namespace, _, verb = path[len(_NAMESPACES) :].partition("/")
            if resource := self._hot.get(verb):
                scope["path_params"] = {"namespace": namespace}
                await resource(scope, receive, send)
                return
        if found := self._tree.at(path):
            resource, scope["path_params"] = found
            await resource(scope, receive, send)
            return
        await self._unknown(scope, receive, send)

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = NotFound(
            f"there is no route {scope['path']}",
            code="no_such_route",
            place="path",
            remedy=f"See {self.server.path_prefix}/openapi.json for all of them.",
        )
        await write(problems.answer(error), receive, send, close=self.closing.begun)


def _resources(server: Server, routes: Sequence[Route]) -> dict[str, Resource]:
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    return {path: Resource(server, path_routes) for path, path_routes in by_path.items()}


def _mounted(server: Server, dialects: Sequence[Dialect], native: Collection[str]) -> dict[str, Mounted]:
    """Each dialect at the first segments of its paths."""
    found: dict[str, Mounted] = {}
    if not dialects:
        return found
    from stoker.api.dialects.mounted import Mounted  # most servers speak none

    for dialect in dialects:
        mounted = Mounted(server, dialect)
        for head in dialect.heads:
            if head in native or head in found:
                raise ValueError(f"the dialect {dialect.name} is not alone below /{head}")
            found[head] = mounted
    return found


def _pattern(path: str) -> str:
    """A name at the end of a path may hold slashes."""
    return path.removesuffix("{name}") + "{name:rest}" if path.endswith("{name}") else path


async def _not_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the two other things a server may start a conversation with: its lifespan, and a WebSocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
