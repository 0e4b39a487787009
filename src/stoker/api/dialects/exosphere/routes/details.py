"""One state: what it was given and gave, and where it comes from; and its retry by hand."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.exosphere import ids
from stoker.api.dialects.exosphere.ids import StateId, spell
from stoker.api.dialects.exosphere.picture import item_of
from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.api.dialects.exosphere.states import State, own, pruned
from stoker.api.dialects.exosphere.times import shown
from stoker.api.route import Route
from stoker.core.model import Task
from stoker.core.names import fault
from stoker.core.overview import present
from stoker.core.states import RunState, TaskState
from stoker.engine.overview import Close
from stoker.errors import Conflict, Invalid, NotFound

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_NOT_FAILED = "State is not in a failed state"
_REFUSALS = {
    "duplicate_retry": "Duplicate retry state detected",
    "attempt_followed": _NOT_FAILED,
    "not_settled": _NOT_FAILED,
    "succeeded": _NOT_FAILED,
    "stopping": "Run is cancelled; retry the run",
    "run_was_stopped": "Run is cancelled; retry the run",
}


class Retry(msgspec.Struct):
    fanout_id: str


async def node_details(call: Call) -> Answer:
    graph, run, id_ = call.path["graph"], call.path["run_id"], call.path["id"]
    if not _ID.fullmatch(id_):
        raise Invalid(f"Invalid node ID format: {id_}")
    found = await _found(call, id_)
    if found is None or found[0].graph.spec.name != graph or await call.engine.opaque.run(run) != found[0].run.id:
        raise NotFound(f"Node {id_} not found in run {run} for graph {graph}")
    return as_json(await _shown(call, *found))


async def manual_retry(call: Call) -> Answer:
    """The same task's next attempt, under a new id."""
    key = call.body.fanout_id
    if wrong := fault(key):
        raise Unprocessable([entry("value_error", ["body", "fanout_id"], f"Value error, {wrong}", key, error={})])
    found = await _found(call, call.path["id"])
    if found is None:
        raise NotFound("State not found")
    close, state = found
    if state.id.item:
        raise Conflict(_NOT_FAILED)
    try:
        answer = await call.engine.runs.retry_task(
            call.namespace, state.id.task, rerun_below=False, attempt=state.id.attempt, key=key
        )
    except Conflict as error:
        raise Conflict(await _refusal(call, close, error)) from None
    mac = call.engine.opaque.mac
    return as_json(
        {
            "id": spell(StateId(state.id.task, answer.attempt), mac),
            "status": "CREATED",
            "fired_joins": [spell(StateId(each.task, each.attempt), mac) for each in answer.fired_tasks],
        }
    )


async def _refusal(call: Call, close: Close, error: Conflict) -> str:
    if error.code in ("not_settled", "succeeded") and (close.run.stopping or close.run.state is RunState.CANCELLED):
        return _REFUSALS["stopping"]
    if error.code == "skipped":
        causes = await call.engine.overview.causes(call.namespace, close.task.id)
        named = ", ".join(spell(StateId(each.id, present(each)), call.engine.opaque.mac) for each in causes)
        return f"State is a skipped join; retry instead: {named}" if named else _NOT_FAILED
    return _REFUSALS.get(error.code, error.message)


async def _found(call: Call, id_: str) -> tuple[Close, State] | None:
    """A state of this namespace by its id."""
    wanted = await ids.read(id_, call.engine.opaque.proves)
    if wanted is None:
        return None
    try:
        close = await call.engine.overview.task(call.namespace, wanted.task)
    except NotFound:
        return None
    state = own(close.run, close.task, close.past, _more(close, close.task), wanted)
    return None if state is None else (close, state)


def _more(close: Close, task: Task) -> int:
    return close.more.get((task.node, task.branch), 0)


async def _shown(call: Call, close: Close, state: State) -> dict[str, Any]:
    task, attempt = close.task, state.id.attempt
    node = close.graph.nodes[task.node]
    ends = [end for end in close.past.ends if end.attempt == attempt]
    started = ends[-1].started_at if ends else task.claimed_at if attempt == task.attempt else None
    finished = ends[-1].ended_at if ends else task.settled_at if attempt == task.attempt else None
    parents, joined = _lineage(call, close)
    return {
        "id": spell(state.id, call.engine.opaque.mac),
        "node_name": node.spec.kind,
        "identifier": node.name,
        "graph_name": close.graph.spec.name,
        "run_id": call.engine.opaque.uuid(close.run.id),
        "status": state.status,
        "inputs": await _inputs(call, task, attempt),
        "outputs": await _outputs(call, state),
        "error": state.error,
        "parents": parents,
        "created_at": shown(task.created_at),
        "updated_at": shown(finished or started or task.created_at),
        "data": pruned(task, close.past) if attempt == present(task) else {},
        "attempt": attempt,
        "retry_count": close.past.failures(attempt),
        "started_at": None if started is None else shown(started),
        "finished_at": None if finished is None else shown(finished),
    } | ({"joined": joined} if node.is_join else {})


def _lineage(call: Call, close: Close) -> tuple[dict[str, str], list[str]]:
    """The item of each task above that it comes from, by identifier; of a join, the branch tips too."""
    mac, graph = call.engine.opaque.mac, close.graph
    below = [*close.line, close.task][1:]
    parents = {
        graph.nodes[above.node].name: spell(
            StateId(above.id, present(above), item_of(graph, graph.nodes[after.node], after.branch)), mac
        )
        for above, after in zip(close.line, below, strict=True)
    }
    tips = [
        spell(StateId(tip.id, present(tip), item), mac) for tip in close.tips for item in range(_more(close, tip) + 1)
    ]
    return parents, tips


async def _inputs(call: Call, task: Task, attempt: int) -> dict[str, str]:
    """What the attempt was given, as texts; nothing where it cannot be put together."""
    given = attempt if attempt <= task.attempt else None
    try:
        parts = [part async for part in await call.engine.recorded.input(call.namespace, task.id, given or None)]
    except (Conflict, NotFound):
        return {}
    return _texts(b"".join(parts))


async def _outputs(call: Call, state: State) -> dict[str, str]:
    if state.task.state is not TaskState.SUCCEEDED or state.status != "SUCCESS":
        return {}
    body = await call.engine.recorded.item(call.namespace, state.id.task, state.id.item)
    return {} if body is None else _texts(body)


def _texts(body: bytes) -> dict[str, str]:
    """The fields of an object as this protocol has them: texts; all else as its JSON."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return {"value": body.decode("utf-8", "replace")}
    return {name: _text(bytes(value)) for name, value in fields.items()}


def _text(value: bytes) -> str:
    if value.lstrip().startswith(b'"'):
        try:
            return msgspec.json.decode(value, type=str)
        except msgspec.DecodeError:
            pass
    return value.decode("utf-8", "replace")


ROUTES = (
    Route(
        method="GET",
        path="/v0/namespace/{namespace}/graph/{graph}/run/{run_id}/node/{id}",
        scopes=("read",),
        summary="One state",
        endpoint=node_details,
        response=dict[str, Any],
    ),
    Route(
        method="POST",
        path="/v0/namespace/{namespace}/state/{id}/manual-retry",
        scopes=("trigger",),
        summary="Try a failed or pruned state once more",
        endpoint=manual_retry,
        request=Retry,
        response=dict[str, Any],
    ),
)
