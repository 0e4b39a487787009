"""Live runs: publish to their nodes, fire them, read what they gave."""

from __future__ import annotations

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core.views import FireAnswer, OutputView, Page, PublishRequest

_NODE = f"{NAMESPACED}/runs/{{id}}/nodes/{{name}}"
_OUTPUT = f"{NAMESPACED}/outputs/{{id}}"


class OutputsQuery(Query, frozen=True):
    node: str | None = None
    current: bool = False
    limit: Limit = 100
    after: After | None = None


async def publish_output(call: Call) -> Answer:
    request: PublishRequest = call.body
    output = await call.engine.live.publish(call.namespace, call.id, call.name, request)
    return NO_CONTENT if output is None else as_json(output, status=201)


async def fire_node(call: Call) -> Answer:
    return as_json(await call.engine.live.fire(call.namespace, call.id, call.name))


async def list_outputs(call: Call) -> Answer:
    query: OutputsQuery = call.query
    page = await call.engine.live.outputs(
        call.namespace, call.id, node=query.node, current=query.current, limit=query.limit, after=query.after
    )
    return as_json(page)


async def get_output(call: Call) -> Answer:
    return as_json(await call.engine.live.output(call.namespace, call.id))


async def get_value(call: Call) -> Answer:
    return Answer(stream=await started(await call.engine.live.value(call.namespace, call.id)))


ROUTES = (
    Route(
        method="POST",
        path=f"{_NODE}/publish",
        scopes=("trigger",),
        summary="An output of a node of a live run from outside, or (204) that the node settled there",
        endpoint=publish_output,
        request=PublishRequest,
        response=OutputView,
        status=201,
        also=(204,),
    ),
    Route(
        method="POST",
        path=f"{_NODE}/fire",
        scopes=("trigger",),
        summary="Have a node of a live run run again with what is current",
        endpoint=fire_node,
        response=FireAnswer,
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/outputs",
        scopes=("read",),
        summary="List the outputs of a live run, by node, the newest first",
        endpoint=list_outputs,
        query=OutputsQuery,
        response=Page[OutputView],
    ),
    Route(
        method="GET",
        path=_OUTPUT,
        scopes=("read",),
        summary="Show an output",
        endpoint=get_output,
        response=OutputView,
    ),
    Route(
        method="GET",
        path=f"{_OUTPUT}/value",
        scopes=("read",),
        summary="The value of an output, as JSON",
        endpoint=get_value,
        response=object,
    ),
)
