"""Schedules over HTTP: what goes in and out, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from api.conftest import Served

ONE = "/v1/namespaces/default/schedules/nightly"
SPEC = {"graph": "g", "cron": "30 6 * * *", "zone": "Europe/Berlin", "start": "2026-01-01T00:00:00+01:00"}


async def test_a_schedule_is_put_and_said_to_be_new(served: Served) -> None:
    status, view, _ = await served.ask("PUT", ONE, json=SPEC)
    assert (status, view["name"], view["spec"]["overlap"], view["spec"]["catch_up"]) == (
        201,
        "nightly",
        "skip",
        "latest",
    )
    name, namespace, asked, spec = served.engine.asked[-1]
    assert (name, namespace, asked, spec.zone) == ("put schedule", "default", "nightly", "Europe/Berlin")
    status, _, _ = await served.ask("PUT", ONE, json=SPEC)
    assert status == 200


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"overlap": "maybe"}, "overlap"),
        ({"start": "2026-01-01T00:00:00"}, "start"),
        ({"often": True}, "often"),
    ],
)
async def test_what_is_no_schedule_is_refused_at_the_edge(served: Served, wrong: dict[str, Any], place: str) -> None:
    status, problem, _ = await served.ask("PUT", ONE, json=SPEC | wrong)
    assert status == 400
    assert place in str(problem)


async def test_times_firings_and_why_are_shown(served: Served) -> None:
    await served.ask("PUT", ONE, json=SPEC)
    status, _, _ = await served.ask("GET", f"{ONE}?times=9")
    assert (status, served.engine.asked[-1]) == (200, ("get schedule", "default", "nightly", 9))
    status, page, _ = await served.ask("GET", f"{ONE}/firings?limit=3")
    assert (status, page["items"][0]["outcome"]) == (200, "skipped")
    status, told, _ = await served.ask("GET", f"{ONE}/explain")
    assert (status, told["state"]) == (200, "ACTIVE")
    status, page, _ = await served.ask("GET", "/v1/namespaces/default/schedules")
    assert (status, [view["name"] for view in page["items"]]) == (200, ["nightly"])


async def test_it_is_paused_resumed_run_and_deleted(served: Served) -> None:
    await served.ask("PUT", ONE, json=SPEC)
    _, paused, _ = await served.ask("POST", f"{ONE}/pause")
    _, resumed, _ = await served.ask("POST", f"{ONE}/resume")
    assert (paused["paused"], resumed["paused"]) == (True, False)
    status, ref, _ = await served.ask("POST", f"{ONE}/run", json={"idempotency_key": "k"})
    assert (status, ref["id"]) == (201, 7)
    status, ref, _ = await served.ask("POST", f"{ONE}/run", json={"idempotency_key": "k"})
    assert (status, ref["created"]) == (200, False)
    status, _, _ = await served.ask("DELETE", ONE)
    assert status == 204


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "GET", ONE, 200),
        ("read", "PUT", ONE, 403),
        ("trigger", "PUT", ONE, 403),
        ("author", "PUT", ONE, 200),
        ("trigger", "POST", f"{ONE}/pause", 200),
        ("read", "POST", f"{ONE}/pause", 403),
        ("author", "POST", f"{ONE}/run", 403),
        ("trigger", "DELETE", ONE, 403),
        ("run", "GET", f"{ONE}/firings", 403),
    ],
)
async def test_authors_make_schedules_and_triggers_run_them(
    served: Served, scope: str, method: str, path: str, status: int
) -> None:
    await served.ask("PUT", ONE, json=SPEC)
    served.engine.allow("limited", scope)
    body = SPEC if method == "PUT" else {} if path.endswith("/run") else None
    options: dict[str, Any] = {} if body is None else {"json": body}
    got, _, _ = await served.ask(method, path, headers={"Authorization": "Bearer limited"}, **options)
    assert got == status
