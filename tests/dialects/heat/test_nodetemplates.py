"""Node templates: kinds of the engine, with runners and schemas."""

from __future__ import annotations

from typing import Any

import pytest

from dialects.heat.served import NS, Served

SUM = {"name": "sum", "type": "Processing", "featureInternalName": "platform"}


async def make(served: Served, **more: Any) -> Any:
    return (await served.make("/api/nodetemplates", {**SUM, **more}, role="system"))["template"]


async def kinds(served: Served) -> dict[str, int | None]:
    return {kind.name: kind.max_attempts for kind in await served.plant.engine.catalog.kinds(NS)}


async def test_a_type_may_be_named_and_is_shown_as_a_number(served: Served) -> None:
    made = await make(served, configurationSchema={"type": "object"})
    assert made["type"] == 2
    assert made["configurationSchema"] == '{"type":"object"}'
    assert made["feature"]["internalName"] == "platform"
    assert (made["inputSchema"], made["outputSchema"], made["supportedRunners"]) == (None, None, [])
    assert (await served.get(f"/api/nodetemplates/{made['id']}"))["template"] == made
    assert made in (await served.get("/api/nodetemplates"))["template"]


async def test_what_runners_can_claim_is_a_kind_that_runs_out_of_attempts(served: Served) -> None:
    await make(served)
    await make(served, name="upload", type=0)
    assert await kinds(served) == {"sum": 1023}


async def test_a_renamed_template_is_a_kind_by_its_new_name(served: Served) -> None:
    made = await make(served)
    answered = await served.ask("PUT", f"/api/nodetemplates/{made['id']}", {"name": "total"})
    assert answered.value["template"] == {**made, "name": "total"}
    assert await kinds(served) == {"sum": 1023, "total": 1023}


async def test_a_missing_feature_is_made_by_the_role_system_alone(served: Served) -> None:
    message = await served.refused(403, "POST", "/api/nodetemplates", {**SUM, "featureInternalName": "new"})
    assert "'new'" in message
    assert (await make(served, featureInternalName="new"))["feature"]["displayName"] == "new"
    answered = await served.ask("POST", "/api/nodetemplates", {**SUM, "name": "b", "featureInternalName": "new"})
    assert answered.status == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "Thinking"},
        {"name": None},
        {"name": "stoker.input"},
        {"supportedRunners": ["unknown"]},
        {"inputSchema": '{"$ref": "http://127.0.0.1:9/x"}'},
        {"outputSchema": '{"type": 7}'},
        {"acceptsMultipleInputs": "yes"},
    ],
)
async def test_a_node_template_that_could_not_work_is_refused(served: Served, wrong: Any) -> None:
    await served.refused(400, "POST", "/api/nodetemplates", {**SUM, **wrong})
    assert "sum" not in await kinds(served)


async def test_a_name_is_taken_once(served: Served) -> None:
    await make(served)
    await served.refused(409, "POST", "/api/nodetemplates", SUM)


async def test_mappings_tell_which_runners_run_what(served: Served) -> None:
    runners = [
        await served.make("/api/runnertypes", {"name": name, "containerImage": "x"}, role="system") for name in "abc"
    ]
    made = await make(served, supportedRunners=["b", runners[0]["id"], {"name": "b"}, {"id": runners[2]["id"]}])
    assert [runner["name"] for runner in made["supportedRunners"]] == ["b", "a", "c"]
    (mapped,) = [m for m in await served.get("/api/nodetemplates/runner-mappings") if m["nodeTemplateName"] == "sum"]
    assert mapped["nodeTemplateId"] == made["id"]
    assert [runner["name"] for runner in mapped["runnerTypes"]] == ["b", "a", "c"]
    for runner in runners:
        assert await served.get(f"/api/runnertypes/supportedtemplates/{runner['id']}") == [made]
    await served.refused(409, "DELETE", f"/api/runnertypes/{runners[1]['id']}", role="system")
    await served.ask("PUT", f"/api/nodetemplates/{made['id']}", {"supportedRunners": []})
    assert (await served.ask("DELETE", f"/api/runnertypes/{runners[1]['id']}", role="system")).status == 204


async def test_a_template_that_a_draft_uses_stays(served: Served) -> None:
    await served.refused(409, "DELETE", "/api/nodetemplates/1")
    await served.ask("DELETE", "/api/sessiontemplates/1")
    assert (await served.ask("DELETE", "/api/nodetemplates/1")).status == 204
    await served.refused(404, "GET", "/api/nodetemplates/1")
