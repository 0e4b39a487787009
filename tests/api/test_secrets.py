"""Secrets over HTTP: what goes in and never out, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from api.conftest import Served

ONE = "/v1/namespaces/default/secrets/TOKEN"
BODY = {"value": "a value to keep"}


async def test_a_secret_is_put_listed_and_deleted_and_never_shown(served: Served) -> None:
    status, view, _ = await served.ask("PUT", ONE, BODY)
    assert (status, view) == (201, {"name": "TOKEN", "key": "0a1b", "updated_at": view["updated_at"], "created": True})
    assert served.engine.asked[-1] == ("put secret", "default", "TOKEN", "a value to keep")
    assert (await served.ask("PUT", ONE, BODY))[0] == 200
    status, page, _ = await served.ask("GET", "secrets?limit=7")
    assert (status, [one["name"] for one in page["items"]], "value" in str(page)) == (200, ["TOKEN"], False)
    assert served.engine.asked[-1] == ("secrets", "default", {"limit": 7, "after": None})
    assert (await served.ask("DELETE", ONE))[0] == 204


async def test_no_route_reads_a_value_back(served: Served) -> None:
    await served.ask("PUT", ONE, BODY)
    assert (await served.ask("GET", ONE))[0] == 405


@pytest.mark.parametrize("body", [{"value": 12345678}, {"value": ["a value to keep"]}, {"values": "a value to keep"}])
async def test_a_refusal_does_not_show_what_was_sent(served: Served, body: dict[str, Any]) -> None:
    status, problem, _ = await served.ask("PUT", ONE, body)
    assert status == 400
    assert "a value to keep" not in str(problem)
    assert "12345678" not in str(problem)


async def test_keys_are_told_by_their_ids_and_rotated_in_slices(served: Served) -> None:
    assert (await served.ask("GET", "/v1/secrets/keys"))[1] == [
        {"id": "0a1b", "here": True, "writes": True, "secrets": 2}
    ]
    assert (await served.ask("POST", "/v1/secrets/rotate?after=x"))[:2] == (200, {"rotated": 2})
    assert served.engine.asked[-1] == ("rotate", "x")


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("author", "PUT", ONE, 403),
        ("run", "PUT", ONE, 403),
        ("admin", "PUT", ONE, 200),
        ("author", "DELETE", ONE, 403),
        ("author", "GET", "/v1/namespaces/default/secrets", 200),
        ("read", "GET", "/v1/namespaces/default/secrets", 403),
        ("run", "GET", "/v1/namespaces/default/secrets", 403),
        ("author", "POST", "/v1/secrets/rotate", 403),
        ("author", "GET", "/v1/secrets/keys", 403),
    ],
)
async def test_admins_set_them_and_authors_see_which_there_are(
    served: Served, scope: str, method: str, path: str, status: int
) -> None:
    await served.ask("PUT", ONE, BODY)
    served.engine.allow("limited", scope)
    body = BODY if method == "PUT" else None
    assert (await served.ask(method, path, body, headers={"Authorization": "Bearer limited"}))[0] == status


async def test_keys_are_those_of_all_namespaces_so_an_admin_of_one_does_not_rotate(served: Served) -> None:
    served.engine.allow("limited", "admin", namespaces=("default",))
    headers = {"Authorization": "Bearer limited"}
    assert (await served.ask("PUT", ONE, BODY, headers=headers))[0] == 201
    assert (await served.ask("POST", "/v1/secrets/rotate", headers=headers))[0] == 403
    assert (await served.ask("GET", "/v1/secrets/keys", headers=headers))[0] == 403


async def test_readiness_says_what_cannot_be_done_all_the_same(served: Served) -> None:
    served.engine.lacks = ["this server has not got a key"]
    status, told, _ = await served.ask("GET", "/readyz")
    assert (status, told) == (200, {"status": "ready", "but": ["this server has not got a key"]})
