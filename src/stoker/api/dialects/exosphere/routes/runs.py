"""Runs: pages of them, and one as a graph of its states."""

from __future__ import annotations

from typing import Any

from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.exosphere import picture
from stoker.api.dialects.exosphere.ids import StateId, spell
from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.api.dialects.exosphere.states import RUN_STATUS, SUMMARY, State
from stoker.api.dialects.exosphere.times import shown
from stoker.api.route import Route
from stoker.core.compiled import Compiled
from stoker.core.overview import outcome
from stoker.engine.overview import MOST, Line
from stoker.errors import NotFound

_NOT_WHOLE = "Input should be a valid integer, unable to parse string as an integer"


async def list_runs(call: Call) -> Answer:
    """A page of runs, the newest first. A size of 0 asks for all; there are at most so many in one reply."""
    page, size = _whole(call, "page", 1), _whole(call, "size", 0)
    limit = min(size or MOST, MOST)
    answer: dict[str, Any] = {"namespace": call.namespace, "total": 0, "page": page, "size": size, "runs": []}
    try:
        found = await call.engine.overview.page(call.namespace, skip=(page - 1) * limit, limit=limit)
    except NotFound:
        return as_json(answer)
    answer |= {"total": found.total, "runs": [_line(call, line) for line in found.lines]}
    return as_json(answer)


async def draw_run(call: Call) -> Answer:
    run = await call.engine.opaque.run(call.path["run_id"])
    try:
        drawn = await call.engine.overview.run(call.namespace, run or 0)
    except NotFound:
        return as_json(_graph("", [], [], [], dict.fromkeys(SUMMARY, 0)))
    seen = picture.picture(drawn)
    ids: dict[StateId, str] = {state.id: spell(state.id, call.engine.opaque.mac) for state in seen.states}
    nodes = {state.id: _node(drawn.graph, state, ids[state.id]) for state in seen.states}
    return as_json(
        _graph(
            drawn.graph.spec.name,
            [nodes[state.id] for state in seen.roots],
            list(nodes.values()),
            [{"source": ids[source], "target": ids[target]} for source, target in seen.edges],
            seen.summary,
        )
    )


def _whole(call: Call, name: str, least: int) -> int:
    text = call.path[name]
    try:
        found = int(text)
    except ValueError:
        raise Unprocessable([entry("int_parsing", ["path", name], _NOT_WHOLE, text)]) from None
    if not least <= found < 2**31:
        bound, sort, said = (
            ({"ge": least}, "greater_than_equal", f"greater than or equal to {least}")
            if found < least
            else ({"lt": 2**31}, "less_than", f"less than {2**31}")
        )
        raise Unprocessable([entry(sort, ["path", name], f"Input should be {said}", text, **bound)])
    return found


def _line(call: Call, line: Line) -> dict[str, Any]:
    counts = line.counts
    return {
        "run_id": call.engine.opaque.uuid(line.run.id),
        "graph_name": line.graph,
        "success_count": counts.well,
        "pending_count": counts.live,
        "errored_count": counts.bad,
        "retried_count": counts.followed,
        "total_count": counts.total,
        "status": RUN_STATUS[outcome(line.run, counts)],
        "created_at": shown(line.run.created_at),
    }


def _node(graph: Compiled, state: State, id_: str) -> dict[str, Any]:
    node = graph.nodes[state.task.node]
    return {
        "id": id_,
        "node_name": node.spec.kind,
        "identifier": node.name,
        "status": state.status,
        "error": state.error,
    }


def _graph(
    name: str,
    roots: list[dict[str, Any]],
    nodes: list[dict[str, Any]],
    edges: list[dict[str, str]],
    summary: dict[str, int],
) -> dict[str, Any]:
    return {
        "root_states": roots,
        "graph_name": name,
        "nodes": nodes,
        "edges": edges,
        "node_count": len(nodes),
        "edge_count": len(edges),
        "execution_summary": summary,
    }


ROUTES = (
    Route(
        method="GET",
        path="/v0/namespace/{namespace}/runs/{page}/{size}",
        scopes=("read",),
        summary="A page of runs, newest first",
        endpoint=list_runs,
        response=dict[str, Any],
    ),
    Route(
        method="GET",
        path="/v0/namespace/{namespace}/states/run/{run_id}/graph",
        scopes=("read",),
        summary="A run as a graph of its states",
        endpoint=draw_run,
        response=dict[str, Any],
    ),
)
