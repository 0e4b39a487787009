"""Virtual time: what it costs nobody, what it takes along, and code that waits in it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from stoker.core.duration import SECOND
from stoker.errors import Conflict
from stoker.testing.loop import NEVER, VirtualLoop, hushed, pause
from stoker.testing.patches import around_user_code
from stoker.testing.strand import aside, wait

DAY = 86_400


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_a_sleep_ends_exactly_when_it_should(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(DAY))
    assert loop.micros == DAY * SECOND


def test_what_is_due_at_once_happens_in_the_same_order_every_time() -> None:
    def order() -> list[int]:
        seen: list[int] = []
        loop = VirtualLoop()
        for number in range(100):
            loop.call_later(number % 7, seen.append, number)
        loop.run_until_complete(asyncio.sleep(10))
        loop.close()
        return seen

    assert order() == order()


def test_a_leap_takes_hushed_timers_along_and_no_others(loop: VirtualLoop) -> None:
    seen: list[tuple[str, int]] = []

    def note(what: str) -> Callable[[], None]:
        return lambda: seen.append((what, loop.micros // SECOND))

    loop.call_later(10, note("poll"), context=hushed())
    loop.call_later(DAY, note("told"))
    assert loop.next_told() == DAY * SECOND
    loop.leap(loop.next_told() - 5 * SECOND)
    loop.run_until_complete(asyncio.sleep(60))
    assert seen == [("told", DAY), ("poll", DAY + 5)]


def test_who_waits_for_longer_than_any_poll_is_waited_for(loop: VirtualLoop) -> None:
    loop.call_later(30, lambda: None, context=hushed())
    assert loop.next_told() == NEVER
    loop.call_later(90, lambda: None, context=hushed())
    assert loop.next_told() == 90 * SECOND


def test_a_timer_that_was_cancelled_is_not_waited_for(loop: VirtualLoop) -> None:
    loop.call_later(90, lambda: None).cancel()
    assert loop.next_told() == NEVER


def test_what_never_waits_is_told_of_instead_of_spinning(loop: VirtualLoop) -> None:
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    task = loop.create_task(spins())
    with pytest.raises(RuntimeError, match="time stands still"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_plain_code_sleeps_in_virtual_time_side_by_side(loop: VirtualLoop) -> None:
    seen: list[str] = []

    def code(name: str, seconds: float) -> Callable[[], str]:
        def run() -> str:
            seen.append(f"{name} begins")
            time.sleep(seconds)
            seen.append(f"{name} ends")
            return name

        return run

    async def both() -> list[str]:
        return await asyncio.gather(aside(code("long", DAY)), aside(code("short", 60)))

    with around_user_code(lambda: loop.micros):
        assert loop.run_until_complete(both()) == ["long", "short"]
    assert seen == ["long begins", "short begins", "short ends", "long ends"]
    assert loop.micros == DAY * SECOND


def test_only_one_thread_runs_at_a_time(loop: VirtualLoop) -> None:
    running = threading.Lock()
    met: list[str] = []

    def code() -> None:
        for _ in range(50):
            assert running.acquire(blocking=False), "two at once"
            met.append(threading.current_thread().name)
            running.release()
            wait(lambda: pause(1_000))

    async def several() -> None:
        await asyncio.gather(*(aside(code) for _ in range(4)))

    loop.run_until_complete(several())
    assert len(met) == 200


def test_what_plain_code_raises_is_raised_where_it_was_called(loop: VirtualLoop) -> None:
    def code() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        loop.run_until_complete(aside(code))


def test_what_plain_code_waits_for_may_fail(loop: VirtualLoop) -> None:
    async def fails() -> int:
        raise LookupError("there")

    def code() -> str:
        try:
            return str(wait(fails))
        except LookupError as error:
            return f"caught {error}"

    assert loop.run_until_complete(aside(code)) == "caught there"


def test_plain_code_that_is_killed_ends_where_it_waits(loop: VirtualLoop) -> None:
    ends: list[str] = []

    def code() -> None:
        try:
            wait(lambda: pause(DAY * SECOND))
        finally:
            ends.append("unwound")

    async def killed() -> None:
        task = asyncio.ensure_future(aside(code))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    loop.run_until_complete(killed())
    assert ends == ["unwound"]
    assert loop.micros == SECOND


def test_code_that_does_not_run_aside_is_told_that_it_cannot_wait() -> None:
    with pytest.raises(Conflict, match="cannot wait"):
        wait(lambda: pause(1))


def test_sleep_is_real_again_when_the_world_stands(loop: VirtualLoop) -> None:
    real = time.sleep
    with around_user_code(lambda: 0):
        assert time.sleep is not real
    assert time.sleep is real


def test_what_user_code_puts_into_a_thread_sleeps_there(loop: VirtualLoop) -> None:
    async def threaded() -> None:
        await asyncio.to_thread(lambda: time.sleep(60))

    with around_user_code(lambda: loop.micros):
        _run(loop, threaded())
    assert loop.micros == 60 * SECOND


def _run(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(work)
