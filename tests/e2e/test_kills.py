"""Real processes, killed on purpose: nothing is lost, nothing is accepted twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

import stoker
from e2e import work
from e2e.site import Site, patiently, until


def assert_settled_once(site: Site, run: int, width: int) -> None:
    """Every task of a `halves` run SUCCEEDED, each once, and the join has exactly its members."""
    tasks = patiently(lambda: site.tasks(run))
    assert Counter(task.state for task in tasks) == {"SUCCEEDED": width + 2}
    assert len({(task.node, task.branch) for task in tasks}) == width + 2
    assert {(r, x) for r, x, _ in site.executions() if r == run} == {(run, x) for x in range(width)}


def test_the_work_of_a_killed_runner_is_offered_again_and_the_result_is_right(site: Site) -> None:
    first = site.runner("first")
    run = site.client.trigger(work.halves, n=40, pause=0.1)
    until(lambda: len(site.executions()) >= 6, "some tasks to run")
    first.kill()
    killed = time.monotonic()
    site.runner("second")
    assert run.result(60) == sum(range(40)) / 2
    assert time.monotonic() - killed < 21 + 40 * 0.1
    assert_settled_once(site, run.id, 40)
    lost = [task for task in site.tasks(run.id) if task.losses]
    assert lost
    assert {task.runner for task in lost} == {"second"}


def test_all_that_a_killed_runner_had_flushed_is_in_the_log_in_order_and_once(site: Site) -> None:
    talker = site.runner("talker")
    run = site.client.trigger(work.talking)
    follow = run.follow(node="chatty")
    seen = [next(follow), next(follow)]  # as it talks
    talker.kill()
    site.runner("second")
    assert run.result(60) == "done"
    seen += follow
    assert [chunk.cursor for chunk in seen] == [chunk.cursor for chunk in run.logs()]
    first = "".join(chunk.text for chunk in seen if chunk.attempt == 1)
    lines = first.split("\n")[:-1]
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert "".join(chunk.text for chunk in seen if chunk.attempt == 2) == "the last words"


def test_a_killed_server_goes_on_where_it_was_and_refuses_no_connection(site: Site) -> None:
    site.runner("only")
    run = site.client.trigger(work.halves, n=60, pause=0.05)
    until(lambda: len(site.executions()) >= 10, "some tasks to run")
    child = site.child()
    site.kill_child()
    site.client.call(site.client.api.healthy())  # waits in the backlog instead of being refused
    assert site.child() not in (0, child)
    assert run.result(60) == sum(range(60)) / 2
    assert_settled_once(site, run.id, 60)
    assert not [task for task in site.tasks(run.id) if task.failures]


def test_runs_survive_a_nemesis_that_kills_servers_and_runners(site: Site) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    runners = [site.runner(f"runner-{number}") for number in range(2)]
    handles = [
        patiently(lambda key=f"run-{number}": site.client.trigger(work.halves, idempotency_key=key, n=25, pause=0.02))
        for number in range(6)
    ]
    for blow in range(6):
        time.sleep(dice.uniform(0.2, 0.7))
        victim = dice.randrange(3)
        if victim == 2:
            site.kill_child()
        else:
            runners[victim].kill()
            runners[victim] = site.start("runner", "start", str(work.__file__), "--name", f"runner-{victim}-{blow}")
    again = patiently(lambda: site.client.trigger(work.halves, idempotency_key="run-0", n=25, pause=0.02))
    assert again.id == handles[0].id, f"seed {seed}"
    for handle in handles:
        assert patiently(lambda handle=handle: handle.result(90)) == sum(range(25)) / 2, f"seed {seed}"
        assert_settled_once(site, handle.id, 25)


def test_a_stopped_runner_loses_its_lease_and_its_late_report_is_refused(site: Site) -> None:
    sleeper = site.runner("sleeper")
    run = site.client.trigger(work.halves, n=1, pause=0.5)
    until(lambda: len(site.executions()) == 1, "the task to run")
    sleeper.send_signal(signal.SIGSTOP)
    site.runner("other")
    until(lambda: len(site.executions()) == 2, "the task to be offered again", timeout=30)
    sleeper.send_signal(signal.SIGCONT)
    assert run.result(30) == 0
    (task,) = [task for task in site.tasks(run.id) if task.node == "half"]
    assert (task.state, task.attempt, task.losses, task.runner) == ("SUCCEEDED", 2, 1, "other")


def test_a_call_that_holds_the_interpreter_loses_the_lease_unless_it_is_isolated(site: Site) -> None:
    site.runner("frozen", "--label", "may=freeze")
    site.runner("lively", "--label", "may=isolate")
    held = site.client.trigger(work.holding, seconds=24)
    isolated = site.client.trigger(work.isolated, seconds=24)
    with pytest.raises(stoker.RunFailed, match="the lease of attempt 1 ended without a report"):
        held.result(60)
    assert isolated.result(60) == "done"
    assert [task.losses for task in site.tasks(isolated.id)] == [0]


def test_a_cancel_reaches_running_code_and_the_run_ends_cancelled(site: Site) -> None:
    site.runner("only")
    run = site.client.trigger(work.endless)
    until(lambda: [task for task in site.tasks(run.id) if task.state == "LEASED"], "the task to be claimed")
    run.cancel()
    with pytest.raises(stoker.RunCancelled):
        run.result(5)
    (task,) = site.tasks(run.id)
    assert (task.state, task.code) == ("CANCELLED", "cooperative")


def test_a_cancel_reaches_code_of_every_sort_within_two_seconds_and_leaves_no_process_behind(site: Site) -> None:
    site.runner("only", "--workers", "8")
    busy = site.client.trigger(work.busy, numbers=[1, 2, 3, 4])  # they keep the loop of async nodes from resting
    run = site.client.trigger(work.every_sort)
    until(lambda: len(site.stops("begun")) == 10, "code of every sort to run")
    asked = time.monotonic()
    run.cancel()
    with pytest.raises(stoker.RunCancelled):
        run.result(20)
    busy.cancel()
    saw = {name: float(at) - asked for name, (at,) in site.stops("saw").items()}
    assert set(saw) == {"threaded", "awaiting", "apart", "awaiting_apart", "never_looking"}
    assert max(saw.values()) < 2, saw
    assert {task.node: task.code for task in site.tasks(run.id)} == {
        "threaded": "cooperative",
        "awaiting": "cancelled",
        "apart": "cooperative",
        "awaiting_apart": "cancelled",
        "never_looking": "terminated",
        "deaf": "killed",
    }
    begun, children = site.stops("begun"), site.stops("child")
    processes = [int(begun[name][0]) for name in ("apart", "awaiting_apart", "never_looking", "deaf")]
    processes += [int(pid) for pid, _ in children.values()]
    assert len(set(processes)) == 7
    until(lambda: not any(map(lives, processes)), "every process to be gone")
    with pytest.raises(stoker.RunCancelled):
        busy.result(20)


def test_a_runner_that_ends_past_its_grace_kills_what_goes_on_and_gives_its_task_back(site: Site) -> None:
    runner = site.runner("only", "--grace", "500ms")
    run = site.client.trigger(work.unhearing)
    until(lambda: site.stops("begun"), "the code to run")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(30) == 0
    processes = [int(site.stops(word)["deaf"][0]) for word in ("begun", "child")]
    until(lambda: not any(map(lives, processes)), "both processes to be gone")
    (task,) = site.tasks(run.id)
    assert (task.state, task.attempt, task.failures, task.losses) == ("READY", 1, 0, 0)
    (attempt,) = site.client.call(site.client.api.attempts(task.id))
    assert (attempt.outcome, attempt.code) == ("released", "killed")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_server_told_to_stop_ends_within_ten_seconds_and_its_runners_come_back(site: Site) -> None:
    site.runner("patient")
    done = site.client.trigger(work.halves, n=3, pause=0.0)
    assert done.result(20) == 1.5
    port = site.url.rpartition(":")[2]
    site.server.send_signal(signal.SIGTERM)
    assert site.server.wait(10) == 0
    site.server = site.start("server", "start", "--port", port, "--data", str(site.data))
    run = patiently(lambda: site.client.trigger(work.halves, n=4, pause=0.0))
    assert run.id == done.id + 1
    assert run.result(30) == 3
    assert site.client.run(done.id).result(5) == 1.5
