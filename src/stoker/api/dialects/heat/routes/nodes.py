"""Nodes of sessions: see them, say how they do, have them run again."""

from __future__ import annotations

from contextlib import suppress

from msgspec import UNSET

from stoker.api.call import Answer, Call
from stoker.api.dialects.heat import fields, ids, tasks
from stoker.api.dialects.heat.desk import Pen, change
from stoker.api.dialects.heat.envelope import Envelope, bare, enveloped
from stoker.api.dialects.heat.nouns.nodeinstance import CONFIGURED, Configured, NodeInstance, NodeStatus
from stoker.api.dialects.heat.nouns.runnertask import RunnerTask
from stoker.api.dialects.heat.stage import Stage, stage, stage_of_node
from stoker.api.query import Query
from stoker.api.route import Route
from stoker.core.by_node import SayRequest
from stoker.errors import Conflict, Invalid, NotFound

_NODE = "/api/nodes/{node:int}"
_STATES = {2: "FAILED", 3: "SUCCEEDED"}


class OfSession(Query, frozen=True, rename="camel", forbid_unknown_fields=False):
    session_id: str | None = None


async def list_nodes(call: Call) -> Answer:
    given = call.query.session_id
    if not given:
        raise Invalid("sessionId is missing", place="query.sessionId", remedy="Name the session.")
    try:
        run = await call.engine.opaque.run(fields.guid(given))
        found = None if run is None else await stage(call, run)
    except (ValueError, NotFound):
        found = None
    if found is None or found.hidden:
        raise NotFound(f"there is no session {given[:60]}", place="query.sessionId")
    return enveloped([await found.instance(node.node.index) for node in found.ordered()])


async def get_node(call: Call) -> Answer:
    found, index = await stage_of_node(call)
    outputs = [await found.output(view) for view in await call.engine.nodes.outputs(found.scene, index)]
    return bare(await found.instance(index, outputs))


async def update_node_status(call: Call) -> Answer:
    """The configuration first: whoever is claimed next for the new state reads it."""
    sent: NodeStatus = call.body
    found, index = await stage_of_node(call, writes=True)
    if not found.scene.over:
        if isinstance(sent.configuration, str):
            await _configure(call, found, index, str(sent.configuration))
        request = SayRequest(
            state=_STATES.get(sent.last_state) if sent.last_state is not UNSET else None,  # type: ignore[arg-type]  # the values of the table are the literals
            status=str(sent.status_details or ""),
            lease_s=found.scheduling.lease_s,
        )
        node = found.scene.nodes[index].node.name
        with suppress(Conflict):  # it was deleted meanwhile: whoever worked for it goes on
            await call.engine.nodes.say(call.namespace, found.scene.run.id, node, request)
    return bare(await (await stage(call, found.scene.run.id)).instance(index))


async def reprocess_node(call: Call) -> Answer:
    """A GET with an effect; HEAD has none."""
    found, index = await stage_of_node(call)
    answer = bare(None)
    if call.scope["method"] != "HEAD":
        fired = await call.engine.live.fire(call.namespace, found.scene.run.id, found.scene.nodes[index].node.name)
        found = await stage(call, found.scene.run.id)
        (standing,) = await call.engine.own.standing(call.namespace, [(fired.task, 1)])
        task = standing.now
        if task is None:
            raise NotFound(f"there is no task {fired.task}", place="path.node")
        (standing,) = await call.engine.own.standing(call.namespace, [(fired.task, standing.newest)])
        answer = bare(await tasks.shown(found, task, standing.attempt, tasks.state_of(standing, over=found.scene.over)))
    return Answer(body=answer.body, media_type=answer.media_type, headers=((b"cache-control", b"no-store"),))


async def _configure(call: Call, found: Stage, index: int, text: str) -> None:
    name = str(ids.of_node(found.scene.run.id, index))

    async def work(pen: Pen) -> None:
        before = await pen.named(CONFIGURED, name)
        if before is None:
            await pen.add(CONFIGURED, name, Configured(configuration=text), parent=found.guid)
        elif before.record.configuration != text:
            await pen.put(CONFIGURED, before.id, name, Configured(configuration=text))

    if found.configuration(index) != text:
        await change(call, work)


ROUTES = (
    Route(
        method="GET",
        path="/api/nodes",
        scopes=("read",),
        summary="List the nodes of a session",
        endpoint=list_nodes,
        query=OfSession,
        response=Envelope[list[NodeInstance]],
    ),
    Route(
        method="GET",
        path=_NODE,
        scopes=("read", "run"),
        summary="Show a node",
        endpoint=get_node,
        response=NodeInstance,
    ),
    Route(
        method="PUT",
        path=f"{_NODE}/status",
        scopes=("trigger", "run"),
        summary="Say how a node does",
        endpoint=update_node_status,
        request=NodeStatus,
        response=NodeInstance,
        audit="no",
    ),
    Route(
        method="GET",
        path=f"{_NODE}/reprocess",
        scopes=("trigger",),
        summary="Have a node run again",
        endpoint=reprocess_node,
        response=RunnerTask,
    ),
)
