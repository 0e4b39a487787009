"""What the SDK cannot see coming: servers that end, runtimes that end. No work is lost, and no Runtime dies of it."""

from __future__ import annotations

import signal

import pytest
from place import SdkSite, alive, node

from e2e.site import until

CHAIN = (
    node("Split", "a", "b", count="5"),
    node("Process", "b", "c", chunk="${{ a.outputs.chunk }}"),
    node("Merge", "c", unites="a", results="${{ b.outputs.result }}"),
)


def test_what_a_killed_runtime_held_and_had_prefetched_is_done_by_the_next(site: SdkSite) -> None:
    first = site.runtime("first", batch_size=8, workers=2)
    site.put("slow", {"secrets": {}, "nodes": [node("Slow", seconds="0.2", name="x")], "lease": 2})
    runs = site.trigger("slow", times=8)
    until(lambda: len(site.executed("Slow")) >= 2, "states to be executed")
    first.kill()
    second = site.runtime("second", batch_size=8, workers=8)
    listed = site.ended(runs, 30)
    assert {run["status"] for run in listed} == {"SUCCESS"}
    assert sum(run["retried_count"] for run in listed) >= 2
    assert alive(second)


def test_a_server_that_is_killed_hard_under_load_goes_on_and_every_run_ends_well(site: SdkSite) -> None:
    """An answer that is cut off loses its states until their leases end."""
    runtime = site.runtime(batch_size=16, workers=8)
    policy = {"max_retries": 9, "strategy": "FIXED", "backoff_factor": 10}
    site.put("chain", {"secrets": {}, "nodes": list(CHAIN), "lease": 4, "retry_policy": policy})
    runs = site.trigger("chain", times=10)
    for _ in range(3):
        executed = len(site.executed("Process"))
        until(lambda executed=executed: len(site.executed("Process")) > executed, "more states to be executed")
        site.kill_child()
    assert {run["status"] for run in site.ended(runs)} == {"SUCCESS"}
    assert alive(runtime)


@pytest.mark.long
def test_twenty_restarts_under_load_refuse_no_connection_and_no_runtime_ends(site: SdkSite) -> None:
    """Prunes and re-enqueues that met a refusal would end the runtime."""
    runtimes = [site.runtime(f"runtime-{number}", batch_size=8, workers=4) for number in range(2)]
    site.upsert(
        "mixed",
        node("Split", "a", "b", count="6"),
        node("Process", "b", "c", chunk="${{ a.outputs.chunk }}"),
        node("Mixed", "c", number="${{ b.outputs.result }}"),
    )
    runs: list[str] = []
    for _ in range(20):
        runs += site.trigger("mixed", times=3)
        before = site.child()
        site.server.send_signal(signal.SIGHUP)
        until(lambda before=before: site.child() not in (0, before), "the next serving process")
    assert {run["status"] for run in site.ended(runs, 120)} == {"SUCCESS"}
    assert alive(*runtimes)
    assert "Error executing" not in site.log.read_text()


@pytest.mark.long
def test_a_state_that_kills_its_runtime_every_time_fails_at_the_fifth_loss(site: SdkSite) -> None:
    site.runtime("victim")
    graph = {"secrets": {}, "nodes": [node("Deadly")], "lease": 1}
    site.put("deadly", graph)
    (run,) = site.trigger("deadly")
    for number in range(5):
        until(lambda number=number: len(site.executed("Deadly")) > number, "the next victim to be killed")
        if number < 4:
            site.runtime(f"victim-{number}")
    (listed,) = site.ended([run])
    assert listed["status"] == "FAILED"
    states = site.states("deadly", run)["deadly"]
    assert [state["status"] for state in states] == ["RETRY_CREATED"] * 4 + ["ERRORED"]
    assert {state["error"] for state in states} == {"lost: no report in 1 s"}


@pytest.mark.long
def test_two_runtimes_share_a_thousand_runs(site: SdkSite) -> None:
    runtimes = [site.runtime(f"runtime-{number}", batch_size=32, workers=8) for number in range(2)]
    site.upsert("load", node("Counted", number="0"))
    runs = site.trigger("load", times=1_000)
    assert {run["status"] for run in site.ended(runs, 120)} == {"SUCCESS"}
    executed = site.executed("Counted")
    assert len(executed) == 1_000
    assert len({inputs["pid"] for _, inputs in executed}) == 2
    assert alive(*runtimes)
    assert "ERROR" not in site.log.read_text()
