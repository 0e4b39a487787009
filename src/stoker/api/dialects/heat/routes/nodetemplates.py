"""Node templates. Each that runners can claim is registered as a kind before it is kept."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import shown
from stoker.api.dialects.heat.desk import Desk, Pen, change, look, one_of
from stoker.api.dialects.heat.envelope import Envelope, bare, enveloped
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import nodetemplate, runnertype, session, sessiontemplate
from stoker.api.dialects.heat.nouns.nodetemplate import (
    NOUN,
    NamedRunner,
    NewNodeTemplate,
    NodeTemplate,
    NodeTemplateChange,
    Record,
    RunnerMapping,
)
from stoker.api.dialects.heat.routes import features
from stoker.api.dialects.heat.templates import views
from stoker.api.route import Route
from stoker.errors import Conflict, Invalid


async def list_node_templates(call: Call) -> Answer:
    return enveloped(await look(call, views))


async def get_node_template(call: Call) -> Answer:
    return enveloped(await look(call, lambda desk: _view(desk, int(call.path["id"]))))


async def runner_mappings(call: Call) -> Answer:
    return bare([shown.mapping(view) for view in await look(call, views)])


async def create_node_template(call: Call) -> Answer:
    sent: NewNodeTemplate = call.body
    name, record = str(sent.name), Record(**_meant(sent))
    await _register(call, sent, name, record)

    async def work(pen: Pen) -> NodeTemplate:
        linked = await _linked(call, pen, sent, record)
        await features.see_to(call, pen, linked.feature_internal_name)
        return await _view(pen, (await pen.add(NOUN, name, linked)).id)

    return enveloped(await change(call, work), 201)


async def update_node_template(call: Call) -> Answer:
    sent: NodeTemplateChange = call.body
    known = await one_of(call, NOUN)
    await _register(call, sent, _name(sent, known), replace(known.record, **_meant(sent)))

    async def work(pen: Pen) -> NodeTemplate:
        before = await pen.one(NOUN, known.id)
        name = _name(sent, before)
        if name != before.name:
            await _check_unused(pen, before.id, "renamed", sessions_only=True)
        record = await _linked(call, pen, sent, replace(before.record, **_meant(sent)))
        await features.see_to(call, pen, record.feature_internal_name)
        await pen.put(NOUN, before.id, name, record)
        return await _view(pen, before.id)

    return enveloped(await change(call, work))


async def delete_node_template(call: Call) -> Answer:
    id_ = int(call.path["id"])

    async def work(pen: Pen) -> None:
        await _check_unused(pen, id_, "deleted")
        await pen.remove(NOUN, id_)

    await change(call, work)
    return NO_CONTENT


async def _view(desk: Desk, id_: int) -> NodeTemplate:
    there = await desk.one(NOUN, id_)
    return next(view for view in await views(desk) if view.id == there.id)


def _meant(sent: NodeTemplateChange) -> dict[str, Any]:
    """The fields of the record that a request gives, runners aside. A schema that is null is the empty one."""
    fields = given(sent)
    if fields.get("configuration_schema", "") is None:
        fields["configuration_schema"] = "{}"
    return {name: value for name, value in fields.items() if name not in ("name", "supported_runners")}


def _name(sent: NodeTemplateChange, before: Kept[Record]) -> str:
    return before.name if sent.name is UNSET else str(sent.name)


async def _register(call: Call, sent: NodeTemplateChange, name: str, record: Record) -> None:
    """Refuse what cannot be used; else see to it that the engine knows the kind."""
    if wrong := nodetemplate.fault(name, record):
        raise Invalid(wrong, place="body")
    await look(call, lambda desk: _linked(call, desk, sent, record))
    if kind := nodetemplate.kind(name, record):
        await call.engine.catalog.put_kinds(call.namespace, [kind])


async def _linked(call: Call, desk: Desk, sent: NodeTemplateChange, record: Record) -> Record:
    """The record with the runner types that a request names. Refuses names of what is not there."""
    await features.check(call, desk, record.feature_internal_name)
    if not isinstance(sent.supported_runners, list):
        return record
    runners = await desk.all(runnertype.NOUN)
    ids: dict[str | int, int] = {each.id: each.id for each in runners} | {each.name: each.id for each in runners}
    keys = [_key(each) for each in sent.supported_runners]
    for key in keys:
        if key not in ids:
            raise Invalid(f"there is no runner type {key!r}", place="body.supportedRunners", remedy="Make it first.")
    return replace(record, supported_runners=tuple(dict.fromkeys(ids[key] for key in keys)))


def _key(runner: str | int | NamedRunner) -> str | int:
    if not isinstance(runner, NamedRunner):
        return runner
    return int(runner.id) if runner.id is not UNSET else str(runner.name or "")


async def _check_unused(desk: Desk, id_: int, verb: str, *, sessions_only: bool = False) -> None:
    for kept in await desk.all(session.NOUN):
        if id_ in kept.record.node_templates and not kept.record.hidden:
            raise _in_use(id_, verb, f"the session {kept.record.name!r} has nodes of it")
    for template in [] if sessions_only else await desk.all(sessiontemplate.NOUN):
        if id_ in sessiontemplate.uses(template.record):
            raise _in_use(id_, verb, f"the session template {template.name!r} has nodes of it")


def _in_use(id_: int, verb: str, why: str) -> Conflict:
    return Conflict(f"the node template {id_} cannot be {verb}: {why}", place="path.id", remedy="Delete those first.")


ROUTES = (
    Route(
        method="GET",
        path="/api/nodetemplates",
        scopes=("read",),
        summary="List the node templates",
        endpoint=list_node_templates,
        response=Envelope[list[NodeTemplate]],
    ),
    Route(
        method="POST",
        path="/api/nodetemplates",
        scopes=("author",),
        summary="Make a node template",
        endpoint=create_node_template,
        request=NewNodeTemplate,
        response=Envelope[NodeTemplate],
        status=201,
    ),
    Route(
        method="GET",
        path="/api/nodetemplates/runner-mappings",
        scopes=("read",),
        summary="Which runner types may run which node templates",
        endpoint=runner_mappings,
        response=list[RunnerMapping],
    ),
    Route(
        method="GET",
        path="/api/nodetemplates/{id:int}",
        scopes=("read",),
        summary="Show a node template",
        endpoint=get_node_template,
        response=Envelope[NodeTemplate],
    ),
    Route(
        method="PUT",
        path="/api/nodetemplates/{id:int}",
        scopes=("author",),
        summary="Change a node template",
        endpoint=update_node_template,
        request=NodeTemplateChange,
        response=Envelope[NodeTemplate],
    ),
    Route(
        method="DELETE",
        path="/api/nodetemplates/{id:int}",
        scopes=("author",),
        summary="Delete a node template that nothing uses",
        endpoint=delete_node_template,
        status=204,
    ),
)
