"""A world in virtual time: what users' tests may rely on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import stoker
from stoker.errors import Conflict, Invalid, NotFound
from stoker.testing import Faults, World, simulate
from testing import graphs

SECOND = timedelta(seconds=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """For tests that leave nothing behind."""
    with simulate(runners=1) as world:
        yield world


@pytest.fixture
def world() -> Iterator[World]:
    with simulate(seed=1, runners=2) as world:
        yield world


def test_plain_async_and_class_nodes_are_really_run(shared: World) -> None:
    assert shared.run(graphs.halved_squares, n=4) == 7


def test_a_sleep_of_a_day_takes_a_day_there_and_no_time_here(shared: World) -> None:
    begun, before = shared.now, time.monotonic()
    assert shared.run(graphs.slowly, seconds=86_400) == 86_400
    assert timedelta(days=1) <= shared.now - begun < timedelta(days=1, seconds=1)
    assert time.monotonic() - before < 60


def test_delays_of_months_pass_one_after_the_other(shared: World) -> None:
    begun = shared.now
    assert shared.run(graphs.stubbornly, until=5) == 5
    assert timedelta(days=120) <= shared.now - begun < timedelta(days=120, seconds=5)


def test_a_node_sees_its_deadline_in_virtual_time(shared: World) -> None:
    before, after, cancelled = shared.run(graphs.within, look=600)
    assert before == pytest.approx(3_600, abs=1)
    assert after == pytest.approx(3_000, abs=1)
    assert not cancelled


def test_an_attempt_that_takes_longer_than_its_timeout_fails_when_the_time_is_up(shared: World) -> None:
    begun = shared.now
    run = shared.trigger(graphs.within, look=4_000)
    with pytest.raises(stoker.RunFailed, match="timeout"):
        run.result()
    view = run.view()
    assert view.ended_at is not None
    assert timedelta(hours=1) <= view.ended_at - begun < timedelta(hours=1, seconds=2)


def test_a_cancel_reaches_code_that_looks_whenever_it_looks_next(shared: World) -> None:
    run = shared.trigger(graphs.patiently)
    shared.advance("10s")
    run.cancel()
    assert run.wait().state == "CANCELLED"
    with pytest.raises(stoker.RunCancelled):
        run.result()


def test_progress_and_prints_are_kept_as_elsewhere(shared: World) -> None:
    @stoker.node
    def talks(task: stoker.Task) -> None:
        print("said")
        task.progress(0.25, "begun")
        time.sleep(100)

    @stoker.graph
    def talking() -> Any:
        return talks()

    run = shared.trigger(talking)
    shared.advance("50s")
    (node,) = run.view().nodes
    assert (node.progress, node.message, [log.text for log in run.logs()]) == (0.25, "begun", ["said\n"])
    run.wait()


def test_files_pass_between_nodes(tmp_path: Path) -> None:
    @stoker.node
    def upper(text: stoker.File, task: stoker.Task) -> stoker.File:
        path = task.scratch / "upper.txt"
        path.write_text(text.read_text().upper())
        return stoker.File(path)

    @stoker.node
    def size(text: stoker.File) -> int:
        return len(text.read_text())

    @stoker.graph
    def measured(text: stoker.File) -> Any:
        loud = upper(text)
        return {"loud": loud, "size": size(loud)}

    path = tmp_path / "text.txt"
    path.write_text("hello")
    with simulate() as world:
        found = world.run(measured, text=stoker.File(path))
        assert (found["loud"].read_text(), found["size"]) == ("HELLO", 5)
        copy = found["loud"].path
    assert not copy.exists()  # what was downloaded goes with the world


def test_a_node_can_be_replaced_and_restored(shared: World) -> None:
    shared.replace(graphs.square, lambda x: -x)
    shared.replace(graphs.Halved, lambda x: {"half": x})
    assert shared.run(graphs.halved_squares, n=3) == -3
    shared.restore(graphs.square)
    shared.restore("Halved")
    assert shared.run(graphs.halved_squares, n=3) == 2.5


def test_a_replaced_node_may_be_async_or_raise(shared: World) -> None:
    async def nothing() -> int:
        return 0

    shared.replace(graphs.square, nothing)
    assert shared.run(graphs.halved_squares, n=3) == 0
    shared.replace(graphs.square, stoker.NotRetryable("the service is down"))
    with pytest.raises(stoker.RunFailed, match="the service is down"):
        shared.run(graphs.halved_squares, n=3)
    shared.restore(graphs.square)


def test_a_node_takes_the_time_it_is_told_to(shared: World) -> None:
    shared.takes(graphs.square, "10m")
    shared.takes(graphs.Halved, "1h", "2h")
    begun = shared.now
    shared.run(graphs.halved_squares, n=2)
    assert timedelta(hours=1, minutes=10) < shared.now - begun < timedelta(hours=2, minutes=11)
    shared.restore(graphs.square)
    shared.restore(graphs.Halved)


def test_what_is_no_node_cannot_be_replaced(shared: World) -> None:
    with pytest.raises(Invalid, match="neither a node nor the name of one"):
        shared.replace(graphs.slowly, lambda: None)


def test_a_killed_runner_loses_its_task_to_another_within_seconds(world: World) -> None:
    world.takes(graphs.slow, "1h")
    run = world.trigger(graphs.slowly, seconds=0)
    world.advance("1m")
    (holder,) = {view.runner for view in run.tasks()}
    world.kill(holder)
    world.advance("6s")
    (task,) = run.tasks()
    assert (task.attempt, task.losses) == (2, 1)
    assert task.runner != holder
    assert run.result() == 0
    assert any("lost" in line for line in world.history(run))


def test_a_runner_that_dies_after_hours_of_quiet_work_is_not_the_end_of_it(world: World) -> None:
    world.takes(graphs.slow, "5h")
    run = world.trigger(graphs.slowly, seconds=0)
    world.advance("3h")
    world.kill(run.tasks()[0].runner)
    assert run.result() == 0
    assert run.tasks()[0].attempt == 2


def test_a_stalled_runner_loses_its_task_when_its_lease_is_over_and_its_late_report_is_refused(world: World) -> None:
    world.takes(graphs.slow, "1m")
    run = world.trigger(graphs.slowly, seconds=0)
    world.advance("30s")
    world.stall(run.tasks()[0].runner, "10m")
    world.advance("15s")
    assert run.tasks()[0].losses == 0  # its connection stands, so it has its whole lease
    assert run.result() == 0
    (task,) = run.tasks()
    assert (task.attempt, task.losses) == (2, 1)
    world.run_until_idle()
    assert len(world.executions[run.id][task.id]) == 2


def test_all_runners_may_die_and_one_comes_back(world: World) -> None:
    world.serve(graphs.slow)
    world.kill(0)
    world.kill("runner-1")
    run = world.trigger(graphs.slowly, seconds=1)
    world.run_until_idle()
    with pytest.raises(Conflict, match="nothing that is to come will end it"):
        run.result()
    world.start(world.runners[0])
    assert run.result() == 1


def test_a_runner_that_is_not_there_is_named_with_those_that_are(world: World) -> None:
    with pytest.raises(NotFound, match="no runner 'nobody'") as caught:
        world.kill("nobody")
    assert "runner-0, runner-1" in str(caught.value)


def test_the_server_may_be_killed_while_a_task_runs(world: World) -> None:
    run = world.trigger(graphs.slowly, seconds=3_600)
    world.advance("10m")
    world.restart_server()
    assert run.result() == 3_600
    (task,) = run.tasks()
    assert (task.attempt, task.losses) == (1, 0)


def test_a_wait_goes_on_until_somebody_settles_it(shared: World) -> None:
    @stoker.graph
    def approved(amount: int) -> Any:
        return stoker.wait("approval", amount=amount)

    run = shared.trigger(approved, amount=7)
    shared.run_until_idle()
    shared.advance("100d")
    assert run.state() == "RUNNING"
    with pytest.raises(Conflict, match="approval"):
        run.result()
    (wait,) = shared.client.waits(run.id)
    shared.client.settle(wait.id, "yes")
    assert run.result() == "yes"


def test_a_timeout_in_virtual_time_ends_the_waiting_alone(shared: World) -> None:
    run = shared.trigger(graphs.slowly, seconds=3_600)
    with pytest.raises(TimeoutError, match="10m"):
        run.result("10m")
    assert run.result() == 3_600


def test_schedules_fire_in_a_year_of_a_second(world: World) -> None:
    world.client.schedules.put(
        "weekly", graphs.slowly, cron="0 6 * * MON", zone="Europe/Berlin", inputs={"seconds": 60}
    )
    world.run_until_idle()
    assert world.client.schedules.firings("weekly") == []  # schedules alone keep nothing going
    world.advance("365d")
    fired = world.client.schedules.firings("weekly", 100)
    assert len(fired) == 52
    assert {world.client.run(firing.run).state() for firing in fired if firing.run} == {"SUCCEEDED"}


def test_a_world_can_be_played_inside_of_a_running_loop() -> None:
    import asyncio

    async def inside() -> Any:
        with simulate() as world:
            return world.run(graphs.halved_squares, n=3)

    assert asyncio.run(inside()) == 2.5


def test_a_history_tells_what_happened_in_order(world: World) -> None:
    run = world.trigger(graphs.halved_squares, n=2)
    run.wait()
    history = world.history(run)
    assert history == sorted(history, key=lambda line: line[:26])
    assert [line.partition("  ")[2] for line in history if "Halved" in line][-1] == "Halved: SUCCEEDED"
    assert sum("square numbers[1]" in line for line in history) == 3


def test_labels_of_a_runner_say_what_it_may_run(world: World) -> None:
    @stoker.node(requires=stoker.Requirements(labels={"zone": "a"}))
    def placed() -> str:
        return "there"

    @stoker.graph
    def placing() -> Any:
        return placed()

    for runner in list(world.runners):
        world.kill(runner)
    world.add_runner("elsewhere", labels={"zone": "b"})
    run = world.trigger(placing)
    world.run_until_idle()
    assert run.state() == "RUNNING"
    world.add_runner("here", labels={"zone": "a"})
    assert run.result() == "there"


def test_an_async_node_is_told_how_to_open_a_file(shared: World, tmp_path: Path) -> None:
    @stoker.node
    async def opens(text: stoker.File) -> str:
        return text.read_text()

    @stoker.graph
    def opening(text: stoker.File) -> Any:
        return opens(text)

    path = tmp_path / "text.txt"
    path.write_text("hello")
    with pytest.raises(stoker.RunFailed, match=r"asyncio\.to_thread"):
        shared.run(opening, text=stoker.File(path))


def test_what_is_kept_for_ten_days_is_gone_after_eleven(world: World) -> None:
    run = world.trigger(graphs.slowly, seconds=1)
    run.wait()
    world.client.retention.set(age="10d")
    world.advance("9d")
    assert run.state() == "SUCCEEDED"
    world.advance("2d")
    with pytest.raises(NotFound):
        run.view()


def test_a_world_is_not_played_from_inside(shared: World) -> None:
    @stoker.node
    def curious() -> int:
        shared.advance("1d")
        return 1

    @stoker.graph
    def curiously() -> Any:
        return curious()

    with pytest.raises(stoker.RunFailed, match="cannot be played by code that runs in it"):
        shared.run(curiously)


def test_a_value_is_no_replacement(shared: World) -> None:
    with pytest.raises(Invalid, match="neither code nor an error") as caught:
        shared.replace(graphs.square, 5)
    assert "lambda: 5" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"lost": 2}, {"lost": 0.6, "late": 0.6}, {"deaths": "often"}, {"late_by": "-1s"}])
def test_faults_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Faults(**wrong)


def test_a_world_begins_when_it_is_told_to() -> None:
    with simulate(start="2026-03-28 12:00") as world:
        assert world.now.isoformat().startswith("2026-03-28T12:00:00")


def test_a_live_run_follows_what_is_published(shared: World) -> None:
    @stoker.node
    def doubled(x: int) -> int:
        return 2 * x

    @stoker.graph(mode="live")
    def following(x: int) -> None:
        doubled(x)

    run = shared.trigger(following)
    for x in (1, 5):
        run.publish("x", x)
        shared.run_until_idle()
        assert run.current("doubled") == 2 * x
    run.cancel()
    run.wait()


def test_a_node_has_the_secrets_that_it_declares_and_they_are_not_in_its_logs(shared: World) -> None:
    @stoker.node(secrets=["API_KEY"])
    def calls(task: stoker.Task) -> int:
        print(f"with {task.secrets['API_KEY']}")
        return len(task.secrets["API_KEY"])

    @stoker.graph
    def calling() -> Any:
        return calls()

    shared.client.secrets.set("API_KEY", "correct horse")
    run = shared.trigger(calling)
    assert run.result() == 13
    assert [log.text for log in run.logs()] == ["with ***\n"]
