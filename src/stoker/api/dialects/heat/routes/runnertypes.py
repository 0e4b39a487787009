"""Runner types."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import shown
from stoker.api.dialects.heat.desk import Desk, Pen, all_of, change, look, one_of
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.nouns import nodetemplate, runnertype
from stoker.api.dialects.heat.nouns.runnertype import NOUN, NewRunnerType, Record, RunnerType, RunnerTypeChange
from stoker.api.dialects.heat.routes import features
from stoker.api.dialects.heat.templates import views
from stoker.api.route import Route
from stoker.errors import Conflict, Invalid


async def list_runner_types(call: Call) -> Answer:
    return bare([shown.runner_type(each) for each in await all_of(call, NOUN)])


async def get_runner_type(call: Call) -> Answer:
    return bare(shown.runner_type(await one_of(call, NOUN)))


async def supported_templates(call: Call) -> Answer:
    async def work(desk: Desk) -> list[nodetemplate.NodeTemplate]:
        id_ = (await desk.one(NOUN, int(call.path["id"]))).id
        return [each for each in await views(desk) if id_ in [runner.id for runner in each.supported_runners]]

    return bare(await look(call, work))


async def create_runner_type(call: Call) -> Answer:
    fields = _texts(given(call.body))
    name = fields.pop("name")
    record = _checked(Record(**fields))

    async def work(pen: Pen) -> RunnerType:
        await features.see_to(call, pen, record.feature_internal_name)
        return shown.runner_type(await pen.add(NOUN, name, record))

    return bare(await change(call, work), 201)


async def update_runner_type(call: Call) -> Answer:
    fields = _texts(given(call.body))

    async def work(pen: Pen) -> RunnerType:
        before = await pen.one(NOUN, int(call.path["id"]))
        name = fields.get("name", before.name)
        record = _checked(replace(before.record, **{key: value for key, value in fields.items() if key != "name"}))
        await features.see_to(call, pen, record.feature_internal_name)
        return shown.runner_type(await pen.put(NOUN, before.id, name, record))

    return bare(await change(call, work))


async def delete_runner_type(call: Call) -> Answer:
    id_ = int(call.path["id"])

    async def work(pen: Pen) -> None:
        for template in await pen.all(nodetemplate.NOUN):
            if id_ in template.record.supported_runners:
                raise Conflict(
                    f"the node template {template.name!r} lists the runner type {id_}",
                    place="path.id",
                    remedy="Change its supportedRunners first.",
                )
        await pen.remove(NOUN, id_)

    await change(call, work)
    return NO_CONTENT


def _texts(fields: dict[str, Any]) -> dict[str, Any]:
    """What is null is as if it had never been given."""
    return {name: "" if value is None else value for name, value in fields.items()}


def _checked(record: Record) -> Record:
    if wrong := runnertype.fault(record):
        raise Invalid(wrong, place="body")
    return record


ROUTES = (
    Route(
        method="GET",
        path="/api/runnertypes",
        scopes=("read",),
        summary="List the runner types",
        endpoint=list_runner_types,
        response=list[RunnerType],
    ),
    Route(
        method="POST",
        path="/api/runnertypes",
        scopes=("admin",),
        summary="Make a runner type",
        endpoint=create_runner_type,
        request=NewRunnerType,
        response=RunnerType,
        status=201,
    ),
    Route(
        method="GET",
        path="/api/runnertypes/{id:int}",
        scopes=("read",),
        summary="Show a runner type",
        endpoint=get_runner_type,
        response=RunnerType,
    ),
    Route(
        method="GET",
        path="/api/runnertypes/supportedtemplates/{id:int}",
        scopes=("read",),
        summary="List the node templates that a runner type runs",
        endpoint=supported_templates,
        response=list[nodetemplate.NodeTemplate],
    ),
    Route(
        method="PUT",
        path="/api/runnertypes/{id:int}",
        scopes=("admin",),
        summary="Change a runner type",
        endpoint=update_runner_type,
        request=RunnerTypeChange,
        response=RunnerType,
    ),
    Route(
        method="DELETE",
        path="/api/runnertypes/{id:int}",
        scopes=("admin",),
        summary="Delete a runner type that no node template lists",
        endpoint=delete_runner_type,
        status=204,
    ),
)
