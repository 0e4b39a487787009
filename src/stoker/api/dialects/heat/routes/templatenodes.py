"""The nodes of session templates."""

from __future__ import annotations

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import shown, templates, tree
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import sessiontemplate
from stoker.api.dialects.heat.nouns.sessiontemplate import NODE_IDS, NOUN, NodeChange, Record, SessionTemplateNode
from stoker.api.dialects.heat.routes.sessiontemplates import check
from stoker.api.route import Route

_NODES = "/api/session-templates/{id:int}/nodes"


async def list_template_nodes(call: Call) -> Answer:
    return bare(await look(call, lambda desk: _views(call, desk)))


async def get_template_node(call: Call) -> Answer:
    async def work(desk: Desk) -> SessionTemplateNode:
        node = sessiontemplate.find((await _template(call, desk)).record, *_ids(call))
        return await _view(call, desk, node.id)

    return bare(await look(call, work))


async def create_template_node(call: Call) -> Answer:
    sent: NodeChange = call.body

    async def work(pen: Pen) -> SessionTemplateNode:
        kept = await _template(call, pen)
        id_ = (await pen.numbers(NODE_IDS, 1))()
        await _put(pen, kept, sessiontemplate.with_node(kept.record, sent, id_))
        return await _view(call, pen, id_)

    return bare(await change(call, work), 201)


async def update_template_node(call: Call) -> Answer:
    sent: NodeChange = call.body

    async def work(pen: Pen) -> SessionTemplateNode:
        kept = await _template(call, pen)
        before = sessiontemplate.find(kept.record, *_ids(call))
        await _put(pen, kept, sessiontemplate.with_change(kept.record, before, sent))
        return await _view(call, pen, before.id)

    return bare(await change(call, work))


async def delete_template_node(call: Call) -> Answer:
    async def work(pen: Pen) -> None:
        kept = await _template(call, pen)
        node = sessiontemplate.find(kept.record, *_ids(call))
        await _put(pen, kept, replace(kept.record, nodes=tree.without(kept.record.nodes, node.id)))

    await change(call, work)
    return NO_CONTENT


def _ids(call: Call) -> tuple[int, int]:
    return int(call.path["id"]), int(call.path["node"])


async def _template(call: Call, desk: Desk) -> Kept[Record]:
    return await desk.one(NOUN, int(call.path["id"]))


async def _put(pen: Pen, kept: Kept[Record], record: Record) -> None:
    await check(pen, record)
    await pen.put(NOUN, kept.id, kept.name, record)


async def _views(call: Call, desk: Desk) -> list[SessionTemplateNode]:
    known = {view.id: view for view in await templates.views(desk)}
    return shown.nodes((await _template(call, desk)).record.nodes, known)


async def _view(call: Call, desk: Desk, id_: int) -> SessionTemplateNode:
    return next(view for view in await _views(call, desk) if view.id == id_)


ROUTES = (
    Route(
        method="GET",
        path=_NODES,
        scopes=("read",),
        summary="List the nodes of a session template",
        endpoint=list_template_nodes,
        response=list[SessionTemplateNode],
    ),
    Route(
        method="POST",
        path=_NODES,
        scopes=("author",),
        summary="Add a node to a session template",
        endpoint=create_template_node,
        request=NodeChange,
        response=SessionTemplateNode,
        status=201,
    ),
    Route(
        method="GET",
        path=f"{_NODES}/{{node:int}}",
        scopes=("read",),
        summary="Show a node of a session template",
        endpoint=get_template_node,
        response=SessionTemplateNode,
    ),
    Route(
        method="PUT",
        path=f"{_NODES}/{{node:int}}",
        scopes=("author",),
        summary="Change a node of a session template",
        endpoint=update_template_node,
        request=NodeChange,
        response=SessionTemplateNode,
    ),
    Route(
        method="DELETE",
        path=f"{_NODES}/{{node:int}}",
        scopes=("author",),
        summary="Delete a node of a session template, and the edges from it",
        endpoint=delete_template_node,
        status=204,
    ),
)
