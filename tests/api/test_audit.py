"""What of each call goes to the audit log, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from api.conftest import Served, serving
from api.fake import FakeEngine, make
from api.test_auth import SCOPED, name_of, place
from stoker.api.acting import request_id, subject_of
from stoker.api.route import Route
from stoker.engine.refusals import Refusal

UNTOLD = {
    "claim_tasks": "what runners do is history",
    "report_tasks": "as above",
    "leave": "as above",
    "put_artifact": "it does nothing until a run is given it",
}
ACTS = [route for route in SCOPED if route.acts]


def test_every_route_that_may_change_something_is_for_the_log_or_says_why_not() -> None:
    assert {route.name for route in SCOPED if route.method != "GET" and not route.acts} == UNTOLD.keys()
    assert {route.name for route in SCOPED if route.audit == "run"} == {"trigger_run", "trigger_runs"}


@pytest.mark.parametrize("route", ACTS, ids=name_of)
async def test_a_call_that_is_refused_for_want_of_a_right_is_counted(served: Served, route: Route) -> None:
    served.engine.allow("powerless")
    for token in ("powerless", "unknown"):
        await served.ask(route.method, place(route), headers={"Authorization": f"Bearer {token}"})
    (forbidden, subject, _), (unauthorized, _, _) = served.engine.audit.refusals
    namespace = "default" if "{namespace}" in route.path else ""
    token = served.engine.callers["powerless"].token_id
    assert forbidden == Refusal(token, "powerless", namespace, route.name, "127.0.0.1", "forbidden")
    assert unauthorized == Refusal(None, "", namespace, route.name, "127.0.0.1", "unauthorized")
    noun = next((noun for noun in ("run", "task", "token") if f"/{noun}s/{{id}}" in route.path), "")
    noun = noun or next((noun for noun in ("schedule", "role", "secret") if f"/{noun}s/{{name}}" in route.path), "")
    assert subject.partition(":")[0] == noun
    assert subject.partition(":")[2] in ("1", "n") if noun else not subject


async def test_a_call_is_told_of_with_who_what_and_where(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "g"})
    headers = {"X-Request-Id": "mine-1", "X-Forwarded-For": "192.0.2.1"}
    _, _, got = await served.ask("POST", "runs/1/cancel", headers=headers)
    (act,) = served.engine.audit.rows
    token = served.engine.callers["all"].token_id
    assert (act.token, act.name, act.namespace, act.verb) == (token, "all", "default", "cancel_run")
    assert (act.subject, act.address, act.request, act.details) == (
        *("run:1", "127.0.0.1", "mine-1"),
        {"forwarded": "192.0.2.1"},
    )
    assert got["X-Request-Id"] == "mine-1"


async def test_what_was_told_in_its_transaction_is_not_told_again(served: Served, monkeypatch: Any) -> None:
    async def revoke(token: int) -> None:
        from stoker.engine.acting import current

        act = current()
        assert act is not None
        act.told = True

    monkeypatch.setattr(served.engine, "revoke", revoke)
    assert (await served.ask("DELETE", "/v1/tokens/1"))[0] == 204
    assert served.engine.audit.rows == []


async def test_a_trigger_tells_its_token_to_the_run_and_the_log_only_where_wanted(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "g", "inputs": {"password": "hush"}})
    await served.ask("POST", "runs", {"graph": 5})
    assert (served.engine.audit.rows, served.engine.audit.refusals) == ([], [])
    served.engine.audit.triggers = True
    await served.ask("POST", "runs", {"graph": "g", "inputs": {"password": "hush"}})
    await served.ask("POST", "runs", {"graph": 5})
    assert [(act.verb, act.details) for act in served.engine.audit.rows] == [("trigger_run", {})]
    assert [refusal.code for refusal, _, _ in served.engine.audit.refusals] == ["invalid"]


async def test_of_a_verb_for_many_the_filter_is_told_and_a_dry_run_is_none(served: Served) -> None:
    await served.ask("POST", "runs/cancel", {"filter": "graph=g", "dry_run": True})
    await served.ask("POST", "runs/cancel", {"filter": "graph=g"})
    await served.ask("POST", "runs/retry", {"filter": "", "all": True})
    assert [(act.verb, act.details) for act in served.engine.audit.rows] == [
        ("cancel_runs", {"filter": "graph=g"}),
        ("retry_runs", {"filter": "", "all": True}),
    ]


async def test_no_value_that_is_sent_goes_to_the_log(served: Served) -> None:
    secret = "hush-hush"
    await served.ask("POST", "tasks/1/settle", {"value": secret})
    await served.ask("POST", "tasks/1/settle", {"fail": secret, "value": 1, "other": secret})
    await served.ask("PUT", "schedules/s", {"graph": "g", "every": "1h", "inputs": {"x": secret}})
    assert served.engine.audit.rows
    assert secret not in repr([act.row([]) for act in served.engine.audit.rows])
    assert secret not in repr(served.engine.audit.refusals)


async def test_what_goes_on_behind_its_answer_is_told_of_as_done(served: Served) -> None:
    assert {route.name for route in SCOPED if route.audit == "begun"} == {"get_backup", "start_collection"}
    await served.ask("POST", "/v1/collection?dry_run=true")
    await served.ask("POST", "/v1/collection")
    await served.ask("POST", "runs", {"graph": "g"})
    await served.ask("POST", "runs/1/cancel")
    assert [act.verb for act in served.engine.audit.rows] == ["start_collection", "cancel_run"]
    assert served.engine.audit.outcomes == ["done", "unchanged"]


async def test_a_look_is_not_told_of_unless_it_was_not_allowed(served: Served) -> None:
    assert (await served.ask("GET", "runs/77"))[0] == 404
    assert (await served.ask("GET", "runs"))[0] == 200
    assert (served.engine.audit.rows, served.engine.audit.refusals) == ([], [])
    await served.ask("GET", "runs", headers={"Authorization": "Bearer unknown"})
    assert [refusal.verb for refusal, _, _ in served.engine.audit.refusals] == ["list_runs"]


async def test_a_refusal_by_the_engine_is_counted_with_its_code(served: Served) -> None:
    await served.ask("POST", "runs/77/cancel")
    ((refusal, subject, _),) = served.engine.audit.refusals
    assert (refusal.name, refusal.verb, refusal.code, subject) == ("all", "cancel_run", "not_found", "run:77")


async def test_the_log_is_listed(served: Served) -> None:
    assert (await served.ask("GET", "/v1/audit?filter=verb%3Dcancel_run&limit=5"))[1] == {"items": [], "after": None}
    assert served.engine.asked == [("audit", {"filter": "verb=cancel_run", "limit": 5, "after": None})]


async def test_without_tokens_anyone_is_named_so() -> None:
    engine: FakeEngine = make()
    async with serving(engine, insecure=True) as served:
        await served.ask("DELETE", "/v1/roles/x")
        await served.ask("PUT", "/v1/roles/x", {"scopes": ["read"]})
    assert [(act.token, act.name) for act in engine.audit.rows] == [(0, "anyone")]
    assert [refusal.name for refusal, _, _ in engine.audit.refusals] == ["anyone"]


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b"\xff", b"a\tb"])
def test_a_request_id_that_is_none_is_replaced(given: bytes) -> None:
    made = request_id({"headers": [(b"x-request-id", given)]})
    assert len(made) == 16
    assert made != request_id({"headers": [(b"x-request-id", given)]})


def test_a_subject_is_cut_and_holds_no_control_characters() -> None:
    (route,) = [route for route in ACTS if route.name == "put_role"]
    assert subject_of(route, {"name": "a\x1fb\n" + "c" * 500}) == "role:ab" + "c" * 191
