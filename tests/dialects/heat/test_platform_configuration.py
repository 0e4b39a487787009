"""Platform configuration over the wire: entries, prefixes, escapes, clashes, roles."""

from __future__ import annotations

from typing import Any

import pytest

from dialects.heat.served import Served


async def put(served: Served, name: str, value: str | None = "v", value_type: int = 0, **options: Any) -> Any:
    return await served.make("/api/config", {"name": name, "valueType": value_type, "value": value}, **options)


async def test_an_entry_is_changed_by_the_whole_of_what_was_shown(served: Served) -> None:
    made = await served.make("/api/config", {"name": "a.b", "valueType": 1, "value": "7", "description": "d"})
    shown = await served.get("/api/config/detail/a.b")
    assert shown == made
    answered = await served.ask("PUT", "/api/config/a.b", {**shown, "name": "other", "id": 99, "value": "8"})
    assert {**answered.value, "updatedAt": ""} == {**made, "value": "8", "updatedAt": ""}
    assert await served.get("/api/config/a") == {"b": 8}
    assert (await served.ask("DELETE", "/api/config/a.b")).status == 204
    await served.refused(404, "GET", "/api/config/detail/a.b")
    await served.refused(404, "PUT", "/api/config/a.b", {})
    await served.refused(404, "DELETE", "/api/config/a.b")


async def test_prefixes_nest_and_a_name_without_dots_is_a_value(served: Served) -> None:
    await put(served, "a.b.c", "true", 3)
    await put(served, "a.d", "[1,2]", 4)
    await put(served, "top", None)
    assert await served.get("/api/config/a") == {"b": {"c": True}, "d": [1, 2]}
    assert await served.get("/api/config/a.b") == {"c": True}
    assert await served.get("/api/config/top") == {"value": None}
    everything = await served.get("/api/config/all")
    assert everything["a"] == {"b": {"c": True}, "d": [1, 2]}
    assert everything["top"] is None
    await served.refused(404, "GET", "/api/config/nothing")


async def test_a_name_that_needs_escapes_round_trips(served: Served) -> None:
    await put(served, "a b/c.d")
    path = "a%20b%2Fc.d"
    assert (await served.get(f"/api/config/detail/{path}"))["name"] == "a b/c.d"
    assert (await served.ask("PUT", f"/api/config/{path}", {"value": "w"})).value["value"] == "w"
    assert (await served.ask("DELETE", f"/api/config/{path}")).status == 204
    assert (await served.ask("GET", f"/api/config/detail/{path}")).status == 404


@pytest.mark.parametrize("name", ["all", "all.x", "detail.x", "", "a\x01", "x" * 201])
async def test_a_name_that_no_path_could_mean_is_refused(served: Served, name: str) -> None:
    await served.refused(400, "POST", "/api/config", {"name": name, "valueType": 0})


async def test_names_inside_of_each_other_clash(served: Served) -> None:
    await put(served, "a.b")
    assert "'a.b'" in await served.refused(409, "POST", "/api/config", {"name": "a.b.c", "valueType": 0})
    await served.refused(409, "POST", "/api/config", {"name": "a", "valueType": 0})
    await served.refused(409, "POST", "/api/config", {"name": "a.b", "valueType": 0})
    await put(served, "a.bc")


async def test_an_absent_value_is_empty_and_null_stays_null(served: Served) -> None:
    assert (await served.make("/api/config", {"name": "a", "valueType": 0}))["value"] == ""
    assert (await put(served, "b", None))["value"] is None


async def test_users_read_what_is_public_and_write_nothing(served: Served) -> None:
    await put(served, "public_api_v1.page", "p")
    await put(served, "public_api_v1.clientSecret", "s3cret")
    await put(served, "frontend.facade", "f")
    await put(served, "frontend.inner", "i")
    await put(served, "system.x", "x", role="system")
    seen = await served.get("/api/config/all", role="user")
    assert seen == {"public_api_v1": {"page": "p", "clientSecret": "**REDACTED**"}, "frontend": {"facade": "f"}}
    assert (await served.get("/api/config/detail/public_api_v1.clientSecret", role="user"))["value"] == "**REDACTED**"
    assert await served.get("/api/config/frontend.facade", role="user") == {"value": "f"}
    for path in ("/api/config/system", "/api/config/detail/system.x", "/api/config/frontend.inner"):
        await served.refused(404, "GET", path, role="user")
    await served.refused(403, "POST", "/api/config", {"name": "public_api_v1.y", "valueType": 0}, role="user")
    await served.refused(403, "PUT", "/api/config/public_api_v1.page", {}, role="user")
    await served.refused(403, "DELETE", "/api/config/public_api_v1.page", role="user")


async def test_the_system_entries_are_written_by_the_role_system_alone(served: Served) -> None:
    await served.refused(403, "POST", "/api/config", {"name": "system.x", "valueType": 0})
    await put(served, "system.x", role="system")
    await served.refused(403, "PUT", "/api/config/system.x", {"value": "y"})
    await served.refused(403, "DELETE", "/api/config/system.x")
    assert await served.get("/api/config/system") == {"x": "v"}


async def test_runners_read_their_stores_settings(served: Served) -> None:
    await put(served, "runner_config.other")
    assert await served.get("/api/config/all", role="runner") == {
        "runner_config": {"default_store": "HEAT Managed Object Store"}
    }
    await served.refused(403, "PUT", "/api/config/runner_config.default_store", {"value": "x"}, role="runner")
