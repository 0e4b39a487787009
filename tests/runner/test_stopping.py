"""Code that is told to stop, of every sort: that it learns of it, what ends it, and what is reported."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runner import nodes
from runner.fakes import PATIENCE_S, FakeNode, FakeServer, completed, failed, wait_until_gone
from stoker.core.protocol import Assignment, Complete, Fail, Log, Progress, Release
from stoker.runner.job import SPENT_AT, Job
from stoker.runner.journal import Journal
from stoker.runner.runner import Runner

PATIENT_S = 10 * PATIENCE_S  # a grace so long that no later stage comes within a test
ISOLATED = [node for node in vars(nodes).values() if isinstance(node, FakeNode)]


@contextmanager
def serving(*functions: Any, **options: Any) -> Iterator[FakeServer]:
    server = FakeServer()
    served = [one if isinstance(one, FakeNode) else FakeNode(one) for one in functions]
    with Runner(served, transport=server, **{"grace": 0, "workers": 2, **options}):
        yield server


@pytest.fixture
def isolating() -> Iterator[FakeServer]:
    with serving(*ISOLATED) as server:
        yield server


class Gate:
    """User code that goes on, whatever it is told, until the test opens it; it says that it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

    def wait(self) -> str:
        self.begun.release()
        assert self.open.wait(PATIENCE_S)
        return "done"

    def has_begun(self) -> bool:
        return self.begun.acquire(timeout=PATIENCE_S)


def released(report: Any) -> str:
    """The stage in a release."""
    assert isinstance(report, Release), report
    return report.stage


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


def pid_of(server: FakeServer, task: int) -> int:
    """The process that the code of a task said it started."""
    server.until(lambda: "child " in server.text(task) and server.text(task).endswith("\n"))
    return int(server.text(task).split()[1])


# --- threads ---


@pytest.mark.parametrize("way", ["looks", "raises"])
def test_sync_code_that_learns_of_it_ends_by_itself(way: str) -> None:
    begun = threading.Event()

    def work(task: Any) -> str:
        begun.set()
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            if way == "raises":
                task.raise_if_cancelled()
            elif task.cancelled:
                break
            time.sleep(0.001)
        return "part of it"

    with serving(work) as server:
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task)
        assert released(server.outcome(task)) == "cooperative"


def test_what_code_gives_that_never_noticed_is_its_result() -> None:
    gate = Gate()

    def work() -> str:
        return gate.wait()

    with serving(work, batch_size=1, workers=1) as server:
        task = server.offer("work")
        assert gate.has_begun()
        server.stop(task)
        server.until(server.told)
        gate.open.set()
        assert completed(server.outcome(task)) == "done"


def test_a_task_that_had_not_begun_is_released_without_a_stage() -> None:
    gate = Gate()

    def work() -> str:
        return gate.wait()

    with serving(work, workers=1) as server:
        first, second = server.offer("work"), server.offer("work")
        assert gate.has_begun()
        server.until(lambda: any(held.task == second for held in (server.claims[-1].held or [])))
        server.stop(second)
        assert released(server.outcome(second)) == ""
        gate.open.set()
        assert completed(server.outcome(first)) == "done"


def test_a_task_whose_input_is_on_the_way_is_released_at_once_by_a_stop_and_by_the_end_of_its_runner() -> None:
    server = FakeServer()
    asked = threading.Semaphore(0)

    async def never(url: str, session: str) -> bytes:
        asked.release()
        await wait_for_ever()
        return b"{}"

    server.input = never  # type: ignore[method-assign]
    runner = Runner([FakeNode(looks)], transport=server, grace="1h").start_background()
    first, second = (server.offer("looks", url="/inputs/1") for _ in range(2))
    assert asked.acquire(timeout=PATIENCE_S)
    assert asked.acquire(timeout=PATIENCE_S)
    server.stop(first)
    assert released(server.outcome(first)) == ""
    runner.stop()
    assert released(server.outcome(second)) == ""


def test_a_thread_that_goes_on_is_named_once_and_keeps_its_slot_until_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.runner.loop.SLACK_S", 0.05)
    monkeypatch.setattr("stoker.runner.session.BEAT_S", 0.05)
    gate = Gate()
    stubborn = FakeNode(lambda: gate.wait(), name="stubborn", stop_grace_s=0.05)
    with serving(stubborn, batch_size=2, workers=2) as server:
        task = server.offer("stubborn")
        assert gate.has_begun()
        server.stop(task)
        server.until(lambda: lines(caplog, "goes on"), elsewhere=True)
        other = server.offer("stubborn")
        assert gate.has_begun()  # the other worker is free
        server.offer("stubborn")
        beats = len(server.beats)
        server.until(lambda: len(server.beats) >= beats + 3)
        assert server.claims[-1].want == 0  # no third one fits
        gate.open.set()
        assert completed(server.outcome(task)) == completed(server.outcome(other)) == "done"
    (line,) = lines(caplog, "goes on")
    assert f"task {task} (stubborn) was told to stop (cancelled)" in line
    assert "isolation=True" in line


