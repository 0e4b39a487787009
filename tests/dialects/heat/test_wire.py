"""How requests may look and what every answer has, whatever it is about."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dialects.heat.served import Served, serving
from stoker.api.dialects.heat.manner import Speaking
from stoker.config import Heat
from stoker.errors import Unavailable


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/projects"), ("PUT", "/api/sessiontemplates/1")])
async def test_an_empty_body_is_accepted(served: Served, method: str, path: str) -> None:
    assert (await served.ask(method, path, b"")).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"title": NaN}', 400),
        (b'{"title": "\\u0001"}', 400),
        (b'{"title": "P", "other": %s1%s}' % (b"[" * 64, b"]" * 64), 400),
        (b'{"title": "P", "other": %s1%s}' % (b"[" * 63, b"]" * 63), 201),
        (b'{"title": "P", "description": "\\u0000\\ud800"}', 201),
        (b'{"title": "P", "description": "%s"}' % (b"x" * (8 * 1024 * 1024)), 400),
        (b"\xff", 400),
    ],
)
async def test_a_body_is(served: Served, body: bytes, status: int) -> None:
    answered = await served.ask("POST", "/api/projects", body)
    assert answered.status == status, answered
    if status == 400:
        assert answered.value["status"] is False
        assert await served.get("/api/projects") == []


async def test_free_text_is_mended_and_cut(served: Served) -> None:
    made = await served.make("/api/projects", b'{"title": "P", "description": "\\u0000\\udc00"}')
    assert made["description"] == "\ufffd\ufffd"
    made = await served.make("/api/projects", {"title": "P", "description": "x" * 70_000})
    assert len(made["description"]) == 64 * 1024


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/api", 404),
        ("GET", "/api/projects/0", 404),
        ("GET", "/api/projects/99", 404),
        ("GET", "/api/projects/x", 404),
        ("GET", "/api/projects/9007199254740993", 404),
        ("GET", "/api/projects/99999999999999999999", 404),
        ("GET", "/api/session-templates/1/nodes/99", 404),
        ("PATCH", "/api/projects", 405),
    ],
)
async def test_what_is_not_there_is_refused_in_the_shape_of_heat(
    served: Served, method: str, path: str, status: int
) -> None:
    assert await served.refused(status, method, path)


async def test_answers_say_that_they_are_json_in_utf_8(served: Served) -> None:
    for path in ("/api/projects", "/api/nothing"):
        answered = await served.ask("GET", path)
        assert answered.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_prefix_and_doubled_slashes_are_understood(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", path_prefix="/heat") as served:
        assert await served.get("/heat/api/projects") == []
        assert await served.get("//heat//api//projects") == []
        assert await served.get("/heat/api/config/runner_config") != {}
        assert (await served.ask("GET", "/api/projects")).status == 404


async def test_parameters_that_nobody_knows_are_ignored(served: Served) -> None:
    for path in ("/api/projects", "/api/sessions"):
        assert (await served.ask("GET", path, query={"_": "1"})).status == 200


async def test_changes_of_different_fields_at_once_all_hold(either: Served) -> None:
    made = await either.make("/api/projects", {"title": "P"})
    path = f"/api/projects/{made['id']}"
    changes: list[Any] = [{"description": "d"}, {"icon": "i"}, {"title": "Q"}]
    await asyncio.gather(*[either.ask("PUT", path, change) for change in changes])
    shown = await either.get(path)
    assert (shown["title"], shown["description"], shown["icon"]) == ("Q", "d", "i")


async def test_one_of_two_that_take_a_name_at_once_gets_it(either: Served) -> None:
    made = await asyncio.gather(*[either.ask("POST", "/api/sessiontemplates", {"name": "t"}) for _ in range(2)])
    assert sorted(answered.status for answered in made) == [201, 409]


async def test_every_route_is_described_with_the_shape_that_it_answers(served: Served) -> None:
    described = await served.get("/api/openapi.json", role=None)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status in set(operation["responses"]) & {"200", "201"}:
                content = operation["responses"][status]["content"]["application/json"]["schema"]
                assert content or path.endswith(("export", "all", "data", "{name}", "openapi.json")), (method, path)
    shapes = described["components"]["schemas"]
    assert set(shapes["DataSource"]["properties"]) >= {"id", "connectionString", "createdAt"}
    assert shapes["Envelope_NodeTemplate"]["properties"]["template"] == {"$ref": "#/components/schemas/NodeTemplate"}


@pytest.mark.parametrize(("path", "status"), [("/api/tasks/claim", 404), ("/api/tasks/1/signal", 503)])
def test_to_whoever_claims_a_busy_server_has_nothing_to_do(path: str, status: int) -> None:
    answer = Speaking(Heat()).refuse(Unavailable("the database is busy"), {"path": path})
    assert answer.status == status


async def test_a_head_is_answered_like_a_get(served: Served) -> None:
    assert (await served.ask("HEAD", "/api/projects")).status == 200
    assert (await served.ask("HEAD", "/api/projects/9")).status == 404
