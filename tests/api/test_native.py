"""Every endpoint: what it passes to the engine, and what it answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from api.conftest import Served
from api.fake import SESSION, assignment, failed_run
from stoker.core.views import BulkRequest
from stoker.errors import NoResult

KIND = {"name": "grind"}
GRAPH = {"graph": {"name": "mill", "nodes": [{"name": "a", "kind": "grind"}]}}


async def test_kinds_are_put_listed_and_shown(served: Served) -> None:
    assert (await served.ask("PUT", "kinds", {"kinds": [KIND]}))[:2] == (204, b"")
    assert (await served.ask("GET", "kinds"))[:2] == (200, [KIND])
    assert (await served.ask("GET", "kinds/grind"))[:2] == (200, KIND)


async def test_a_kind_that_is_not_there_is_not_found_with_the_place_to_look(served: Served) -> None:
    status, problem, _ = await served.ask("GET", "kinds/unknown")
    assert (status, problem["code"]) == (404, "not_found")
    assert "/v1/namespaces/default/kinds" in problem["remedy"]


async def test_a_pushed_graph_is_created_once(served: Served) -> None:
    status, view, _ = await served.ask("POST", "graphs", GRAPH)
    assert (status, view["name"], view["created"]) == (201, "mill", True)
    status, view, _ = await served.ask("POST", "graphs", GRAPH)
    assert (status, view["created"]) == (200, False)


async def test_graphs_are_listed_and_shown(served: Served) -> None:
    await served.ask("POST", "graphs", GRAPH)
    assert (await served.ask("GET", "graphs?limit=7&after=x"))[1]["items"][0]["name"] == "mill"
    assert ("graphs", "default", 7, "x") in served.engine.asked
    assert (await served.ask("GET", "graphs/mill?version=3"))[1]["spec"]["nodes"][0]["kind"] == "grind"
    assert ("graph", "default", "mill", 3) in served.engine.asked
    assert (await served.ask("GET", "graphs/other"))[0] == 404


async def test_a_name_may_hold_a_slash(served: Served) -> None:
    await served.ask("PUT", "kinds", {"kinds": [{"name": "a/b c"}]})
    assert (await served.ask("GET", "kinds/a/b%20c"))[0] == 200


async def test_a_trigger_makes_a_run_once_per_key(served: Served) -> None:
    request = {"graph": "mill", "inputs": {"x": [1, 2]}, "idempotency_key": "k"}
    assert (await served.ask("POST", "runs", request))[:2] == (201, {"id": 1, "created": True})
    assert (await served.ask("POST", "runs", request))[:2] == (200, {"id": 1, "created": False})


async def test_a_batch_of_triggers_is_one_engine_call(served: Served) -> None:
    status, refs, _ = await served.ask("POST", "runs/batch", {"runs": [{"graph": "a"}, {"graph": "b"}]})
    assert (status, [ref["id"] for ref in refs]) == (201, [1, 2])
    assert ("trigger", "default", 2) in served.engine.asked


async def test_runs_are_listed_by_state_and_graph(served: Served) -> None:
    status, page, _ = await served.ask("GET", "runs?state=FAILED&graph=mill&limit=2&after=c&filter=tag.a%3Db")
    assert (status, page) == (200, {"items": [], "after": "next"})
    asked = {"filter": "tag.a=b", "state": "FAILED", "graph": "mill", "limit": 2, "after": "c"}
    assert ("runs", "default", asked) in served.engine.asked


@pytest.mark.parametrize("verb", ["cancel", "retry"])
async def test_many_runs_are_cancelled_and_retried_a_page_at_a_time(served: Served, verb: str) -> None:
    request = {"filter": "graph=mill", "dry_run": True, "limit": 2, "after": "b"}
    status, answer, _ = await served.ask("POST", f"runs/{verb}", request)
    skipped = [{"id": 1, "code": "ended", "message": "it has ended"}]
    assert (status, answer) == (200, {"matched": 2, "done": [2], "skipped": skipped, "after": "c"})
    assert ("bulk", "default", verb, BulkRequest(**request)) in served.engine.asked
    status, problem, _ = await served.ask("POST", f"runs/{verb}", {"filters": "graph=mill"})
    assert (status, problem["code"]) == (400, "invalid")
    assert (await served.ask("GET", f"runs/{verb}"))[0] == 405


async def test_a_run_is_shown_cancelled_retried_and_explained(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "mill"})
    status, view, _ = await served.ask("GET", "runs/1")
    assert (status, view["state"], view["created_at"]) == (200, "RUNNING", "2026-01-02T03:04:05Z")
    assert (await served.ask("POST", "runs/1/cancel"))[1]["state"] == "CANCELLED"
    status, answer, _ = await served.ask("POST", "runs/1/retry")
    assert (status, answer["retried"], answer["fired"], answer["rerun"]) == (200, 2, ["total"], [])
    assert (await served.ask("POST", "runs/1/retry?rerun_below=true"))[1]["rerun"] == ["total"]
    assert (await served.ask("GET", "runs/1/explain"))[1]["because"] == ["it waits for a runner"]
    assert (await served.ask("GET", "runs/9"))[0] == 404


async def test_a_task_is_retried(served: Served) -> None:
    assert (await served.ask("POST", "tasks/4/retry"))[1]["retried"] == 1
    assert (await served.ask("POST", "tasks/5/retry?rerun_below=true"))[0] == 200
    assert [asked[-2:] for asked in served.engine.asked if asked[0] == "retry_task"] == [(4, False), (5, True)]
    assert (await served.ask("POST", "tasks/5/retry?rerun_below=perhaps"))[0] == 400


async def test_a_task_is_cancelled(served: Served) -> None:
    status, view, _ = await served.ask("POST", "tasks/1/cancel")
    assert (status, view["id"]) == (200, 1)
    assert ("cancel task", "default", 1) in served.engine.asked
    assert (await served.ask("POST", "tasks/9/cancel"))[0] == 404


async def test_a_result_is_its_own_bytes(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "mill"})
    status, problem, _ = await served.ask("GET", "runs/1/result")
    assert (status, problem["code"]) == (409, "conflict")
    served.engine.settle(1, "SUCCEEDED", b'{"total": 12.50}')
    status, result, headers = await served.ask("GET", "runs/1/result", raise_for_status=True)
    assert (status, result, headers["content-type"]) == (200, {"total": 12.5}, "application/json")


@pytest.mark.parametrize(("error", "code"), [(failed_run(), "run_failed"), (NoResult("pruned"), "no_result")])
async def test_a_run_without_a_result_is_a_conflict_with_its_own_code(
    served: Served, error: Exception, code: str
) -> None:
    await served.ask("POST", "runs", {"graph": "mill"})
    served.engine.settle(1, "FAILED", error)
    status, problem, _ = await served.ask("GET", "runs/1/result")
    assert (status, problem["code"]) == (409, code)


async def test_waiting_for_a_run_ends_with_the_run(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "mill"})
    waiting = asyncio.ensure_future(served.ask("GET", "runs/1?wait_s=60"))
    await served.engine.waiting.wait()
    served.engine.settle(1, "SUCCEEDED", b"1")
    assert (await waiting)[1]["state"] == "SUCCEEDED"


async def test_a_client_that_stops_waiting_for_a_run_ends_the_wait(served: Served) -> None:
    await served.ask("POST", "runs", {"graph": "mill"})
    waiting = asyncio.ensure_future(served.ask("GET", "runs/1?wait_s=60"))
    await served.engine.waiting.wait()
    waiting.cancel()
    await served.engine.hung_up.wait()


async def test_tasks_attempts_logs_and_explanations_are_shown(served: Served) -> None:
    path = "runs/1/tasks?filter=attempt%3E1&state=READY&node=n&limit=5"
    assert (await served.ask("GET", path))[1]["items"][0]["node"] == "n"
    asked = {"filter": "attempt>1", "state": "READY", "node": "n", "limit": 5, "after": None, "past": False}
    assert ("tasks", "default", 1, asked) in served.engine.asked
    assert (await served.ask("GET", "tasks/1"))[1]["state"] == "READY"
    assert (await served.ask("GET", "tasks/2"))[0] == 404
    assert (await served.ask("GET", "tasks/1/explain"))[1]["because"] == ["no runner offers its kind"]
    assert (await served.ask("GET", "tasks/1/attempts"))[1][0]["outcome"] == "lost"
    assert (await served.ask("GET", "tasks/1/logs?after=3"))[1]["items"][0]["cursor"] == 5
    wanted = "limit=9&node=n&task=7&stream=stdout&since=10m&wait_s=5"
    assert (await served.ask("GET", f"runs/4/logs?{wanted}"))[1]["items"][0]["text"] == "hello"
    logs = [asked[2] for asked in served.engine.asked if asked[0] == "logs"]
    assert logs == [
        {"run": None, "task": 1, "limit": 200, "after": 3, **dict.fromkeys(("node", "stream", "since")), "wait_s": 0.0},
        {
            "run": 4,
            "task": 7,
            "limit": 9,
            "after": 0,
            "node": "n",
            "stream": "stdout",
            "since": "10m",
            "wait_s": 5.0,
        },
    ]


async def test_a_report_gets_a_receipt_for_each_part(served: Served) -> None:
    reports = [
        {"verb": "complete", "task": 1, "attempt": 1, "items": [{"value": {"y": 2}}]},
        {"verb": "prune", "task": 2, "attempt": 4},
    ]
    status, answer, _ = await served.ask("POST", "reports", {"session": SESSION, "reports": reports})
    assert (status, [receipt["status"] for receipt in answer["receipts"]]) == (200, ["accepted", "stale"])


async def test_a_report_may_bring_the_next_task(served: Served) -> None:
    served.engine.offered.put_nowait(assignment())
    _, answer, _ = await served.ask("POST", "reports", {"session": SESSION, "want": 1})
    assert answer["tasks"][0]["input"] == {"x": 1}


async def test_the_input_of_a_task_is_streamed_to_its_session(served: Served) -> None:
    headers = {"Stoker-Session": SESSION}
    assert (await served.ask("GET", "tasks/4/input?attempt=1", headers=headers))[:2] == (200, {"xs": [1, 2]})
    assert ("input", SESSION, 4, 1) in served.engine.asked
    status, problem, _ = await served.ask("GET", "tasks/4/input?attempt=2", headers=headers)
    assert (status, problem["code"]) == (409, "conflict")


async def test_without_a_session_the_recorded_input_and_items_of_a_task_are_streamed(served: Served) -> None:
    assert (await served.ask("GET", "tasks/4/input"))[:2] == (200, {"draft": "x"})
    assert (await served.ask("GET", "tasks/4/input?attempt=2"))[0] == 200
    assert (await served.ask("GET", "tasks/4/items"))[:2] == (200, [1, 2])
    asked = [call for call in served.engine.asked if call[0].startswith("recorded")]
    assert asked == [
        ("recorded input", "default", 4, None),
        ("recorded input", "default", 4, 2),
        ("recorded items", "default", 4),
    ]


async def test_a_fork_is_passed_on_and_a_dry_run_makes_none(served: Served) -> None:
    status, answer, _ = await served.ask("POST", "runs/4/fork", {"from": "a", "edits": [{"node": "b", "value": [1]}]})
    assert (status, answer["run"], answer["origin"]) == (201, 7, 4)
    asked = served.engine.asked[-1][3]
    assert (asked.from_, asked.branch, bytes(asked.edits[0].value)) == ("a", None, b"[1]")
    status, answer, _ = await served.ask("POST", "runs/4/fork", {"from": "a", "branch": "s[1]", "dry_run": True})
    assert (status, answer["run"]) == (200, None)
    assert (await served.ask("POST", "runs/4/fork", {}))[0] == 400


async def test_manifests_are_streamed_verified_and_compared(served: Served) -> None:
    status, body, headers = await served.ask("GET", "runs/4/manifest")
    assert (status, body) == (200, b'{"run":4}\n{"tasks":0}\n')
    assert headers["content-type"] == "application/x-ndjson"
    assert (await served.ask("GET", "runs/4/verify"))[1]["fits"]
    assert (await served.ask("GET", "runs/4/diff?other=5"))[1]["right"] == 5
    assert (await served.ask("GET", "runs/4/diff"))[0] == 400
    asked = [("manifest", "default", 4), ("verify", "default", 4), ("diff", "default", 4, 5)]
    assert served.engine.asked[-3:] == asked


async def test_a_session_that_leaves_is_passed_on(served: Served) -> None:
    assert (await served.ask("DELETE", "sessions", headers={"Stoker-Session": SESSION}))[0] == 204
    assert ("leave", SESSION) in served.engine.asked


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "sessions", None),
        ("POST", "reports", {"session": "short"}),
        ("POST", "claims", {"session": SESSION.upper(), "runner": {"name": "r", "kinds": []}, "want": 1}),
    ],
)
async def test_a_malformed_session_is_refused(served: Served, method: str, path: str, body: object) -> None:
    status, problem, _ = await served.ask(method, path, body)
    assert status == 400
    assert "32 lowercase hex digits" in problem["detail"]
    assert problem["place"] in ("header.Stoker-Session", "body.session")


async def test_runners_are_listed(served: Served) -> None:
    assert (await served.ask("GET", "runners"))[1][0]["name"] == "r"


async def test_tokens_are_made_listed_and_revoked(served: Served) -> None:
    status, view, _ = await served.ask("POST", "/v1/tokens", {"name": "ci", "scopes": ["trigger"]})
    assert (status, view["token"]) == (201, "shown-once")
    assert [row["token"] for row in (await served.ask("GET", "/v1/tokens"))[1]] == [None]
    assert (await served.ask("DELETE", "/v1/tokens/1"))[0] == 204
    assert (await served.ask("DELETE", "/v1/tokens/1"))[0] == 404


async def test_roles_are_made_changed_listed_and_deleted(served: Served) -> None:
    status, view, _ = await served.ask("PUT", "/v1/roles/night", {"scopes": ["read"]})
    assert (status, view["scopes"], view["created"]) == (201, ["read"], True)
    assert (await served.ask("PUT", "/v1/roles/night", {"scopes": ["read", "trigger"]}))[0] == 200
    assert [role["name"] for role in (await served.ask("GET", "/v1/roles"))[1]] == ["night"]
    assert (await served.ask("PUT", "/v1/roles/night", {"scopes": ["fly"]}))[1]["place"] == "body.scopes[0]"
    assert (await served.ask("DELETE", "/v1/roles/night"))[0] == 204
    assert (await served.ask("DELETE", "/v1/roles/night"))[0] == 404


async def test_whoami_tells_what_the_token_allows(served: Served) -> None:
    served.engine.allow("r", "run", namespaces=("b", "a"), kinds=("k",))
    _, answer, _ = await served.ask("GET", "/v1/whoami", headers={"Authorization": "Bearer r"})
    assert answer == {"name": "r", "scopes": ["run"], "namespaces": ["a", "b"], "kinds": ["k"], "role": None}


async def test_the_home_page_needs_no_token_and_loads_nothing(served: Served) -> None:
    headers = {"Authorization": "", "Accept": "text/html"}
    status, page, answered = await served.ask("GET", "/", headers=headers)
    assert status == 200
    assert answered["content-type"] == "text/html; charset=utf-8"
    assert b"1.2.3" in page
    assert b"/openapi.json" in page
    assert b"src=" not in page
    assert b"http://" not in page
    assert "default-src 'none'" in answered["content-security-policy"]


async def test_the_style_of_the_home_page_is_what_its_policy_allows(served: Served) -> None:
    _, page, headers = await served.ask("GET", "/")
    style = page.split(b"<style>")[1].split(b"</style>")[0]
    allowed = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"'sha256-{allowed}'" in headers["content-security-policy"]


async def test_the_home_page_is_json_for_programs(served: Served) -> None:
    _, about, _ = await served.ask("GET", "/", headers={"Accept": "application/json"})
    assert (about["name"], about["version"], about["openapi"]) == ("stoker", "1.2.3", "/openapi.json")


async def test_health_asks_nothing_and_readiness_asks_the_engine(served: Served) -> None:
    assert (await served.ask("GET", "/healthz"))[:2] == (200, {"status": "up"})
    assert served.engine.asked == []
    assert (await served.ask("GET", "/readyz"))[:2] == (200, {"status": "ready"})
    assert served.engine.asked == [("ready",)]


async def test_head_is_get_without_the_body(served: Served) -> None:
    status, body, headers = await served.ask("HEAD", "/healthz")
    assert (status, body, headers["content-length"]) == (200, None, "15")


async def test_a_run_stands_below_the_span_that_the_header_names_if_it_is_one(served: Served) -> None:
    parent = f"00-{7:032x}-{9:016x}-01"
    await served.ask("POST", "graphs", {"graph": {"name": "g", "nodes": []}})
    for headers in ({"traceparent": parent}, {"traceparent": "odd"}, {}):
        await served.ask("POST", "runs", {"graph": "g"}, headers=headers)
    await served.ask("POST", "runs/batch", {"runs": [{"graph": "g"}]}, headers={"Traceparent": parent})
    assert served.engine.traceparents == [parent, None, None, parent]