def test_when_such_threads_hold_all_workers_the_runner_says_so_and_gives_back_what_waits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.runner.loop.SLACK_S", 0.05)
    gate = Gate()
    stubborn = FakeNode(lambda: gate.wait(), name="stubborn", stop_grace_s=0.05)
    with serving(stubborn, batch_size=8, workers=2) as server:
        stuck = [server.offer("stubborn"), server.offer("stubborn")]
        assert gate.has_begun()
        assert gate.has_begun()
        waiting = server.offer("stubborn")
        server.until(lambda: any(held.task == waiting for held in (server.claims[-1].held or [])))
        for task in stuck:
            server.stop(task)
        assert released(server.outcome(waiting)) == ""
        server.until(lambda: server.claims[-1].want == 0)
        (line,) = lines(caplog, "all 2 workers are held")
        assert all(f"{task} stubborn" in line for task in stuck)
        gate.open.set()
        for task in stuck:
            server.outcome(task)
        assert completed(server.outcome(server.offer("stubborn"))) == "done"
    assert lines(caplog, "a worker is free again")


# --- coroutines ---


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_async_code_is_cancelled_where_it_waits() -> None:
    begun, seen = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            seen.set()
            raise

    with serving(FakeNode(work, stop_grace_s=PATIENT_S)) as server:
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task, grace_s=PATIENT_S)
        assert released(server.outcome(task)) == "cancelled"
        assert seen.is_set()


def test_async_code_that_swallows_it_and_returns_ended_by_itself() -> None:
    begun = threading.Event()

    async def work() -> str:
        begun.set()
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "part of it"

    with serving(work) as server:
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task)
        assert released(server.outcome(task)) == "cooperative"


def test_async_code_that_swallows_it_and_waits_on_is_cancelled_once_more() -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            await wait_for_ever()

    with serving(FakeNode(work, stop_grace_s=0.2)) as server:
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task)
        assert released(server.outcome(task)) == "cancelled"


def test_async_code_that_swallows_everything_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.runner.loop.SLACK_S", 0.05)
    begun, free = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        while not free.is_set():
            try:
                await wait_for_ever()
            except asyncio.CancelledError:
                continue

    with serving(FakeNode(work, stop_grace_s=0.1)) as server:
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task)
        server.until(lambda: lines(caplog, "swallowed asyncio.CancelledError"), elsewhere=True)
        free.set()
    assert released(server.outcome(task)) == ""


def test_a_cancel_gets_through_to_async_code_while_others_keep_its_loop_busy() -> None:
    begun, done = threading.Event(), threading.Event()

    async def busy() -> None:
        while not done.is_set():
            sum(range(20_000))
            await asyncio.sleep(0)

    async def work() -> None:
        begun.set()
        await wait_for_ever()

    with serving(busy, FakeNode(work, stop_grace_s=PATIENT_S), batch_size=16) as server:
        others = [server.offer("busy") for _ in range(8)]
        task = server.offer("work")
        assert begun.wait(PATIENCE_S)
        server.stop(task, grace_s=PATIENT_S)
        assert released(server.outcome(task)) == "cancelled"
        done.set()
        assert [completed(server.outcome(other)) for other in others] == [None] * 8


def test_a_stop_that_comes_before_the_first_step_is_not_lost() -> None:
    """The coroutine is scheduled, its loop is held, and it is told to stop meanwhile."""
    held, free = threading.Event(), threading.Event()

    async def holds() -> None:
        held.set()
        free.wait(PATIENCE_S)

    async def work() -> None:
        raise AssertionError("it was told to stop before")

    with serving(holds, work) as server:
        first = server.offer("holds")
        assert held.wait(PATIENCE_S)
        task = server.offer("work")
        server.until(lambda: any(held.task == task for held in (server.claims[-1].held or [])))
        server.stop(task)
        server.until(server.told)
        free.set()
        assert released(server.outcome(task)) == ""
        server.outcome(first)


# --- processes ---


def test_an_isolated_node_that_looks_ends_by_itself_and_its_child_with_it(isolating: FakeServer) -> None:
    task = isolating.offer("iso_looks_with_a_child")
    pid = pid_of(isolating, task)
    isolating.stop(task)
    assert released(isolating.outcome(task)) == "cooperative"
    wait_until_gone(pid)


def test_an_isolated_async_node_is_cancelled_at_once(isolating: FakeServer) -> None:
    task = isolating.offer("iso_waits")
    isolating.until(lambda: "waiting" in isolating.text(task))
    isolating.stop(task)
    assert released(isolating.outcome(task)) == "cancelled"


