"""A dialect on a server: its own paths, words and errors; the same tokens, limits and audit log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import msgspec
import pytest

from api.conftest import Served, serving
from api.fake import FakeEngine
from stoker.api.app import build
from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.dialect import Dialect
from stoker.api.dialects.exosphere.dialect import exosphere
from stoker.api.dialects.heat.dialect import heat
from stoker.api.route import PUBLIC, Route
from stoker.config import Exosphere, Heat
from stoker.errors import StokerError, Unavailable

UUID = "0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10"
KEY = {"x-api-key": "all"}
PAGE = "https://page.example"


class Named(msgspec.Struct):
    name: str
    tags: list[str] = []


async def show(call: Call) -> Answer:
    return as_json([call.namespace, call.path.get("name"), call.caller.name, type(call.state).__name__])


async def keep(call: Call) -> Answer:
    return as_json(call.body.name, 201)


async def broken(_: Call) -> Answer:
    raise KeyError("nobody saw this coming")


async def away(_: Call) -> Answer:
    raise Unavailable("the database is away")


def routes(root: str) -> tuple[Route, ...]:
    def route(method: Any, path: str, endpoint: Any, *scopes: Any, **more: Any) -> Route:
        return Route(method=method, path=root + path, endpoint=endpoint, scopes=scopes, summary="x", **more)

    return (
        route("GET", "/thing/{name}", show, "read"),
        route("PUT", "/thing/{name}", keep, "author", request=Named),
        route("PATCH", "/thing/{name}", keep, "author", request=Named),
        route("GET", "/broken", broken, "read"),
        route("GET", "/away", away, "read"),
    )


HEALTH = Route(method="GET", path="/health", endpoint=show, scopes=(PUBLIC,), summary="x")
SPHERE = msgspec.structs.replace(
    exosphere(Exosphere(origins=(PAGE,))), routes=(*routes("/v0/namespace/{namespace}"), HEALTH)
)
WARM = msgspec.structs.replace(heat(Heat()), routes=routes("/api"))
ROOT = "/v0/namespace/n"


@pytest.fixture
async def both(engine: FakeEngine) -> AsyncIterator[Served]:
    async with serving(engine, dialects=[SPHERE, WARM], path_prefix="/p") as served:
        served.url += "/p"
        yield served


async def test_a_dialect_that_is_not_named_is_not_there(served: Served) -> None:
    for path in ("/v0/openapi.json", "/health", "/api/openapi.json"):
        status, problem, headers = await served.ask("GET", path)
        assert (status, problem["code"]) == (404, "no_such_route")
        assert headers["content-type"] == "application/problem+json"


async def test_it_finds_routes_by_their_raw_path_below_the_prefix(both: Served) -> None:
    assert (await both.ask("GET", f"{ROOT}/thing/x", headers=KEY))[:2] == (200, ["n", "x", "all", "Exosphere"])
    assert (await both.ask("GET", "/api/thing/a%20b%2Fc.d"))[:2] == (200, ["heat", "a b/c.d", "all", "Heat"])
    assert (await both.ask("GET", "//api///thing//x"))[0] == 200
    assert (await both.ask("GET", "/api/thing/x/"))[0] == 200
    assert (await both.ask("GET", "/api%2Fthing/x"))[0] == 404
    assert (await both.ask("GET", "/v1/whoami"))[0] == 200


async def test_each_refuses_in_its_own_words(both: Served) -> None:
    missing, there, wrong = "/v0/nothing", f"{ROOT}/thing/x", {"name": 5}
    assert (await both.ask("GET", missing, headers=KEY))[:2] == (404, {"detail": "Not Found"})
    status, answer, headers = await both.ask("DELETE", there, headers=KEY)
    assert (status, answer, headers["allow"]) == (405, {"detail": "Method Not Allowed"}, "GET, PATCH, PUT")
    assert (await both.ask("GET", f"{ROOT}/away", headers=KEY))[:2] == (503, {"detail": "service unavailable"})
    status, answer, _ = await both.ask("PUT", there, wrong, headers=KEY)
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "name"])
    status, answer, _ = await both.ask("PUT", there, headers=KEY, data=BytesIO(b" " * (8 * 1024 * 1024 + 1)))
    assert (status, answer) == (413, {"detail": "Request body too large"})
    status, answer, headers = await both.ask("PUT", "/api/thing/x", wrong)
    assert (status, answer["status"], headers["content-type"]) == (400, False, "application/json; charset=utf-8")
    assert (await both.ask("GET", "/api/away"))[0] == 503
    status, answer, headers = await both.ask("GET", "/api/thing/x", headers={"Authorization": "Bearer no"})
    assert (status, answer["status"], headers["www-authenticate"]) == (401, False, "Bearer")


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"name', 422, {"type": "json_invalid", "msg": "JSON decode error"}),
        (b'{"name": "\xff"}', 422, {"type": "json_invalid", "loc": ["body", 10]}),
        (b'{"name": NaN}', 422, {"type": "json_invalid", "loc": ["body", 9]}),
        (b"{}", 422, {"type": "missing", "loc": ["body", "name"], "msg": "Field required"}),
        (b'{"name":"x","tags":[1]}', 422, {"type": "string_type", "loc": ["body", "tags", 0]}),
        (b'{"name":"x","tags":"y"}', 422, {"type": "list_type", "msg": "Input should be a valid list"}),
        (b'{"name":"x","more":' + b"[" * 65 + b"]" * 65 + b"}", 400, "JSON nested deeper than 64"),
        (b'{"name":"x","more":' + b"[" * 90_000 + b"]" * 90_000 + b"}", 400, "JSON nested deeper than 64"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_as_exosphere_says_it(body: bytes, status: int, detail: Any) -> None:
    with pytest.raises(StokerError) as caught:
        SPHERE.manner.decode(body, Named)
    answer = SPHERE.manner.refuse(caught.value, {})
    told = msgspec.json.decode(answer.body)["detail"]
    assert answer.status == status
    if isinstance(detail, dict):
        (entry,) = told
        assert {**entry, **detail} == entry
    else:
        assert told == detail


async def test_an_error_nobody_foresaw_is_shown_as_each_shows_it(
    both: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, "stoker.api"):
        assert (await both.ask("GET", f"{ROOT}/broken", headers=KEY))[:2] == (
            500,
            {"success": False, "detail": "internal server error"},
        )
        status, answer, _ = await both.ask("GET", "/api/broken")
    assert (status, answer["status"]) == (500, False)
    assert "nobody saw" not in str(answer)


async def test_keys_open_namespaces_and_scopes_alone(both: Served, engine: FakeEngine) -> None:
    engine.allow("reader", "read", namespaces=("n",))

    async def said(path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
        status, answer, _ = await both.ask(method, path, headers=headers)
        return status, answer["detail"] if isinstance(answer, dict) else answer

    there, invalid = f"{ROOT}/thing/x", (401, "Invalid API key")
    assert await said(there) == invalid
    assert await said(there, **{"x-api-key": "wrong"}) == invalid
    assert await said(there, Authorization="Bearer all") == invalid
    assert (await said(there, **{"X-API-Key": "reader"}))[0] == 200
    no_access = (403, "API key has no access to namespace m")
    assert await said("/v0/namespace/m/thing/x", **{"x-api-key": "reader"}) == no_access
    assert await said(there, "PUT", **{"x-api-key": "reader"}) == (403, "API key lacks scope author")
    assert await said("/v0/namespace/a%00b/thing/x", **KEY) == (404, "Not Found")
    assert (await both.ask("GET", "/health"))[0] == 200
    engine.allow("elsewhere", "read", namespaces=("n",))
    assert (await both.ask("GET", "/api/thing/x", headers={"Authorization": "Bearer elsewhere"}))[0] == 403
    engine.allow("inside", "read", namespaces=("heat",))
    assert (await both.ask("GET", "/api/thing/x", headers={"Authorization": "Bearer inside"}))[0] == 200
    assert (await both.ask("PUT", "/api/thing/x", headers={"Authorization": "Bearer inside"}))[0] == 403


async def test_a_key_is_needed_even_where_the_rest_runs_without_tokens(engine: FakeEngine) -> None:
    async with serving(engine, dialects=[SPHERE], insecure=True) as served:
        assert (await served.ask("GET", "/v1/whoami"))[0] == 200
        assert (await served.ask("GET", f"{ROOT}/thing/x"))[0] == 401


async def test_the_request_id_is_on_every_answer(both: Served) -> None:
    asked = {**KEY, "x-exosphere-request-id": UUID}
    for path in (f"{ROOT}/thing/x", f"{ROOT}/broken", f"{ROOT}/away", "/v0/nothing", "/health"):
        assert (await both.ask("GET", path, headers=asked))[2]["x-exosphere-request-id"] == UUID
    odd = {**KEY, "x-exosphere-request-id": "mine"}
    made = (await both.ask("GET", "/health", headers=odd))[2]["x-exosphere-request-id"]
    assert (len(made), made[14]) == (36, "4")


async def test_a_listed_page_may_call_and_no_other(both: Served) -> None:
    ask = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-api-key"}
    status, _, headers = await both.ask("OPTIONS", f"{ROOT}/thing/x", headers={"Origin": PAGE, **ask})
    assert (status, headers["access-control-allow-origin"]) == (204, PAGE)
    assert headers["access-control-allow-headers"] == "x-api-key"
    assert "PUT" in headers["access-control-allow-methods"]
    read = await both.ask("GET", f"{ROOT}/thing/x", headers={"Origin": PAGE, **KEY})
    assert read[2]["access-control-expose-headers"] == "x-exosphere-request-id"
    other = {"Origin": "https://other.example"}
    status, _, headers = await both.ask("OPTIONS", f"{ROOT}/thing/x", headers={**other, **ask})
    assert (status, "access-control-allow-origin" in headers) == (405, False)
    assert "access-control-allow-origin" not in (await both.ask("GET", "/api/thing/x", headers=other))[2]


async def test_what_changes_something_is_audited_and_refusals_are_counted(both: Served, engine: FakeEngine) -> None:
    engine.allow("reader", "read")
    assert (await both.ask("PUT", f"{ROOT}/thing/x", {"name": "x"}, headers=KEY))[0] == 201
    assert (await both.ask("PATCH", "/api/thing/x", {"name": "x"}))[0] == 201
    acts = engine.audit.rows
    assert [(act.verb, act.namespace, act.name) for act in acts] == [("keep", "n", "all"), ("keep", "heat", "all")]
    assert (await both.ask("PUT", f"{ROOT}/thing/x", {"name": "x"}, headers={"x-api-key": "reader"}))[0] == 403
    assert (await both.ask("GET", f"{ROOT}/thing/x"))[0] == 401
    assert [(refusal.name, refusal.code) for refusal, _, _ in engine.audit.refusals] == [
        ("reader", "forbidden"),
        ("", "unauthorized"),
    ]


async def test_an_empty_body_is_an_empty_object_to_heat(both: Served) -> None:
    status, answer, _ = await both.ask("PUT", "/api/thing/x", headers={"Content-Type": "application/json"})
    assert (status, "name" in answer["message"]) == (400, True)


async def test_each_describes_itself_and_the_server_names_them(both: Served) -> None:
    sphere = (await both.ask("GET", "/v0/openapi.json"))[1]
    warm = (await both.ask("GET", "/api/openapi.json"))[1]
    native = (await both.ask("GET", "/openapi.json"))[1]
    assert {path.split("/")[1] for path in native["paths"]}.isdisjoint({"v0", "health", "api"})
    assert set(sphere["paths"]) >= {"/v0/namespace/{namespace}/thing/{name}", "/health", "/v0/openapi.json"}
    assert sphere["components"]["securitySchemes"]["key"]["name"] == "x-api-key"
    assert "patch" in warm["paths"]["/api/thing/{name}"]
    about = (await both.ask("GET", "/", headers={"Accept": "application/json"}))[1]
    assert about["dialects"] == ["exosphere", "heat"]
    assert b"exosphere and heat" in (await both.ask("GET", "/", headers={"Accept": "text/html"}))[1]


def mounted(*dialects: Dialect) -> None:
    build(FakeEngine(), version="1", dialects=dialects)


def test_a_route_without_a_scope_keeps_the_server_from_starting() -> None:
    bare = msgspec.structs.replace(HEALTH, scopes=())
    with pytest.raises(ValueError, match="GET /health declares no scope"):
        mounted(msgspec.structs.replace(SPHERE, routes=(bare,)))


def test_what_lies_in_each_other_s_way_keeps_the_server_from_starting() -> None:
    with pytest.raises(ValueError, match="GET /health does not lie below api"):
        mounted(msgspec.structs.replace(WARM, routes=(HEALTH,)))
    with pytest.raises(ValueError, match="heat is not alone below /v1"):
        mounted(msgspec.structs.replace(WARM, heads=("api", "v1")))
    with pytest.raises(ValueError, match="heat is not alone below /api"):
        mounted(WARM, WARM)
