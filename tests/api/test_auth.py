"""Deny by default: who may use which route, in which namespace, from where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.conftest import ROOT, Served, serving
from api.fake import FakeEngine, make
from stoker.api.app import build
from stoker.api.auth import host_name, is_loopback, permit
from stoker.api.route import ANY_TOKEN, PUBLIC, Route
from stoker.api.routes import ROUTES
from stoker.core.roles import BUILT_IN
from stoker.engine.caller import Caller
from stoker.errors import Forbidden

SCOPED = [route for route in ROUTES if not route.public]


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def place(route: Route, namespace: str = "default") -> str:
    return route.path.replace("{namespace}", namespace).replace("{id}", "1").replace("{name}", "n")


def caller(*scopes: str, namespaces: tuple[str, ...] = ("*",), kinds: tuple[str, ...] = ()) -> Caller:
    return Caller(
        token_id=1, name="t", scopes=frozenset(scopes), namespaces=frozenset(namespaces), kinds=frozenset(kinds)
    )


@pytest.mark.parametrize("scope", ANY_TOKEN)
@pytest.mark.parametrize("route", SCOPED, ids=name_of)
def test_a_scope_opens_the_routes_that_name_it_and_admin_all(route: Route, scope: str) -> None:
    namespace = "default" if "{namespace}" in route.path else None
    if scope == "admin" or scope in route.scopes:
        permit(caller(scope), route, namespace)
    else:
        with pytest.raises(Forbidden, match="lacks the scope"):
            permit(caller(scope), route, namespace)


@given(st.sets(st.sampled_from(ANY_TOKEN)), st.sampled_from(SCOPED))
def test_of_any_set_of_scopes_only_one_that_a_route_names_opens_it(scopes: set[str], route: Route) -> None:
    """Whatever roles there are: more scopes open more, none opens nothing, and `admin` all."""
    namespace = "default" if "{namespace}" in route.path else None
    opened = opens(scopes, route, namespace)
    assert opened == any(opens({scope}, route, namespace) for scope in scopes)
    assert opened == bool(scopes & {*route.scopes, "admin"})


def opens(scopes: set[str], route: Route, namespace: str | None) -> bool:
    try:
        permit(caller(*scopes), route, namespace)
    except Forbidden:
        return False
    return True


def test_a_viewer_changes_nothing_and_looks_at_everything_but_who_may_do_what() -> None:
    for route in SCOPED:
        namespace = "default" if "{namespace}" in route.path else None
        looks = route.method == "GET" and namespace is not None and not route.path.endswith("/secrets")
        assert opens({*BUILT_IN["viewer"]}, route, namespace) == (looks or route.path == "/v1/whoami"), name_of(route)


@pytest.mark.parametrize("role", [role for role in BUILT_IN if role != "admin"])
def test_no_role_but_admin_makes_tokens_and_roles(role: str) -> None:
    for route in SCOPED:
        if route.path.startswith(("/v1/tokens", "/v1/roles")):
            assert not opens({*BUILT_IN[role]}, route, None)


def test_only_runners_claim_and_report_and_they_start_nothing() -> None:
    for route in SCOPED:
        if route.path.endswith(("/claims", "/reports", "/sessions")):
            assert [role for role, scopes in BUILT_IN.items() if opens({*scopes}, route, "a")] == ["runner", "admin"]
        elif opens({*BUILT_IN["runner"]}, route, "a"):
            assert route.method == "GET" or route.path.endswith("/artifacts"), name_of(route)


async def test_every_scoped_route_refuses_who_has_no_token_or_a_wrong_one(served: Served) -> None:
    for route in SCOPED:
        for header in ("", "Bearer unknown", "Basic YWxs", "Bearer ", "all"):
            status, problem, _ = await served.ask(route.method, place(route), headers={"Authorization": header})
            assert (status, problem["code"]) == (401, "unauthorized"), (name_of(route), header)
    assert served.engine.asked == []


async def test_every_scoped_route_refuses_a_token_without_scopes(served: Served) -> None:
    served.engine.allow("powerless")
    for route in SCOPED:
        status, problem, _ = await served.ask(route.method, place(route), headers={"Authorization": "Bearer powerless"})
        assert (status, problem["code"]) == (403, "forbidden"), name_of(route)
    assert served.engine.asked == []


async def test_every_namespaced_route_refuses_a_token_of_another_namespace(served: Served) -> None:
    served.engine.allow("elsewhere", "admin", namespaces=("b",))
    for route in SCOPED:
        if "{namespace}" in route.path:
            status, problem, _ = await served.ask(
                route.method, place(route, "a"), headers={"Authorization": "Bearer elsewhere"}
            )
            assert (status, problem["place"]) == (403, "path.namespace"), name_of(route)
    assert served.engine.asked == []


async def test_public_routes_need_no_token(served: Served) -> None:
    for route in ROUTES:
        if route.public:
            assert (await served.ask(route.method, place(route), headers={"Authorization": ""}))[0] == 200


async def test_the_scheme_of_a_token_is_spelled_in_any_case(served: Served) -> None:
    assert (await served.ask("GET", "kinds", headers={"Authorization": "bearer all"}))[0] == 200


@pytest.mark.parametrize("limits", [{"namespaces": ("a",)}, {"kinds": ("k",)}], ids=str)
def test_an_admin_token_with_limits_cannot_make_tokens_without(limits: dict[str, Any]) -> None:
    for route in SCOPED:
        if route.path.startswith(("/v1/tokens", "/v1/roles")):
            with pytest.raises(Forbidden, match="limited"):
                permit(caller("admin", **limits), route, None)


@pytest.mark.parametrize("path", ["//v1//namespaces/a///kinds", "/v1/namespaces/a//kinds", "//v1/namespaces//a/kinds"])
async def test_double_slashes_do_not_lead_around_the_check(served: Served, path: str) -> None:
    served.engine.allow("b", "read", namespaces=("b",))
    assert (await served.ask("GET", path))[0] == 200
    assert served.engine.asked == [("kinds", "a")]
    assert (await served.ask("GET", path, headers={"Authorization": "Bearer b"}))[0] == 403


def test_a_route_without_a_scope_does_not_start() -> None:
    async def nothing(_: Any) -> Any: ...

    route = Route(method="GET", path="/v1/open", summary="", endpoint=nothing)
    with pytest.raises(ValueError, match="GET /v1/open declares no scope"):
        build(make(), version="1", routes=[route])


@pytest.mark.parametrize(
    ("scopes", "fault"), [(("everything",), "declares no scope"), ((PUBLIC, "read"), "public and scoped")]
)
def test_a_route_with_a_nonsensical_scope_does_not_start(scopes: Any, fault: str) -> None:
    async def nothing(_: Any) -> Any: ...

    with pytest.raises(ValueError, match=fault):
        build(make(), version="1", routes=[Route(method="GET", path="/x", summary="", endpoint=nothing, scopes=scopes)])


def test_two_routes_of_one_place_do_not_start() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        build(make(), version="1", routes=[ROUTES[0], ROUTES[0]])


# --- without tokens ---


async def test_without_tokens_anyone_on_this_machine_may_do_all(engine: FakeEngine) -> None:
    async with serving(engine, insecure=True) as served:
        headers = {"Authorization": "", "Sec-Fetch-Site": "same-origin"}
        assert (await served.ask("GET", "kinds", headers=headers))[0] == 200
        assert (await served.ask("GET", "/v1/tokens", headers={"Authorization": ""}))[0] == 200


@pytest.mark.parametrize(
    ("headers", "at"),
    [
        ({"Host": "evil.example"}, "header.Host"),
        ({"Host": "evil.example:5220"}, "header.Host"),
        ({"Host": "localhost.evil.example"}, "header.Host"),
        ({"Host": "192.168.1.2"}, "header.Host"),
        ({"Host": ""}, "header.Host"),
        ({"Sec-Fetch-Site": "cross-site"}, "header.Sec-Fetch-Site"),
        ({"Sec-Fetch-Site": "same-site"}, "header.Sec-Fetch-Site"),
    ],
)
async def test_without_tokens_other_names_and_other_pages_are_refused(
    engine: FakeEngine, headers: dict[str, str], at: str
) -> None:
    async with serving(engine, insecure=True) as served:
        for path in (f"{ROOT}/kinds", "/"):
            status, problem, _ = await served.ask("GET", path, headers=headers)
            assert (status, problem["place"]) == (403, at)
        assert engine.asked == []


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST", "127.0.0.1:5220", "127.9.9.9", "[::1]:80"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host_name(host))


# --- below a prefix ---


async def test_below_a_prefix_nothing_answers_outside_it(engine: FakeEngine) -> None:
    async with serving(engine, path_prefix="/stoker") as served:
        assert (await served.ask("GET", f"/stoker{ROOT}/kinds"))[0] == 200
        assert (await served.ask("GET", "/stoker"))[0] == 200
        assert b'href="/stoker/openapi.json"' in (await served.ask("GET", "/stoker/"))[1]
        for path in (f"{ROOT}/kinds", "/healthz", "/stokerr/healthz"):
            status, problem, _ = await served.ask("GET", path)
            assert (status, problem["code"]) == (404, "no_such_route")


@pytest.mark.parametrize(("of", "inner"), [("a", False), ("b", False), ("b", True)])
async def test_a_graph_takes_kinds_only_of_namespaces_that_its_token_is_for(
    served: Served, of: str, inner: bool
) -> None:
    served.engine.allow("limited", "author", namespaces=("a",))
    taking = {"name": "g", "nodes": [{"name": "n", "kind": "k", "namespace": of}]}
    plain = {"name": "p", "nodes": [{"name": "n", "kind": "k"}]}
    body = {"graph": plain, "inner": [taking]} if inner else {"graph": taking}
    status, answer, _ = await served.ask(
        "POST", "/v1/namespaces/a/graphs", body, headers={"Authorization": "Bearer limited"}
    )
    if of == "a":
        assert status in (200, 201)
    else:
        assert (status, answer["detail"].startswith("the token 'limited' is not for the namespace 'b'")) == (403, True)