def test_sigterm_ends_code_that_does_not_look_and_reaches_its_child_too(
    isolating: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.runner.isolation.TERM_AT", 0.02)
    task = isolating.offer("iso_cleans_up_after_its_child")
    pid = pid_of(isolating, task)
    isolating.stop(task)
    assert released(isolating.outcome(task)) == "terminated"
    assert "ended by 15" in isolating.text(task)
    wait_until_gone(pid)


def test_sigkill_ends_what_ignores_all_and_its_child_too(isolating: FakeServer) -> None:
    task = isolating.offer("iso_ignores_all_with_a_child")
    pid = pid_of(isolating, task)
    isolating.stop(task, grace_s=0.6)
    assert released(isolating.outcome(task)) == "killed"
    wait_until_gone(pid)


def test_a_stop_that_leaves_less_time_hurries_one_that_left_more() -> None:
    server = FakeServer()
    runner = Runner(ISOLATED, transport=server).start_background()
    task = server.offer("iso_ignores_all_with_a_child")
    pid = pid_of(server, task)
    server.stop(task)
    server.until(server.told)
    runner.stop(0)  # leaves none of the 10 s that the cancel gave
    assert released(server.outcome(task)) == "killed"
    wait_until_gone(pid)


def test_the_grace_is_the_nodes_own_within_what_the_server_gives() -> None:
    def told(own: float, given: float) -> float:
        node = FakeNode(wait_for_ever, stop_grace_s=own)
        job = Job(Assignment(task=1, attempt=1, run=1, node="n", kind="n"), node, Journal(1, 1, None, None), None)  # type: ignore[arg-type]
        job.stop("cancelled", given)
        return job.grace_s

    assert told(10, 30) == 10
    assert told(60, 30) == 30 * SPENT_AT
    assert told(10, 0) == 0


# --- timeouts ---


def looks(task: Any) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not task.cancelled and time.monotonic() < ends:
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("node", "how"), [(looks, "ended by itself"), (wait_for_ever, "asyncio's CancelledError")], ids=["sync", "async"]
)
def test_a_timeout_goes_the_same_way_and_fails_the_attempt(node: Callable[..., Any], how: str) -> None:
    with serving(node) as server:
        task = server.offer(node.__name__, timeout_s=0.05)
        report = failed(server.outcome(task))
        assert (report.error.code, report.retryable) == ("timeout", True)
        assert how in report.error.message
        assert how in server.text(task, "log")  # the server has ended the attempt by then: here it is kept


def test_a_timeout_kills_what_ignores_all(isolating: FakeServer) -> None:
    task = isolating.offer("iso_overdue_with_a_child", timeout_s=4.0)
    pid = pid_of(isolating, task)
    report = failed(isolating.outcome(task))
    assert (report.error.code, report.retryable) == ("timeout", True)
    assert "SIGKILL" in report.error.message
    wait_until_gone(pid)


# --- the end of the runner ---


def test_past_its_grace_a_runner_stops_what_runs_in_the_same_way() -> None:
    begun = threading.Event()

    async def waits() -> None:
        begun.set()
        await wait_for_ever()

    served = [*ISOLATED, FakeNode(looks), FakeNode(waits)]
    server = FakeServer()
    runner = Runner(served, transport=server, grace="250ms").start_background()
    looking, waiting = server.offer("looks"), server.offer("waits")
    killed = server.offer("iso_ignores_all_with_a_child")
    pid = pid_of(server, killed)
    assert begun.wait(PATIENCE_S)
    runner.stop()
    assert {task: released(server.outcome(task)) for task in (looking, waiting, killed)} == {
        looking: "cooperative", waiting: "cancelled", killed: "killed",
    }  # fmt: skip
    wait_until_gone(pid)
    assert server.idle()


def test_without_any_grace_processes_are_gone_when_the_runner_is() -> None:
    server = FakeServer()
    runner = Runner(ISOLATED, transport=server).start_background()
    task = server.offer("iso_ignores_all_with_a_child")
    pid = pid_of(server, task)
    runner.stop(0)
    assert released(server.outcome(task)) == "killed"
    wait_until_gone(pid)


def test_what_goes_on_past_the_end_is_released_and_named(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server = FakeServer()
    runner = Runner([FakeNode(lambda: gate.wait(), name="work")], transport=server, grace=0.05).start_background()
    task = server.offer("work")
    assert gate.has_begun()
    runner.stop()
    assert released(server.outcome(task)) == ""
    assert lines(caplog, f"task {task} (work) did not end within the grace")
    gate.open.set()
    assert not [one for one in server.reports if isinstance(one, Complete | Fail | Log | Progress)]


@pytest.fixture(autouse=True)
def hear_the_runner(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stoker.runner")
