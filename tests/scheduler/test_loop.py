"""The loop that ticks: it sleeps as long as it is told, wakes when called, and survives what a tick raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from stoker.core.duration import SECOND
from stoker.errors import Unavailable
from stoker.scheduler import loop


class Ticks:
    """Ticks that answer from a list, then sleep for an hour. `reached(n)` is when the n-th has begun."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.count = 0
        self._changed = asyncio.Event()

    async def __call__(self) -> int:
        self.count += 1
        self._changed.set()
        answer = self.answers.pop(0) if self.answers else 3_600 * SECOND
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def reached(self, number: int) -> None:
        async with asyncio.timeout(10):
            while self.count < number:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def running() -> object:
    tasks: list[asyncio.Task[None]] = []

    def start(ticks: Ticks, wake: asyncio.Event) -> None:
        tasks.append(asyncio.create_task(loop.run(ticks, wake)))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Start = Callable[[Ticks, asyncio.Event], None]


async def test_a_tick_with_more_to_do_is_followed_at_once(running: Start) -> None:
    running(ticks := Ticks(0, 0, 0), asyncio.Event())
    await ticks.reached(4)


async def test_it_sleeps_until_it_is_woken(running: Start) -> None:
    running(ticks := Ticks(), wake := asyncio.Event())
    for number in range(1, 5):
        await ticks.reached(number)
        for _ in range(20):
            await asyncio.sleep(0)
        assert ticks.count == number
        wake.set()


async def test_it_wakes_by_itself_when_the_time_has_come(running: Start) -> None:
    running(ticks := Ticks(1_000, 1_000), asyncio.Event())
    await ticks.reached(3)


async def test_a_call_during_a_tick_is_not_missed(running: Start) -> None:
    wake = asyncio.Event()
    ticks = Ticks()
    real = ticks.__call__

    async def called_meanwhile() -> int:
        pause = await real()
        if ticks.count == 1:
            wake.set()
        return pause

    task = asyncio.create_task(loop.run(called_meanwhile, wake))
    await ticks.reached(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("error", [Unavailable("the disk is away"), ValueError("a bug")])
async def test_a_tick_that_fails_is_tried_again(
    running: Start, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "AFTER_TROUBLE_S", 0.001)
    with caplog.at_level(logging.WARNING, "stoker.scheduler"):
        running(ticks := Ticks(error, error), asyncio.Event())
        await ticks.reached(3)
    assert str(error) in caplog.text


async def test_a_process_that_was_stopped_is_told_so(running: object) -> None:
    """The clock of the event loop goes on while the process does not."""
    event_loop = asyncio.get_running_loop()
    real, stopped, told = event_loop.time, 0.0, asyncio.Event()
    event_loop.time = lambda: real() + stopped  # type: ignore[method-assign]
    ticks = Ticks()
    task = asyncio.create_task(loop.run(ticks, asyncio.Event(), told.set))
    await ticks.reached(1)
    await asyncio.sleep(0)
    assert not told.is_set()
    stopped = 30.0
    event_loop.call_soon(lambda: None)
    async with asyncio.timeout(60):
        await told.wait()
    task.cancel()
