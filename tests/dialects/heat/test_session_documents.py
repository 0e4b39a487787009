"""What belongs to a session beside its run: the users who take part, and its scenario instances."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dialects.heat.served import NS, Served
from stoker.api.dialects.heat.desk import Pen, keep
from stoker.api.dialects.heat.nouns import session

SID = "0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10"
OUTSIDE = "c0ffee00-0000-4000-8000-000000000007"
USERS = f"/api/sessions/{SID}/users"
SCENARIOS = f"/api/sessions/{SID}/scenario-instances"


@pytest.fixture(autouse=True)
async def _session(served: Served) -> None:
    record = session.Record(project_id=1, session_template_id=1)
    await keep(served.plant.engine, NS, lambda pen: pen.add(session.NOUN, SID, record))


async def post(served: Served, path: str, **body: Any) -> Any:
    return (await served.make(path, body))["template"]


async def users(served: Served) -> list[tuple[int, str, str]]:
    return [(each["userId"], each["role"], each["externalHeatId"]) for each in (await served.get(USERS))["template"]]


async def test_a_user_is_named_by_id_or_by_the_one_it_has_elsewhere(served: Served) -> None:
    first = await post(served, USERS, userId=1, role="Trainee", grouping="A", source="s")
    assert (first["sessionId"], first["grouping"], first["source"]) == (SID, "A", "s")
    other = await post(served, USERS, externalHeatId=OUTSIDE.upper(), role="Instructor")
    assert other["externalHeatId"] == OUTSIDE
    assert [user[0] for user in await users(served)] == [1, other["userId"]]
    assert (await served.ask("DELETE", f"{USERS}/1")).status == 204
    assert [user[0] for user in await users(served)] == [other["userId"]]
    await served.refused(404, "DELETE", f"{USERS}/1")


async def test_the_same_user_again_changes_its_row(served: Served) -> None:
    first = await post(served, USERS, externalHeatId=OUTSIDE, role="Trainee", grouping="A")
    answered = await served.ask("POST", USERS, {"userId": first["userId"], "role": "Instructor"})
    assert answered.status == 200
    assert answered.value["template"] == {**first, "role": "Instructor"}
    assert len(await users(served)) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"role": "x"}, {"userId": 9, "role": "x"}, {"userId": 1}, {"userId": 1, "externalHeatId": OUTSIDE, "role": "x"}],
)
async def test_a_user_who_is_not_there_is_refused(served: Served, wrong: Any) -> None:
    await served.refused(400, "POST", USERS, wrong)


async def test_a_scenario_is_changed_and_removed_by_either_of_its_ids(served: Served) -> None:
    made = await post(
        served, SCENARIOS, scenarioInstanceId=OUTSIDE, scenarioName="S", **{"from": "2026-01-02T03:04:05+00:00"}
    )
    assert (made["simulationId"], made["scenarioInstanceId"], made["to"]) == ("", OUTSIDE, None)
    assert made["from"] == "2026-01-02T03:04:05.000Z"
    answered = await served.ask("PATCH", f"{SCENARIOS}/{made['id']}", {"scenarioName": "T"})
    assert answered.value["template"] == {**made, "scenarioName": "T"}
    answered = await served.ask("PATCH", f"{SCENARIOS}/{OUTSIDE}", {"scenarioName": "U"})
    assert (await served.get(SCENARIOS))["template"] == [{**made, "scenarioName": "U"}]
    assert (await served.ask("DELETE", f"{SCENARIOS}/{OUTSIDE}")).status == 204
    assert (await served.get(SCENARIOS))["template"] == []
    await served.refused(404, "DELETE", f"{SCENARIOS}/{OUTSIDE}")


async def test_a_scenario_without_an_id_gets_one(served: Served) -> None:
    made = [await post(served, SCENARIOS) for _ in range(2)]
    assert len({each["scenarioInstanceId"] for each in made} | {each["id"] for each in made}) == 4
    await served.refused(400, "POST", SCENARIOS, {"from": "yesterday"})


@pytest.mark.parametrize("sid", ["0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a11", "7", "users"])
async def test_a_session_that_is_not_there_has_nothing(served: Served, sid: str) -> None:
    await served.refused(404, "GET", f"/api/sessions/{sid}/users")
    await served.refused(404, "GET", f"/api/sessions/{sid}/scenario-instances")


async def test_what_a_session_uses_stays(served: Served) -> None:
    project = await served.make("/api/projects", {"title": "P"})
    assert project["id"] == 1
    body = {"name": "sum", "type": 2, "featureInternalName": "platform"}
    template = (await served.make("/api/nodetemplates", body))["template"]["id"]
    record = session.Record(project_id=1, session_template_id=1, node_templates=(template,))
    kept = await keep(served.plant.engine, NS, lambda pen: pen.add(session.NOUN, OUTSIDE, record))
    await served.refused(409, "DELETE", "/api/projects/1")
    await served.refused(409, "DELETE", "/api/sessiontemplates/1")
    await served.refused(409, "DELETE", f"/api/nodetemplates/{template}")
    await served.refused(409, "PUT", f"/api/nodetemplates/{template}", {"name": "total"})
    hidden = session.Record(project_id=1, session_template_id=1, node_templates=(template,), hidden=True)
    await keep(served.plant.engine, NS, lambda pen: pen.put(session.NOUN, kept.id, OUTSIDE, hidden))
    assert (await served.ask("DELETE", f"/api/nodetemplates/{template}")).status == 204


async def test_a_session_that_was_deleted_is_not_there_any_more(served: Served) -> None:
    async def hide(pen: Pen) -> None:
        kept = await pen.named(session.NOUN, SID)
        assert kept is not None
        await pen.put(session.NOUN, kept.id, SID, replace(kept.record, hidden=True))

    assert await users(served) == []
    await keep(served.plant.engine, NS, hide)
    await served.refused(404, "GET", USERS)
    await served.refused(404, "POST", SCENARIOS, {})
