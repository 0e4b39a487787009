"""Outputs that a task of a live run gives while it goes on: from threads, coroutines and processes; and the client."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import stoker
from stoker.runner.handle import RunHandle

LARGE = "x" * 1_500_000
GO_ON = threading.Event()


@stoker.node
def thread(n: int, task: stoker.Task) -> str | None:
    for number in range(n):
        task.output(f"thread {number}", name=f"part-{number}")
    return None


@stoker.node
async def coroutine(n: int, task: stoker.Task) -> str:
    task.output(f"early {n}")
    return f"late {n}"


@stoker.node(isolation=True)
def process(n: int, task: stoker.Task) -> str | None:
    task.output("small")
    task.output("x" * 1_500_000)
    return None


@stoker.node
def wrong(n: int, task: stoker.Task) -> int:
    task.output("not a number")
    return n


@stoker.node
def held(n: int, task: stoker.Task) -> int:
    task.output(n)
    assert GO_ON.wait(60)
    return n + 1


@stoker.graph(mode="live")
def outputs(n: int):
    thread(n)
    coroutine(n)
    process(n)


@stoker.graph(mode="live")
def one(n: int):
    held(n)


@stoker.graph(mode="live")
def mistaken(n: int):
    wrong(n)


@stoker.graph
def once(n: int):
    return coroutine(n)


@pytest.fixture(scope="module")
def client() -> Iterator[stoker.Client]:
    with stoker.embedded(outputs, one, mistaken, once) as client:
        yield client


def eventually(run: RunHandle, fact: Callable[[Any], bool]) -> Any:
    """The run's view once a fact holds of it."""

    async def look() -> Any:
        async with asyncio.timeout(60):
            while not fact(view := await run._client.api.run(run.id)):
                await asyncio.sleep(0.02)
        return view

    return run._client.call(look())


def state(view: Any, name: str) -> str | None:
    return next(node.state for node in view.live if node.node == name)


def test_outputs_come_from_threads_coroutines_and_processes(client: stoker.Client) -> None:
    run = client.trigger(outputs, n=2)
    eventually(run, lambda view: all(state(view, name) == "SUCCEEDED" for name in ("thread", "coroutine", "process")))
    assert [(bytes(one.value), one.name) for one in run.outputs("thread")] == [
        (b'"thread 1"', "part-1"),
        (b'"thread 0"', "part-0"),
    ]
    assert [bytes(one.value) for one in run.outputs("coroutine")] == [b'"late 2"', b'"early 2"']
    assert [one.size for one in run.outputs("process")] == [len(LARGE) + 2, len('"small"')]
    assert run.current("process") == LARGE
    assert run.current("thread") == "thread 1"
    run.cancel()


def test_an_output_is_listed_at_once_and_current_at_the_end(client: stoker.Client) -> None:
    run = client.trigger(one, n=5)
    eventually(run, lambda view: any(node.node == "held" and node.outputs for node in view.live))
    assert [(output.counts, output.current) for output in run.outputs("held")] == [(False, False)]
    with pytest.raises(stoker.NoResult):
        run.current("held")
    assert run.fire("held").dirty
    GO_ON.set()
    eventually(run, lambda view: state(view, "held") == "SUCCEEDED" and view.live[0].generation == 1)
    assert run.current("held") == 6
    run.settle("held", failed=True, status="by hand")
    assert (run.view().live[0].state, run.view().live[0].status) == ("FAILED", "by hand")
    assert run.publish("held", 9).number == 5
    assert run.current("held") == 9
    run.cancel()


def test_a_value_that_is_no_output_of_the_node_fails_it_there(client: stoker.Client) -> None:
    run = client.trigger(mistaken, n=1)
    eventually(run, lambda view: state(view, "wrong") == "FAILED")
    assert run.outputs("wrong") == []
    run.cancel()


def test_an_output_in_a_run_that_is_not_live_is_refused_and_the_task_goes_on(
    client: stoker.Client,
) -> None:
    told: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(told)
    logging.getLogger("stoker.runner").addHandler(handler)
    try:
        assert client.trigger(once, n=3).result(timeout=60) == "late 3"
        assert "only tasks of live runs" in told.get(timeout=60).getMessage()
    finally:
        logging.getLogger("stoker.runner").removeHandler(handler)
