"""Outputs of nodes."""

from __future__ import annotations

import msgspec

from stoker.api.call import Answer, Call
from stoker.api.dialects.heat import stored
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.nouns import datasource
from stoker.api.dialects.heat.nouns.nodeoutput import USES, NewNodeOutput, NodeOutput, Use
from stoker.api.dialects.heat.stage import Stage, stage, stage_of_node, time
from stoker.api.route import Route
from stoker.core import names
from stoker.core.by_node import SayRequest
from stoker.errors import Conflict, Invalid, NotFound

_OUTPUT = "/api/nodes/{node:int}/output"
_USER_MADE = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox"),
)
MAX_PATH = 1024


async def create_output(call: Call) -> Answer:
    sent: NewNodeOutput = call.body
    _check(sent)
    found, index = await stage_of_node(call, writes=True)
    source = await _source(call, found, int(sent.data_source_id))
    text = sent.text
    item = stored.item(text, sent.output_identifier or "output", source, sent.data_path)
    request = SayRequest(
        value=msgspec.Raw(item),
        name=sent.output_identifier,
        key=f"path {sent.data_path}",
        about=stored.about(text, item, int(sent.data_source_id), sent.data_path),
        lease_s=found.scheduling.lease_s,
    )
    if not found.scene.over:
        node = found.scene.nodes[index].node.name
        try:
            said = await call.engine.nodes.say(call.namespace, found.scene.run.id, node, request)
        except Conflict as refused:
            if refused.code != "not_running":
                raise
        else:
            assert said.output is not None
            return bare(await found.output(said.output), 201)
    return bare(_unkept(found, index, sent), 201)


async def latest_output(call: Call) -> Answer:
    found, index = await stage_of_node(call)
    current = found.scene.nodes[index].output
    if current is None:
        raise NotFound(f"the node {call.path['node']} has no output yet", place="path.node")
    return bare(await found.output(current))


async def list_outputs(call: Call) -> Answer:
    found, index = await stage_of_node(call)
    return bare([await found.output(view) for view in await call.engine.nodes.outputs(found.scene, index)])


async def output_data(call: Call) -> Answer:
    """What an output holds; as long as its bytes are not fetched, that is its configuration, if that is JSON."""
    id_ = int(call.path["output"])
    view = await call.engine.live.output(call.namespace, id_)
    found = await stage(call, view.run)
    if found.hidden:
        raise NotFound(f"there is no output {id_}", place="path.output")
    text = (await found.output(view)).configuration.encode()
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise NotFound(f"the output {id_} has neither bytes here nor JSON", place="path.output") from None
    return Answer(body=text, headers=_USER_MADE)


def _check(sent: NewNodeOutput) -> None:
    for name, text in (("dataPath", sent.data_path), ("outputIdentifier", sent.output_identifier)):
        wrong = text and names.fault(text[:1] if name == "dataPath" else text)
        if wrong or any(ord(character) < 32 for character in text):
            raise Invalid(str(wrong or f"{name} holds a control character"), place=f"body.{name}")
    if len(sent.data_path.encode("utf-8", "surrogatepass")) > MAX_PATH:
        raise Invalid(f"dataPath has more than {MAX_PATH} bytes", place="body.dataPath")


async def _source(call: Call, found: Stage, id_: int) -> str:
    """The name of a data source, of which is kept that this session uses it. Invalid if there is none."""
    name = f"{id_}/{found.scene.run.id}"

    async def known(desk: Desk) -> tuple[str | None, bool]:
        source = await desk.find(datasource.NOUN, id_)
        return None if source is None else source.name, await desk.named(USES, name) is not None

    async def use(pen: Pen) -> str | None:
        source = await pen.find(datasource.NOUN, id_)
        if source is not None and await pen.named(USES, name) is None:
            await pen.add(USES, name, Use(session=found.guid), parent=str(id_))
        return None if source is None else source.name

    source, used = await look(call, known)
    if source is not None and not used and not found.hidden:
        source = await change(call, use)
    if source is None:
        raise Invalid(f"there is no data source {id_}", place="body.dataSourceId")
    return source


def _unkept(found: Stage, index: int, sent: NewNodeOutput) -> NodeOutput:
    """What somebody is told whose session was deleted meanwhile: nothing was kept."""
    return NodeOutput(
        id=0,
        node_instance_id=found.id_of(index),
        configuration=sent.text,
        created_at=time(found.scene.run.cancel_at or found.scene.run.created_at),
        data_source_id=int(sent.data_source_id),
        data_path=sent.data_path,
        output_identifier=sent.output_identifier,
    )


ROUTES = (
    Route(
        method="POST",
        path=_OUTPUT,
        scopes=("trigger", "run"),
        summary="Give an output of a node",
        endpoint=create_output,
        request=NewNodeOutput,
        response=NodeOutput,
        status=201,
        audit="no",
    ),
    Route(
        method="GET",
        path=_OUTPUT,
        scopes=("read", "run"),
        summary="Show the current output of a node",
        endpoint=latest_output,
        response=NodeOutput,
    ),
    Route(
        method="GET",
        path=f"{_OUTPUT}/all",
        scopes=("read", "run"),
        summary="List the outputs of a node",
        endpoint=list_outputs,
        response=list[NodeOutput],
    ),
    Route(
        method="GET",
        path="/api/node-instances/outputs/{output:int}/data",
        scopes=("read", "run"),
        summary="What an output holds",
        endpoint=output_data,
        response=object,
    ),
)
