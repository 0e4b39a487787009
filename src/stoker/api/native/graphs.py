"""Graphs and their versions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.auth import lend
from stoker.api.call import Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.core import away
from stoker.core.views import GraphView, Page, PushRequest


class GraphsQuery(Query, frozen=True):
    limit: Limit = 100
    after: After | None = None


class VersionQuery(Query, frozen=True):
    version: Annotated[int, msgspec.Meta(ge=1, description="Which version; left out: the newest.")] | None = None


async def push_graph(call: Call) -> Answer:
    request: PushRequest = call.body
    for spec in (request.graph, *request.inner):
        for namespace in away.namespaces(spec):
            lend(call.caller, namespace)
    view = await call.engine.catalog.push(call.namespace, call.body)
    return as_json(view, status=201 if view.created else 200)


async def list_graphs(call: Call) -> Answer:
    query: GraphsQuery = call.query
    return as_json(await call.engine.catalog.graphs(call.namespace, query.limit, query.after))


async def get_graph(call: Call) -> Answer:
    query: VersionQuery = call.query
    return as_json(await call.engine.catalog.graph(call.namespace, call.name, query.version))


ROUTES = (
    Route(
        method="POST",
        path=f"{NAMESPACED}/graphs",
        scopes=("author",),
        summary="Publish a graph with the kinds it uses; 201 if that made a version, 200 if nothing changed",
        endpoint=push_graph,
        request=PushRequest,
        response=GraphView,
        status=201,
        also=(200,),
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/graphs",
        scopes=("read", "author"),
        summary="List the graphs at their newest versions",
        endpoint=list_graphs,
        query=GraphsQuery,
        response=Page[GraphView],
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/graphs/{{name}}",
        scopes=("read", "author"),
        summary="Show a version of a graph",
        endpoint=get_graph,
        query=VersionQuery,
        response=GraphView,
    ),
)
