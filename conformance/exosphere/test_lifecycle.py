"""What a user of the SDK sees: register, upsert, trigger, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import NS, Refused, SdkSite, alive, node


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[SdkSite]:
    """One server and one runtime for all of these: each has graphs of its own."""
    site = SdkSite(tmp_path_factory.mktemp("site"), python)
    try:
        runtime = site.runtime()
        yield site
        assert alive(runtime)
    finally:
        site.close()


def test_the_sample_registers_is_upserted_without_a_second_look_and_runs(site: SdkSite) -> None:
    told = site.upsert("sample", node("MyNode", data="given"))
    assert told["value"]["validation_status"] == "VALID"
    assert told["asked"] == [f"PUT namespace/{NS}/graph/sample"]
    listed, states = site.run("sample", inputs={"data": "world"})
    assert (listed["status"], listed["success_count"], listed["total_count"]) == ("SUCCESS", 1, 1)
    assert states["mynode"][0]["outputs"] == {"result": "Processed: world"}


def test_what_is_wrong_with_a_graph_is_raised_by_name_and_the_old_graph_stays(site: SdkSite) -> None:
    site.upsert("kept", node("MyNode", data="old"))
    with pytest.raises(Refused, match=f"Node Missing in namespace {NS} does not exist"):
        site.upsert("unregistered", node("Missing"))
    with pytest.raises(
        Refused, match=f"Input data in node MyNode in namespace {NS} is not present in the graph template"
    ):
        site.upsert("without-input", node("MyNode"))
    with pytest.raises(Refused, match="Secret token is required but not present in the graph template"):
        site.upsert("without-secret", node("Secretive"))
    with pytest.raises(Refused, match="There should be exactly one root node in the graph but found 2"):
        site.upsert("kept", node("MyNode", "a", data="new"), node("MyNode", "b", data="new"))
    kept = site.ask_sdk("get", name="kept")["value"]
    assert [each["inputs"] for each in kept["nodes"]] == [{"data": "old"}]


def test_every_output_of_a_leaf_is_a_state_and_none_lets_the_flow_go_on(site: SdkSite) -> None:
    site.upsert("wide", node("Split", count="10"))
    listed, _ = site.run("wide")
    assert (listed["status"], listed["success_count"], listed["total_count"]) == ("SUCCESS", 10, 10)
    site.upsert("nothing", node("Nothing", "a", "b"), node("Nothing", "b"))
    listed, states = site.run("nothing")
    assert (listed["status"], len(states["b"])) == ("SUCCESS", 1)


def test_the_documented_merger_runs_once_with_all_results_in_the_order_of_the_chunks(site: SdkSite) -> None:
    site.upsert(
        "merging",
        node("Split", "splitter", "processor", count="4"),
        node("Process", "processor", "merger", chunk="${{ splitter.outputs.chunk }}"),
        node("Merge", "merger", unites="splitter", results="${{ processor.outputs.result }}"),
    )
    listed, states = site.run("merging")
    assert listed["status"] == "SUCCESS"
    (merger,) = states["merger"]
    assert json.loads(merger["outputs"]["merged"]) == ["r0", "r1", "r2", "r3"]


def test_a_node_gets_the_secrets_that_it_declares_and_no_others(site: SdkSite) -> None:
    site.upsert("secret", node("Secretive"), secrets={"token": "abc", "other": "not-for-it"})
    _, states = site.run("secret")
    assert states["secretive"][0]["outputs"] == {"backwards": "cba ['token']"}
    assert "not-for-it" not in json.dumps(states)


def test_a_pruned_state_keeps_its_data_and_has_nothing_below_it(site: SdkSite) -> None:
    site.upsert("pruning", node("Pruned", "first", "second", why="enough"), node("Nothing", "second"))
    listed, states = site.run("pruning")
    assert (listed["status"], set(states)) == ("SUCCESS", {"first"})
    (state,) = states["first"]
    assert state["status"] == "PRUNED"
    assert state["data"] == {"why": "enough", "deep": {"numbers": [1, 2.5, None]}}


def test_a_state_that_goes_back_runs_again_after_its_delay_and_is_counted_once(site: SdkSite) -> None:
    site.upsert("later", node("Later", ms="300"))
    listed, states = site.run("later")
    assert (listed["status"], listed["total_count"], states["later"][0]["outputs"]) == ("SUCCESS", 1, {"times": "2"})
    (first, _), (second, _) = site.executed("Later")
    assert second - first >= 0.3


def test_a_state_that_always_fails_is_executed_three_times_with_two_retries(site: SdkSite) -> None:
    policy = {"max_retries": 2, "strategy": "FIXED", "backoff_factor": 10}
    site.upsert("failing", node("Fail", message="no way"), retry_policy=policy)
    listed, states = site.run("failing")
    assert (listed["status"], len(site.executed("Fail"))) == ("FAILED", 3)
    assert [state["status"] for state in states["fail"]] == ["RETRY_CREATED", "RETRY_CREATED", "ERRORED"]
    assert {state["error"] for state in states["fail"]} == {"no way"}


def test_a_required_key_of_the_store_may_be_left_out_if_it_has_a_default(site: SdkSite) -> None:
    site.upsert(
        "stored",
        node("MyNode", data="${{ store.greeting }} ${{ store.name }}"),
        store_config={"required_keys": ["greeting", "name"], "default_values": {"greeting": "hello"}},
    )
    with pytest.raises(Refused, match=r"Missing store keys: \{'name'\}"):
        site.trigger("stored")
    _, states = site.run("stored", store={"name": "${{ store.greeting }}"})
    assert states["mynode"][0]["outputs"] == {"result": "Processed: hello ${{ store.greeting }}"}


def test_a_schedule_triggers_by_itself_and_the_graph_shows_it_as_it_was_sent(site: SdkSite) -> None:
    site.upsert("scheduled", node("MyNode", data="tick"), triggers=["* * * * * */1"])
    graph = site.ask_sdk("get", name="scheduled")["value"]
    assert [each["value"]["expression"] for each in graph["triggers"]] == ["* * * * * */1"]
    assert site.run_of("scheduled")["status"] == "SUCCESS"
    site.upsert("scheduled", node("MyNode", data="tick"))  # and no more
