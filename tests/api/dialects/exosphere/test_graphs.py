"""Graph templates over the wire: put, shown, triggered, and run to their end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.dialects.exosphere.conftest import AUTHOR, Spoken, author
from api.dialects.exosphere.putting import at_home, put, register, start
from api.dialects.exosphere.samples import WORK, node, schema
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS as HOME
from engine.plant import encoded
from stoker.core.graph import KindSpec
from stoker.core.views import TokenRequest, TriggerRequest


def tops(states: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(state["identifier"], state["inputs"]) for state in states]


async def test_what_was_put_is_shown_with_all_of_its_parts_and_no_secret(sdk: Sdk) -> None:
    policy = {"max_retries": 2, "strategy": "FIXED", "backoff_factor": 10, "exponent": 2, "max_delay": None}
    store = {"required_keys": ["k"], "default_values": {"d": "1"}}
    triggers = [{"type": "CRON", "value": {"expression": "0 9 * * * 30", "timezone": "America/New_York"}}]
    more = {"retry_policy": policy, "store_config": store, "triggers": triggers, "secrets": {"KEY": "hush", "b": ""}}
    answer = await put(sdk, node(" a ", "b"), node("b", next_nodes=None), **more)
    assert (answer["validation_status"], answer["validation_errors"], answer["version"]) == ("VALID", [], 1)
    assert [each["identifier"] for each in answer["nodes"]] == ["a", "b"]
    assert answer["nodes"][1]["next_nodes"] == []
    assert (answer["retry_policy"], answer["store_config"], answer["triggers"]) == (policy, store, triggers)
    assert answer["secrets"] == {"KEY": True, "b": True}
    assert "hush" not in json.dumps(answer)
    status, shown = await sdk.ask("GET", "graph/g")
    assert (status, shown) == (200, answer)
    status, listed = await sdk.ask("GET", "graphs/")
    assert (status, listed["count"], listed["templates"][0]["name"]) == (200, 1, "g")


async def test_a_refused_template_leaves_the_one_before(sdk: Sdk) -> None:
    await put(sdk, node("a"))
    status, answer = await sdk.ask("PUT", "graph/g", at_home(node("a"), node("b")))
    assert (status, answer["detail"].split(": ")[0]) == (400, "Error validating graph template")
    status, answer = await sdk.ask("PUT", "graph/g", {"nodes": []})
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "secrets"])
    assert (await sdk.ask("GET", "graph/g"))[1]["version"] == 1


async def test_an_invalid_template_is_the_newest_and_cannot_be_triggered(spoken: Spoken, sdk: Sdk) -> None:
    await put(sdk, node("a"))
    answer = await put(sdk, node("a", node_name="No"), triggers=[{"value": {"expression": "@hourly"}}])
    assert (answer["validation_status"], answer["version"]) == ("INVALID", 2)
    assert answer["validation_errors"] == [f"Node No in namespace {HOME} does not exist"]
    assert await sdk.ask("POST", "graph/g/trigger", {}) == (400, {"detail": "Graph template is not valid"})
    spoken.plant.clock.advance(3_600)
    await spoken.plant.tick()
    (schedule,) = (await spoken.plant.engine.schedules.list(HOME, limit=9, after=None)).items
    (firing,) = (await spoken.plant.engine.schedules.firings(HOME, schedule.name, limit=9, after=None)).items
    assert firing.outcome == "failed"
    assert f"Node No in namespace {HOME} does not exist" in firing.reason
    assert (await put(sdk, node("a")))["version"] == 3


async def test_what_is_not_there_is_told_in_two_ways(sdk: Sdk) -> None:
    assert await sdk.ask("GET", "graph/z") == (404, {"detail": f"Graph template z not found in namespace {HOME}"})
    found = f"Graph template not found for namespace {HOME} and graph z"
    assert await sdk.ask("POST", "graph/z/trigger", {}) == (404, {"detail": found})


async def test_inputs_of_the_trigger_replace_those_of_the_root(sdk: Sdk) -> None:
    store = {"required_keys": ["k"], "default_values": {"d": "default"}}
    await put(sdk, node("a", inputs={"x": "<${{ store.k }}|${{ store.d }}>", "own": "kept"}), store_config=store)
    await start(sdk, store={"k": "${{ 5", "other": "1"})
    await start(sdk, store={"k": "1", "d": "2"}, inputs={"x": "${{ store.k }}", "y": "given", "no": "ignored"})
    assert sorted(tops(await sdk.enqueue()), key=str) == [
        ("a", {"x": "${{ store.k }}", "own": "kept", "y": "given"}),
        ("a", {"x": "<${{ 5|default>", "own": "kept"}),
    ]
    missing = await sdk.ask("POST", "graph/g/trigger", {"store": {"d": "1"}})
    assert missing == (400, {"detail": "Missing store keys: {'k'}"})


async def test_the_first_clients_trigger_the_root_by_its_name(sdk: Sdk) -> None:
    await put(sdk, node("a", "b"), node("b"))
    await start(sdk, states=[{"identifier": "a", "inputs": {"x": "1"}}])
    assert tops(await sdk.enqueue()) == [("a", {"x": "1"})]
    refused = (400, {"detail": "Only the root node can be triggered"})
    for states in ([], [{"identifier": "b"}], [{"identifier": "a"}, {"identifier": "b"}]):
        assert await sdk.ask("POST", "graph/g/trigger", {"states": states}) == refused


async def test_a_delayed_start_is_not_given_out_before(spoken: Spoken, sdk: Sdk) -> None:
    await put(sdk, node("a"))
    await start(sdk, start_delay=1_500)
    assert await sdk.enqueue() == []
    spoken.plant.clock.advance(1.4)
    await spoken.plant.tick()
    assert await sdk.enqueue() == []
    spoken.plant.clock.advance(0.1)
    await spoken.plant.tick()
    assert tops(await sdk.enqueue()) == [("a", {})]


async def test_a_splitter_and_a_merger_meet_in_the_order_of_the_chunks(sdk: Sdk) -> None:
    await put(
        sdk,
        node("splitter", "processor"),
        node("processor", "merger", inputs={"x": "chunk ${{ splitter.outputs.x }}"}),
        node("merger", unites="splitter", inputs={"x": "${{ processor.outputs.x }}", "y": "${{ splitter.outputs.y }}"}),
    )
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "0", "y": "a"}, {"x": "1", "y": 5}, {"x": "2"})
    states = await sdk.enqueue()
    assert tops(states) == [("processor", {"x": f"chunk {at}"}) for at in range(3)]
    for at in (2, 0, 1):
        await sdk.executed(states[at]["state_id"], {"x": f"r{at}"} if at else {})
    assert tops(await sdk.enqueue()) == [("merger", {"x": '[null,"r1","r2"]', "y": '["a",5,null]'})]


async def test_a_diamond_runs_once_per_path(sdk: Sdk) -> None:
    answer = await put(
        sdk,
        node("a", "b", "c"),
        node("b", "d"),
        node("c", "d"),
        node("d", "m", inputs={"x": "${{ a.outputs.x }}"}),
        node("m", unites="a", inputs={"x": "${{ d.outputs.x }}"}),
    )
    assert answer["warnings"] == ["Node d is reached over 2 paths and runs once per path"]
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "1"})
    for state in await sdk.enqueue():
        await sdk.executed(state["state_id"], {"x": state["identifier"]})
    states = await sdk.enqueue()
    assert tops(states) == [("d", {"x": "1"})] * 2
    for state in states:
        await sdk.executed(state["state_id"], {"x": "d"})
    assert tops(await sdk.enqueue()) == [("m", {"x": '["d","d"]'})]


async def test_a_field_that_is_not_there_fails_the_child_and_not_its_parent(spoken: Spoken, sdk: Sdk) -> None:
    await put(sdk, node("a", "b"), node("b", inputs={"x": "${{ a.outputs.y }}"}), retry_policy={"max_retries": 5})
    run = await spoken.plant.engine.opaque.run(await start(sdk))
    assert run is not None
    assert await sdk.executed((await sdk.take())["state_id"], {"x": "1"}) == {"status": "EXECUTED"}
    assert await sdk.enqueue() == []
    await spoken.plant.settled()
    first, second = await spoken.plant.tasks(run)
    assert (first.state, second.state) == ("SUCCEEDED", "FAILED")
    (attempt,) = await spoken.plant.engine.views.attempts(HOME, second.id)
    assert "Output field 'y' not found on current state 'a' for template 'b'" in attempt.message


async def test_a_change_of_triggers_replaces_those_of_this_graph_alone(everywhere: Spoken) -> None:
    sdk = await author(everywhere)

    def every(*expressions: str) -> list[dict[str, Any]]:
        return [{"value": {"type": "CRON", "expression": each}} for each in expressions]

    async def crons() -> list[tuple[str, str | None]]:
        page = await everywhere.plant.engine.schedules.list(HOME, limit=9, after=None)
        return sorted((each.spec.graph, each.spec.cron) for each in page.items)

    await put(sdk, node("a"), name="other", triggers=every("0 1 * * *"))
    await put(sdk, node("a"), triggers=every("0 1 * * *", "@hourly", "0 9 * * * 30"))
    kept = ("other", "0 1 * * *")
    assert await crons() == [("g", "0 * * * *"), ("g", "0 1 * * *"), ("g", "30 0 9 * * *"), kept]
    await put(sdk, node("a"), triggers=every("@hourly"))
    assert await crons() == [("g", "0 * * * *"), kept]
    await put(sdk, node("a"))
    assert await crons() == [kept]


async def test_a_schedule_fires_with_what_it_gives(spoken: Spoken, sdk: Sdk) -> None:
    value = {"expression": "@hourly", "inputs": {"x": "1", "no": "2"}, "store": {"k": "v"}}
    await put(
        sdk,
        node("a", inputs={"y": "${{ store.k }}"}),
        store_config={"required_keys": ["k"]},
        triggers=[{"value": value}],
    )
    spoken.plant.clock.advance(3_600)
    await spoken.plant.tick()
    assert tops(await sdk.enqueue()) == [("a", {"y": "v", "x": "1"})]


async def test_a_run_is_pinned_to_the_version_that_it_began_with(sdk: Sdk) -> None:
    await put(sdk, node("a", "b"), node("b", inputs={"x": "old"}))
    await start(sdk)
    await put(sdk, node("a"))
    await sdk.executed((await sdk.take())["state_id"], {})
    assert tops(await sdk.enqueue()) == [("b", {"x": "old"})]


async def test_a_node_of_another_namespace_is_named_by_those_who_may(spoken: Spoken, sdk: Sdk) -> None:
    engine = spoken.plant.engine
    await register(spoken.plant, "there", WORK)
    there = node("b", namespace="there", inputs={"x": "${{ a.outputs.x }}"})
    await put(sdk, node("a", "b"), there)
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "1"})
    assert await sdk.enqueue() == []
    away = Sdk(spoken.url, spoken.key, "Work", namespace="there")
    assert tops(await away.enqueue()) == [("b", {"x": "1"})]
    only = (await engine.tokens.create(TokenRequest(name="only", scopes=AUTHOR, namespaces=[HOME]))).token or ""
    bound = Sdk(spoken.url, only, "Work")
    refused = (403, {"detail": "API key has no access to namespace there"})
    assert await bound.ask("PUT", "graph/g", at_home(node("a", "b"), there)) == refused


async def test_a_kind_that_was_registered_elsewhere_takes_json(spoken: Spoken, sdk: Sdk) -> None:
    native = KindSpec(name="Native", input=schema("n", optional=("o",), n="integer", o="object"))
    await spoken.plant.engine.catalog.put_kinds(HOME, [native])
    inputs = {"n": "4${{ a.outputs.x }}", "o": "${{ a.outputs.y }}"}
    await put(
        sdk,
        node("a", "n"),
        node("n", "b", node_name="Native", inputs=inputs),
        node("b", inputs={"x": "${{ n.outputs.value }}"}),
    )
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "2", "y": {"deep": [1, None]}})
    native_sdk = spoken.sdk("Native")
    state = await native_sdk.take()
    assert state["inputs"] == {"n": "42", "o": '{"deep":[1,null]}'}
    await native_sdk.executed(state["state_id"], {"value": {"a": 1}})
    assert tops(await sdk.enqueue()) == [("b", {"x": '{"a":1}'})]


async def test_the_graph_is_triggered_natively_as_well(spoken: Spoken, sdk: Sdk) -> None:
    await put(sdk, node("a", inputs={"x": "template"}))
    given = {"y": encoded({"number": 5})}
    await spoken.plant.engine.runs.trigger(HOME, [TriggerRequest(graph="g", inputs=given)])
    assert tops(await sdk.enqueue()) == [("a", {"x": "template", "y": '{"number":5}'})]


async def test_more_triggers_than_a_page_has_are_all_replaced(
    spoken: Spoken, sdk: Sdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.engine.schedule_sets._PAGE", 2)
    triggers = [{"type": "CRON", "value": {"expression": f"{minute} * * * *"}} for minute in range(5)]
    await put(sdk, node("a"), name="z", triggers=triggers[:1])
    await put(sdk, node("a"), triggers=triggers)
    await put(sdk, node("a"), triggers=triggers[:1])
    there = await spoken.plant.engine.schedules.list(HOME, limit=10, after=None)
    assert sorted(each.spec.graph for each in there.items) == ["g", "z"]


async def test_a_refusal_says_no_secret_and_names_what_is_wrong(sdk: Sdk) -> None:
    for body in (
        {"secrets": {"KEY": "a plain text"}},
        {"secrets": "a plain text", "nodes": []},
        {"secrets": {"KEY": ["a plain text"]}, "nodes": []},
    ):
        status, answer = await sdk.ask("PUT", "graph/g", body)
        assert status == 422
        assert "a plain text" not in str(answer)
    status, answer = await sdk.ask("PUT", "graph/g", at_home(node("a"), secrets={"a/b": "a plain text"}))
    assert status == 400
    assert "secrets.a/b: the name 'a/b' holds a slash" in answer["detail"]
