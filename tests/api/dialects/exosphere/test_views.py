"""What a page of the dashboard is made of: nodes, runs, a run as a graph, one state, and its retry by hand."""

from __future__ import annotations

import re
from typing import Any

import aiohttp

from api.dialects.exosphere.conftest import Spoken
from api.dialects.exosphere.sdk import Sdk
from engine.overlook import agree
from engine.plant import NS, after, join, node
from stoker.core.graph import Retry, RunInput
from stoker.core.views import TokenRequest
from stoker.errors import Unavailable

SOON = Retry(attempts=2, strategy="fixed", base="1s")
ID = re.compile(r"[A-Za-z0-9_-]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def key(spoken: Spoken, *scopes: Any, **more: Any) -> str:
    made = await spoken.plant.engine.tokens.create(TokenRequest(name="-".join(scopes), scopes=list(scopes), **more))
    assert made.token
    return made.token


async def asked(spoken: Spoken, method: str, path: str, body: Any = None, *, as_: str = "", **headers: str) -> Any:
    """Status and JSON, by a token that may read and retry."""
    with_key = as_ or await key(spoken, "read", "trigger")
    return await Sdk(spoken.url, with_key).ask(method, path, body, **headers)


async def got(spoken: Spoken, path: str) -> Any:
    status, answer = await asked(spoken, "GET", path)
    assert status == 200, answer
    return answer


async def drawn(spoken: Spoken, run: int) -> Any:
    return await got(spoken, f"states/run/{spoken.plant.engine.opaque.uuid(run)}/graph")


async def details(spoken: Spoken, run: int, id_: str) -> Any:
    return await got(spoken, f"graph/sample/run/{spoken.plant.engine.opaque.uuid(run)}/node/{id_}")


async def retried(spoken: Spoken, id_: str, fanout: str) -> Any:
    return await asked(spoken, "POST", f"state/{id_}/manual-retry", {"fanout_id": fanout})


async def test_a_registered_node_is_listed_with_its_runtime_and_what_waits_for_it(spoken: Spoken) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    shape = {"inputs_schema": schema, "outputs_schema": {}, "secrets": ["token"]}
    body = {"runtime_name": "first", "runtime_namespace": NS, "nodes": [{"name": "Work", "namespace": NS, **shape}]}
    runner = await key(spoken, "run")
    for name in ("first", "second"):
        status, answer = await asked(spoken, "PUT", "nodes/", body | {"runtime_name": name}, as_=runner)
        assert (status, answer) == (200, {"runtime_name": name, "registered_nodes": [{"name": "Work", **shape}]})
    await spoken.plant.push(node("a", kind="Work"), kinds=())
    await spoken.plant.trigger()
    await spoken.sdk("Work").enqueue()
    await spoken.plant.trigger()
    listed = await got(spoken, "nodes/")
    (found,) = listed["nodes"]
    assert (listed["count"], found["runtime_name"], found["ready"], found["leased"]) == (1, "second", 1, 1)
    assert found["inputs_schema"] == schema
    assert found["secrets"] == ["token"]
    assert TIME.fullmatch(found["last_seen_at"])
    assert (await got(spoken, spoken.url + "/v0/namespaces"))["namespaces"] == [NS]
    assert await got(spoken, spoken.url + "/v0/namespace/nowhere/nodes") == {
        "namespace": "nowhere",
        "count": 0,
        "nodes": [],
    }


async def test_names_and_times_of_nodes_that_cannot_be_are_refused_each_with_its_place(spoken: Spoken) -> None:
    shape = {"inputs_schema": {}, "outputs_schema": {}, "secrets": []}
    body = {"runtime_name": "r", "nodes": [{"name": "a\u0007", **shape}, {"name": "b", "timeout_minutes": 0, **shape}]}
    status, answer = await asked(spoken, "PUT", "nodes", body, as_=await key(spoken, "run"))
    assert status == 422
    assert [entry["loc"] for entry in answer["detail"]] == [
        ["body", "nodes", 0, "name"],
        ["body", "nodes", 1, "timeout_minutes"],
    ]


async def test_a_token_sees_only_namespaces_that_it_is_for(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    other = await key(spoken, "read", namespaces=["elsewhere"])
    status, answer = await asked(spoken, "GET", spoken.url + "/v0/namespaces", as_=other)
    assert (status, answer) == (200, {"namespaces": [], "count": 0})
    status, answer = await asked(spoken, "GET", "runs/1/10", as_=other)
    assert (status, answer) == (403, {"detail": f"API key has no access to namespace {NS}"})
    lacking = await key(spoken, "run")
    status, answer = await asked(spoken, "GET", "runs/1/10", as_=lacking)
    assert (status, answer) == (403, {"detail": "API key lacks scope read"})


async def test_health_needs_no_key_and_says_when_the_database_does_not_answer(spoken: Spoken, monkeypatch: Any) -> None:
    async def away() -> list[str]:
        raise Unavailable("it is away")

    async with aiohttp.ClientSession() as session:
        async with session.get(spoken.url + "/health") as response:
            assert (response.status, await response.json()) == (200, {"message": "OK"})
            assert response.headers["x-exosphere-request-id"]
        monkeypatch.setattr(spoken.plant.engine, "ready", away)
        async with session.get(spoken.url + "/health") as response:
            assert (response.status, await response.json()) == (503, {"message": "storage unavailable"})


async def test_runs_are_paged_with_counts_and_a_total(spoken: Spoken) -> None:
    await spoken.plant.push(node("a", kind="many", retry=SOON))
    runs = [await spoken.plant.trigger() for _ in range(3)]
    sdk = spoken.sdk()
    first, second, _ = await sdk.enqueue()
    await sdk.executed(first["state_id"], *({"n": str(number)} for number in range(10)))
    await sdk.errored(second["state_id"])
    page = await got(spoken, "runs/1/2")
    assert (page["total"], page["page"], page["size"], len(page["runs"])) == (3, 1, 2, 2)
    rest = await got(spoken, "runs/2/2")
    lines = {line["run_id"]: line for line in [*page["runs"], *rest["runs"]]}
    names = [spoken.plant.engine.opaque.uuid(run) for run in runs]
    assert {*lines} == {*names}
    sorts = ("success", "pending", "errored", "retried", "total")
    counts = [(*(lines[name][f"{sort}_count"] for sort in sorts), lines[name]["status"]) for name in names]
    assert counts == [(10, 0, 0, 0, 10, "SUCCESS"), (0, 1, 0, 1, 2, "PENDING"), (0, 1, 0, 0, 1, "PENDING")]
    assert len((await got(spoken, "runs/1/0"))["runs"]) == 3
    assert (await got(spoken, spoken.url + "/v0/namespace/nowhere/runs/1/10"))["total"] == 0
    for path, sort in (
        ("runs/0/10", "greater_than_equal"),
        ("runs/x/10", "int_parsing"),
        ("runs/1/-1", "greater_than_equal"),
    ):
        status, answer = await asked(spoken, "GET", path)
        assert (status, answer["detail"][0]["type"]) == (422, sort)


async def test_a_run_is_drawn_with_every_id_opening_in_detail(spoken: Spoken) -> None:
    plant, sdk = spoken.plant, spoken.sdk()
    await plant.push(
        node("s", kind="many", bind={"given": RunInput(name="x")}),
        node("b", after("s"), retry=SOON),
        node("m", join("b", anchor="s")),
        inputs=("x",),
    )
    run = await plant.trigger(inputs={"x": {"deep": [1, "two"]}})
    await sdk.executed((await sdk.take())["state_id"], {"r": "0"}, {"r": 1})
    first, second = await sdk.enqueue()
    await sdk.executed(first["state_id"], {"r": "done"})
    await sdk.errored(second["state_id"], "no luck")
    await plant.pass_time(2)
    await sdk.executed((await sdk.take())["state_id"], {"r": "late"})
    seen = await drawn(spoken, run)
    assert (seen["graph_name"], seen["node_count"], seen["edge_count"]) == ("sample", 6, len(seen["edges"]))
    assert {state["identifier"] for state in seen["root_states"]} == {"s"}
    assert len(seen["root_states"]) == 2
    opened = {each["id"]: await details(spoken, run, each["id"]) for each in seen["nodes"]}
    for each in seen["nodes"]:
        assert ID.fullmatch(each["id"])
        assert all(opened[each["id"]][name] == value for name, value in each.items())
    one = {each["status"]: each for each in opened.values() if each["identifier"] == "b" and each["attempt"] == 1}
    again = next(each for each in opened.values() if each["identifier"] == "b" and each["attempt"] == 2)
    assert (one["RETRY_CREATED"]["error"], one["RETRY_CREATED"]["retry_count"]) == ("no luck", 0)
    assert (again["outputs"], again["retry_count"]) == ({"r": "late"}, 1)
    roots = [opened[each["id"]] for each in seen["root_states"]]
    assert [each["outputs"] for each in roots] == [{"r": "0"}, {"r": "1"}]
    assert all(each["inputs"] == {"given": '{"deep":[1,"two"]}'} for each in roots)
    assert again["parents"] == {"s": roots[1]["id"]}
    (m,) = [each for each in opened.values() if each["identifier"] == "m"]
    assert m["parents"] == {"s": roots[0]["id"]}
    assert {*m["joined"]} == {again["id"], one["SUCCESS"]["id"]}
    assert {edge["source"] for edge in seen["edges"] if edge["target"] == m["id"]} == {*m["joined"]}
    await agree(plant)


async def test_what_is_not_there_is_told_in_the_words_of_the_dialect(spoken: Spoken) -> None:
    plant = spoken.plant
    await plant.push(node("a"))
    run = plant.engine.opaque.uuid(await plant.trigger())
    state = (await spoken.sdk().take())["state_id"]
    nothing = await got(spoken, "states/run/0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10/graph")
    assert (nothing["graph_name"], nothing["nodes"], len(nothing["execution_summary"])) == ("", [], 8)
    status, answer = await asked(spoken, "GET", f"graph/sample/run/{run}/node/a.b")
    assert (status, answer) == (400, {"detail": "Invalid node ID format: a.b"})
    wrong = state[:-1] + ("0" if state[-1] != "0" else "1")
    for graph, id_ in (("sample", wrong), ("other", state), ("sample", "nothing")):
        status, answer = await asked(spoken, "GET", f"graph/{graph}/run/{run}/node/{id_}")
        assert (status, answer) == (404, {"detail": f"Node {id_} not found in run {run} for graph {graph}"})
    status, answer = await retried(spoken, wrong, "f")
    assert (status, answer) == (404, {"detail": "State not found"})


async def test_data_of_a_prune_are_shown(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    run = await spoken.plant.trigger()
    state = (await spoken.sdk().take())["state_id"]
    await spoken.sdk().prune(state, why="nothing to do", n=1)
    found = await details(spoken, run, state)
    assert (found["status"], found["data"]) == ("PRUNED", {"why": "nothing to do", "n": 1})


async def test_a_failed_branch_that_is_retried_by_hand_reopens_the_joins_above_it(spoken: Spoken) -> None:
    plant, sdk = spoken.plant, spoken.sdk()
    once = Retry(attempts=1)
    await plant.push(
        node("s", kind="many"),
        node("b", after("s"), retry=once),
        node("m", join("b", anchor="s")),
        node("e", after("m")),
    )
    run = await plant.trigger()
    await sdk.executed((await sdk.take())["state_id"], {}, {})
    first, second = await sdk.enqueue()
    await sdk.errored(first["state_id"])
    await sdk.errored(second["state_id"])
    (m,) = [each for each in (await drawn(spoken, run))["nodes"] if each["identifier"] == "m"]
    status, answer = await retried(spoken, m["id"], "f")
    named = f"{first['state_id']}, {second['state_id']}"
    assert (status, answer["detail"]) == (409, f"State is a skipped join; retry instead: {named}")
    status, answer = await retried(spoken, first["state_id"], "f")
    assert (status, answer["status"], answer["fired_joins"]) == (200, "CREATED", [])
    assert (await details(spoken, run, answer["id"]))["retry_count"] == 0
    status, repeat = await retried(spoken, first["state_id"], "f")
    assert (status, repeat["detail"]) == (409, "Duplicate retry state detected")
    status, superseded = await retried(spoken, first["state_id"], "g")
    assert (status, superseded["detail"]) == (409, "State is not in a failed state")
    assert (await sdk.take())["state_id"] == answer["id"]
    await sdk.executed(answer["id"], {})
    assert (await got(spoken, "runs/1/1"))["runs"][0]["status"] == "FAILED"
    status, answer = await retried(spoken, second["state_id"], "f")
    assert status == 200
    for _ in range(3):
        await sdk.executed((await sdk.take())["state_id"], {})
    line = (await got(spoken, "runs/1/1"))["runs"][0]
    assert (line["status"], line["retried_count"], line["errored_count"]) == ("SUCCESS", 2, 0)
    status, answer = await retried(spoken, (await sdk_state(spoken, run, "e")), "f")
    assert (status, answer["detail"]) == (409, "State is not in a failed state")


async def sdk_state(spoken: Spoken, run: int, identifier: str) -> str:
    found: str = next(each["id"] for each in (await drawn(spoken, run))["nodes"] if each["identifier"] == identifier)
    return found


async def test_a_state_of_a_cancelled_run_is_retried_with_its_run_alone(spoken: Spoken) -> None:
    plant = spoken.plant
    await plant.push(node("a"), node("b"))
    run = await plant.trigger()
    await spoken.sdk("one").enqueue(1)
    await plant.engine.runs.cancel(NS, run)
    for each in (await drawn(spoken, run))["nodes"]:
        status, answer = await retried(spoken, each["id"], "f")
        assert (status, answer["detail"]) == (409, "Run is cancelled; retry the run")
    await plant.pass_time(31)
    for each in (await drawn(spoken, run))["nodes"]:
        assert each["error"] in ("cancelled", "cancelled, unconfirmed")
        status, answer = await retried(spoken, each["id"], "f")
        assert (status, answer["detail"]) == (409, "Run is cancelled; retry the run")


async def test_a_lost_and_a_timed_out_attempt_say_so(spoken: Spoken) -> None:
    plant, sdk = spoken.plant, spoken.sdk()
    await plant.push(node("a", lease=5, retry=SOON), node("b", after("a"), timeout=3, retry=Retry(attempts=1)))
    run = await plant.trigger()
    await sdk.take()
    await plant.pass_time(5)
    await sdk.executed((await sdk.take())["state_id"], {})
    await sdk.take()
    await plant.pass_time(3)
    errors = [(each["status"], each["error"]) for each in (await drawn(spoken, run))["nodes"]]
    assert ("RETRY_CREATED", "lost: no report in 5 s") in errors
    assert ("ERRORED", "timeout: no report in 3 s") in errors


async def test_a_run_opens_by_the_id_that_it_had_before_the_keys_were_rotated(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    run = await spoken.plant.trigger()
    state = (await spoken.sdk().take())["state_id"]
    path = f"graph/sample/run/{spoken.plant.engine.opaque.uuid(run)}/node/{state}"
    await spoken.plant.engine.opaque.rotate()
    assert (await got(spoken, path))["status"] == "QUEUED"


async def test_what_no_database_keeps_is_no_key_of_a_retry(everywhere: Spoken) -> None:
    await everywhere.plant.push(node("a", retry=Retry(attempts=1)))
    await everywhere.plant.trigger()
    sdk = everywhere.sdk()
    state = (await sdk.take())["state_id"]
    await sdk.errored(state)
    for key in ("a\0b", "x" * 201, ""):
        status, answer = await retried(everywhere, state, key)
        assert (status, answer["detail"][0]["loc"]) == (422, ["body", "fanout_id"])
    status, answer = await retried(everywhere, state, "a b")
    assert (status, answer["status"]) == (200, "CREATED")


async def test_a_state_that_succeeded_in_a_cancelled_run_is_told_so_too(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    run = await spoken.plant.trigger()
    state = (await spoken.sdk().take())["state_id"]
    await spoken.plant.engine.runs.cancel(NS, run)
    await spoken.sdk().executed(state, {})
    status, answer = await retried(spoken, state, "f")
    assert (status, answer["detail"]) == (409, "Run is cancelled; retry the run")
