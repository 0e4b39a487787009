"""Session templates and their nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dialects.heat.served import Served


async def one(served: Served, **body: Any) -> Any:
    return await served.make("/api/sessiontemplates", body)


@pytest.fixture
async def sum_(served: Served) -> int:
    """A node template whose nodes take several parents."""
    body = {"name": "sum", "type": 2, "featureInternalName": "platform", "acceptsMultipleInputs": True}
    return int((await served.make("/api/nodetemplates", body))["template"]["id"])


async def node(served: Served, template: int, **body: Any) -> Any:
    return await served.make(f"/api/session-templates/{template}/nodes", {"nodeTemplateId": 1, **body})


def edges(nodes: Any) -> dict[str, list[str]]:
    return {node["name"]: [parent["name"] for parent in node["parents"]] for node in nodes}


async def test_a_draft_may_be_empty_and_gets_a_name(served: Served) -> None:
    made = await one(served)
    assert made == {
        "id": 2,
        "name": "template-2",
        "description": "",
        "configuration": "{}",
        "nodes": [],
    }
    answered = await served.ask("PUT", "/api/sessiontemplates/2", {"configuration": {"a": 1}, "name": "t"})
    assert answered.value == {**made, "name": "t", "configuration": '{"a":1}'}
    assert answered.value in await served.get("/api/sessiontemplates")
    assert (await served.ask("DELETE", "/api/sessiontemplates/2")).status == 204
    await served.refused(404, "GET", "/api/sessiontemplates/2")


async def test_a_name_is_taken_once(served: Served) -> None:
    await served.refused(409, "POST", "/api/sessiontemplates", {"name": "Default"})
    made = await one(served)
    await served.refused(409, "PUT", f"/api/sessiontemplates/{made['id']}", {"name": "Default"})


async def test_nodes_are_added_changed_and_removed_with_their_edges(served: Served, sum_: int) -> None:
    template = (await one(served))["id"]
    a = await node(served, template, name="a")
    b = await node(served, template, name="b", nodeTemplateId=sum_, parents=[{"id": a["id"]}], defaultConfiguration="x")
    assert (b["nodeTemplate"]["name"], b["defaultConfiguration"]) == ("sum", "x")
    path = f"/api/session-templates/{template}/nodes"
    answered = await served.ask("PUT", f"{path}/{b['id']}", {"name": "c"})
    assert answered.value == {**b, "name": "c"} == await served.get(f"{path}/{b['id']}")
    assert edges(await served.get(path)) == {"a": [], "c": ["a"]}
    await served.ask("PUT", f"{path}/{b['id']}", {"parentIds": []})
    assert edges(await served.get(path)) == {"a": [], "c": []}
    await served.ask("PUT", f"{path}/{b['id']}", {"parentIds": [a["id"]]})
    assert (await served.ask("DELETE", f"{path}/{a['id']}")).status == 204
    assert edges(await served.get(path)) == {"c": []}
    await served.refused(404, "GET", f"{path}/{a['id']}")
    await served.refused(404, "PUT", f"{path}/{a['id']}", {"name": "z"})
    await served.refused(404, "DELETE", f"{path}/{a['id']}")
    await served.refused(404, "GET", f"/api/session-templates/1/nodes/{b['id']}")


async def test_edges_that_cannot_be_are_refused_on_every_way_in(served: Served, sum_: int) -> None:
    template = (await one(served))["id"]
    a = await node(served, template, name="a", nodeTemplateId=sum_)
    b = await node(served, template, name="b", nodeTemplateId=sum_, parents=[{"id": a["id"]}])
    foreign = (await served.get("/api/session-templates/1/nodes"))[0]["id"]
    path = f"/api/session-templates/{template}/nodes"
    await served.refused(400, "PUT", f"{path}/{a['id']}", {"parentIds": [b["id"]]})
    await served.refused(400, "PUT", f"{path}/{a['id']}", {"parents": [{"id": a["id"]}]})
    await served.refused(400, "PUT", f"{path}/{b['id']}", {"parentIds": [foreign]})
    await served.refused(400, "POST", path, {"name": "c", "nodeTemplateId": sum_, "parents": [{"id": foreign}]})
    single = {"name": "c", "nodeTemplateId": 1, "parentIds": [a["id"], b["id"]]}
    await served.refused(400, "POST", path, single)
    await served.refused(400, "POST", path, {"name": "c", "nodeTemplateId": 99})
    await served.refused(409, "POST", path, {"name": "a", "nodeTemplateId": 1})
    whole = [{"id": 1, "name": "x", "nodeTemplateId": sum_, "parentIds": [2]}]
    whole.append({"id": 2, "name": "y", "nodeTemplateId": sum_, "parentIds": [1]})
    await served.refused(400, "POST", "/api/sessiontemplates", {"nodes": whole})
    await served.refused(400, "PUT", f"/api/sessiontemplates/{template}", {"nodes": whole})
    file = {"name": "f", "nodes": [{"name": "x", "nodeTemplateName": "sum", "parents": ["x"]}]}
    await served.refused(400, "POST", "/api/sessiontemplates/import", file)
    single = {"name": "z", "nodeTemplateName": "input", "parents": ["x", "y"]}
    two = [{"name": name, "nodeTemplateName": "sum"} for name in "xy"]
    await served.refused(400, "POST", "/api/sessiontemplates/import", {"name": "f", "nodes": [*two, single]})
    assert edges(await served.get(path)) == {"a": [], "b": ["a"]}


async def test_two_changes_of_one_draft_at_once_make_no_cycle(either: Served) -> None:
    work = {"name": "sum", "type": 2, "featureInternalName": "platform", "acceptsMultipleInputs": True}
    sum_ = (await either.make("/api/nodetemplates", work))["template"]["id"]
    template = (await one(either))["id"]
    a, b = [await node(either, template, name=name, nodeTemplateId=sum_) for name in "ab"]
    path = f"/api/session-templates/{template}/nodes"
    answers = await asyncio.gather(
        either.ask("PUT", f"{path}/{a['id']}", {"parentIds": [b["id"]]}),
        either.ask("PUT", f"{path}/{b['id']}", {"parentIds": [a["id"]]}),
    )
    assert sorted(answer.status for answer in answers) == [200, 400]


async def test_an_exported_template_is_imported_under_another_name(served: Served, sum_: int) -> None:
    template = (await one(served, name="t", configuration={"retentionPolicy": {"mode": "KeepAll"}}))["id"]
    a = await node(served, template, name="a", defaultConfiguration={"x": [1]})
    await node(served, template, name="b", nodeTemplateId=sum_, parents=[{"id": a["id"]}])
    file = await served.get(f"/api/sessiontemplates/{template}/export")
    assert file["nodes"][1] == {
        "name": "b",
        "nodeTemplateName": "sum",
        "defaultConfiguration": {},
        "parents": ["a"],
    }
    await served.refused(409, "POST", "/api/sessiontemplates/import", file)
    copy = await served.make("/api/sessiontemplates/import", {**file, "name": "copy", "extra": {"kept": True}})
    assert edges(copy["nodes"]) == {"a": [], "b": ["a"]}
    assert a["id"] not in [node["id"] for node in copy["nodes"]]
    again = await served.get(f"/api/sessiontemplates/{copy['id']}/export")
    assert again == {**file, "name": "copy", "extra": {"kept": True}}
