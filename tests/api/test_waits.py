"""Waits over HTTP: what goes in and out, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from api.conftest import Served

TASKS = "/v1/namespaces/default/tasks/1"


async def test_a_wait_is_settled_with_the_value_as_it_was_sent(served: Served) -> None:
    status, view, _ = await served.ask("POST", f"{TASKS}/settle", json={"value": {"a": [1, None]}})
    assert (status, view["id"]) == (200, 1)
    name, namespace, task, request = served.engine.asked[-1]
    assert (name, namespace, task, bytes(request.value), request.fail) == (
        "settle",
        "default",
        1,
        b'{"a": [1, null]}',
        None,
    )


async def test_the_waits_are_listed_by_run(served: Served) -> None:
    status, page, _ = await served.ask("GET", "/v1/namespaces/default/waits?run=4&limit=7")
    assert (status, len(page["items"])) == (200, 1)
    assert served.engine.asked[-1] == ("waits", "default", {"run": 4, "limit": 7, "after": None})


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "GET", f"{TASKS}/input", 200),
        ("run", "GET", f"{TASKS}/input", 403),
        ("trigger", "POST", f"{TASKS}/settle", 200),
        ("read", "POST", f"{TASKS}/settle", 403),
        ("read", "GET", f"{TASKS}/input?attempt=1", 200),
        ("run", "GET", f"{TASKS}/items", 403),
    ],
)
async def test_reading_shows_a_wait_and_triggering_settles_it(
    served: Served, scope: str, method: str, path: str, status: int
) -> None:
    served.engine.allow("limited", scope)
    options: dict[str, Any] = {"json": {"value": 1}} if method == "POST" else {}
    got, _, _ = await served.ask(method, path, headers={"Authorization": "Bearer limited"}, **options)
    assert got == status
