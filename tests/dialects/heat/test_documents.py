"""Data sources, projects and runner types: made, changed, shown, deleted; what refuses which."""

from __future__ import annotations

from typing import Any

import pytest

from dialects.heat.served import Served

STORE = {"name": "store", "type": 4, "connectionString": "http://key:secret@127.0.0.1:9/"}


async def test_a_data_source_is_given_back_as_it_was_made(served: Served) -> None:
    made = await served.make("/api/datasources", {**STORE, "description": "d", "id": 77, "createdAt": "never"})
    assert {name: made[name] for name in STORE} == STORE
    assert made["id"] == 2
    assert made["createdAt"] == "2023-11-14T22:13:20.000Z"
    assert await served.get(f"/api/datasources/{made['id']}") == made
    assert made in await served.get("/api/datasources")


async def test_a_change_keeps_every_field_that_it_does_not_name(served: Served) -> None:
    made = await served.make("/api/datasources", STORE)
    answered = await served.ask("PUT", f"/api/datasources/{made['id']}", {"description": "d2", "createdAt": 5})
    assert answered.status == 200
    assert answered.value == {**made, "description": "d2"}


async def test_a_data_source_that_is_deleted_is_gone(served: Served) -> None:
    made = await served.make("/api/datasources", STORE)
    assert (await served.ask("DELETE", f"/api/datasources/{made['id']}")).status == 204
    await served.refused(404, "GET", f"/api/datasources/{made['id']}")
    await served.refused(404, "DELETE", f"/api/datasources/{made['id']}")
    await served.refused(404, "PUT", f"/api/datasources/{made['id']}", {})


async def test_the_name_of_a_data_source_is_taken_once(served: Served) -> None:
    await served.make("/api/datasources", STORE)
    other = await served.make("/api/datasources", {**STORE, "name": "other"})
    already = await served.refused(409, "POST", "/api/datasources", STORE)
    assert "data source 'store' already, with the id " in already
    assert already.endswith(". Choose another name, or change that one.")
    await served.refused(409, "PUT", f"/api/datasources/{other['id']}", {"name": "store"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": 4, "connectionString": '{"bucketName": "b", "accessKeyId": "a", "secretAccessKey": "s"}'},
        {"type": 5, "connectionString": "https://account.example.com/"},
        {"type": 9, "connectionString": ""},
        {"type": 3, "connectionString": 7},
        {"type": 3},
        {"connectionString": ""},
    ],
)
async def test_a_data_source_that_would_break_the_clients_list_is_refused(served: Served, wrong: Any) -> None:
    await served.refused(400, "POST", "/api/datasources", {"name": "store", **wrong})
    assert len(await served.get("/api/datasources")) == 1


async def test_users_see_redacted_strings_and_may_put_them_back(served: Served) -> None:
    made = await served.make("/api/datasources", STORE)
    seen = await served.get(f"/api/datasources/{made['id']}", role="user")
    assert "secret" not in seen["connectionString"]
    answered = await served.ask("PUT", f"/api/datasources/{made['id']}", seen, role="user")
    assert answered.status == 200
    assert await served.get(f"/api/datasources/{made['id']}") == made


async def test_what_is_shown_can_be_sent_back_as_a_whole(served: Served) -> None:
    for made in (await served.make("/api/datasources", STORE), await served.get("/api/datasources/1")):
        answered = await served.ask("PUT", f"/api/datasources/{made['id']}", made)
        assert (answered.status, answered.value) == (200, made)
    await served.refused(400, "PUT", "/api/datasources/2", {"type": 5})


async def test_a_project_is_shown_with_its_owner_and_its_default(served: Served) -> None:
    made = await served.make("/api/projects", {"title": "P", "icon": "i", "defaultSessionTemplateId": 1})
    assert made["hexId"] == f"{made['id']:x}"
    assert made["owner"]["id"] == made["ownerId"] == 1
    assert made["owner"]["type"] == 0
    assert made["defaultSessionTemplate"] == {"id": 1, "name": "Default"}
    answered = await served.ask("PUT", f"/api/projects/{made['id']}", {"defaultSessionTemplateId": 0})
    assert answered.value == {**made, "defaultSessionTemplateId": None, "defaultSessionTemplate": None}
    assert await served.get("/api/projects") == [answered.value]


@pytest.mark.parametrize("wrong", [{}, {"title": "P", "ownerId": 9}, {"title": "P", "defaultSessionTemplateId": 9}])
async def test_a_project_refers_to_what_is_there(served: Served, wrong: Any) -> None:
    await served.refused(400, "POST", "/api/projects", wrong)


async def test_hidden_projects_are_in_no_list(served: Served) -> None:
    hidden = await served.make("/api/projects", {"title": "_logs"})
    assert await served.get("/api/projects") == []
    assert (await served.get(f"/api/projects/{hidden['id']}"))["title"] == "_logs"


async def test_a_session_template_that_is_a_default_stays(served: Served) -> None:
    project = await served.make("/api/projects", {"title": "P", "defaultSessionTemplateId": 1})
    await served.refused(409, "DELETE", "/api/sessiontemplates/1")
    await served.ask("DELETE", f"/api/projects/{project['id']}")
    assert (await served.ask("DELETE", "/api/sessiontemplates/1")).status == 204


RUNNER = {"name": "sum-csv", "containerImage": "registry.example.com/sum:1", "cpuLimit": "1", "memoryLimit": "1Gi"}


async def test_a_runner_type_is_the_business_of_the_role_system(served: Served) -> None:
    await served.refused(403, "POST", "/api/runnertypes", RUNNER)
    made = await served.make("/api/runnertypes", {**RUNNER, "featureInternalName": "f"}, role="system")
    assert (made["cpuLimit"], made["enabled"], made["featureInternalName"]) == ("1", True, "f")
    await served.refused(403, "PUT", f"/api/runnertypes/{made['id']}", {"enabled": False})
    answered = await served.ask("PUT", f"/api/runnertypes/{made['id']}", {"enabled": False}, role="system")
    assert answered.value == {**made, "enabled": False}
    await served.refused(403, "DELETE", f"/api/runnertypes/{made['id']}")
    assert (await served.ask("DELETE", f"/api/runnertypes/{made['id']}", role="system")).status == 204


async def test_a_limit_that_is_no_quantity_is_refused(served: Served) -> None:
    message = await served.refused(400, "POST", "/api/runnertypes", {**RUNNER, "cpuLimit": "lots"}, role="system")
    assert "cpuLimit" in message
    await served.refused(400, "POST", "/api/runnertypes", {**RUNNER, "memoryLimit": 1}, role="system")


async def test_the_first_start_makes_what_programs_assume_and_no_other_start_does(served: Served) -> None:
    user, store, template = 1, await served.get("/api/datasources/1"), await served.get("/api/nodetemplates/1")
    assert (store["name"], store["type"]) == ("HEAT Managed Object Store", 4)
    assert (template["template"]["name"], template["template"]["type"]) == ("input", 0)
    default = await served.get("/api/sessiontemplates/1")
    assert (default["name"], [node["nodeTemplateId"] for node in default["nodes"]]) == ("Default", [1])
    config = await served.get("/api/config/runner_config")
    assert config == {"default_store": "HEAT Managed Object Store"}
    assert (await served.make("/api/projects", {"title": "P"}))["ownerId"] == user
    await served.ask("DELETE", "/api/datasources/1")
    await served.again()
    assert await served.get("/api/datasources") == []
