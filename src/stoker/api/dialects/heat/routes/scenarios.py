"""Scenario instances of sessions."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import Envelope, enveloped
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns.scenario import (
    NOUN,
    NewScenarioInstance,
    Record,
    ScenarioInstance,
    ScenarioInstanceChange,
)
from stoker.api.dialects.heat.routes.members import session_of
from stoker.api.route import Route
from stoker.errors import NotFound

_SCENARIOS = "/api/sessions/{sid:guid}/scenario-instances"


async def list_scenarios(call: Call) -> Answer:
    async def work(desk: Desk) -> list[ScenarioInstance]:
        return await views(desk, (await session_of(call, desk)).name)

    return enveloped(await look(call, work))


async def add_scenario(call: Call) -> Answer:
    fields = _texts(given(call.body))
    id_, outside = _new_guid(), fields.pop("scenario_instance_id", None)
    record = Record(scenario_instance_id=outside or _new_guid(), **fields)

    async def work(pen: Pen) -> ScenarioInstance:
        guid = (await session_of(call, pen)).name
        return shown(guid, await pen.add(NOUN, id_, record, parent=guid))

    return enveloped(await change(call, work), 201)


async def update_scenario(call: Call) -> Answer:
    async def work(pen: Pen) -> ScenarioInstance:
        guid = (await session_of(call, pen)).name
        before = await scenario_of(pen, guid, call.path["scenario"])
        record = replace(before.record, **_texts(given(call.body)))
        return shown(guid, await pen.put(NOUN, before.id, before.name, record))

    return enveloped(await change(call, work))


async def remove_scenario(call: Call) -> Answer:
    async def work(pen: Pen) -> None:
        kept = await scenario_of(pen, (await session_of(call, pen)).name, call.path["scenario"])
        await pen.remove(NOUN, kept.id)

    await change(call, work)
    return NO_CONTENT


async def views(desk: Desk, guid: str) -> list[ScenarioInstance]:
    """All of a session."""
    return [shown(guid, each) for each in await desk.all(NOUN, guid)]


async def scenario_of(desk: Desk, guid: str, scenario: str) -> Kept[Record]:
    """One of a session, by its id or by the one that it has elsewhere. NotFound if there is none."""
    wanted = scenario.lower()
    there = await desk.all(NOUN, guid)
    found = [each for each in there if each.name == wanted]
    found += [each for each in there if each.record.scenario_instance_id == wanted]
    if not found:
        raise NotFound(f"the session has no scenario instance {scenario}", place="path.scenario")
    return found[0]


def shown(guid: str, kept: Kept[Record]) -> ScenarioInstance:
    record = kept.record
    return ScenarioInstance(
        id=kept.name,
        simulation_id=record.simulation_id,
        session_id=guid,
        scenario_name=record.scenario_name,
        scenario_instance_id=record.scenario_instance_id,
        from_=record.from_,
        to=record.to,
    )


def _texts(fields: dict[str, Any]) -> dict[str, Any]:
    """A name that is null is the empty one."""
    names = ("simulation_id", "scenario_name")
    return {name: "" if value is None and name in names else value for name, value in fields.items()}


def _new_guid() -> str:
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


ROUTES = (
    Route(
        method="GET",
        path=_SCENARIOS,
        scopes=("read",),
        summary="List the scenario instances of a session",
        endpoint=list_scenarios,
        response=Envelope[list[ScenarioInstance]],
    ),
    Route(
        method="POST",
        path=_SCENARIOS,
        scopes=("author",),
        summary="Add a scenario instance to a session",
        endpoint=add_scenario,
        request=NewScenarioInstance,
        response=Envelope[ScenarioInstance],
        status=201,
    ),
    Route(
        method="PATCH",
        path=f"{_SCENARIOS}/{{scenario:guid}}",
        scopes=("author",),
        summary="Change a scenario instance",
        endpoint=update_scenario,
        request=ScenarioInstanceChange,
        response=Envelope[ScenarioInstance],
    ),
    Route(
        method="DELETE",
        path=f"{_SCENARIOS}/{{scenario:guid}}",
        scopes=("author",),
        summary="Remove a scenario instance from a session",
        endpoint=remove_scenario,
        status=204,
    ),
)
