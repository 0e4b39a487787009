"""How far time may pass: to the next thing that happens, and over what only keeps servers and runners going.

Polls and beats go on for ever. Where nothing but those is to come before some due time, that time is leapt to, as if
the whole world had stood still: a year of waiting costs no more than a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from stoker.core.duration import SECOND, Micros
from stoker.engine.upkeep import Ahead
from stoker.errors import Conflict
from stoker.testing.loop import NEVER, VirtualLoop, hushed
from stoker.testing.nature import VirtualClock
from stoker.testing.patches import around_user_code
from stoker.testing.server import Server

LEAP: Micros = SECOND  # what is nearer is waited for step by step; before an end, for what is done now and then
STEADY: Micros = 65 * SECOND  # more than any poll, lease or backoff: what stood for so long moves by time alone
BEATS: Micros = 30 * SECOND  # before a due time, for runners to say that they still hold their leases


class Goal(NamedTuple):
    """Until when time may pass at most; `idle`: or until nothing is left to happen; `over`: or until this holds."""

    until: Micros = NEVER
    idle: bool = False
    over: Callable[[], bool] = lambda: False


class Driver:
    """Runs the loop of a world towards a goal."""

    def __init__(self, loop: VirtualLoop, clock: VirtualClock, server: Server) -> None:
        self._loop = loop
        self._clock = clock
        self._server = server
        self._goal = Goal()
        self._seen = -1  # changes of the server, when it was last asked what is ahead
        self._ahead: tuple[Ahead, bool]
        loop.quiet = self._quiet

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        if self._loop.is_running():
            coroutine.close()
        self._check_outside()
        task = self._loop.create_task(coroutine, context=hushed())
        task.add_done_callback(lambda _: self._loop.stop())
        try:
            self.play(Goal(over=task.done))
        finally:
            task.cancel()
        return task.result()

    def play(self, goal: Goal) -> None:
        """Let things happen. Inside of another running loop that one is blocked meanwhile."""
        self._check_outside()
        self._goal = goal
        with _nowhere(), around_user_code(self._clock.now):
            self._loop.run_forever()

    def _check_outside(self) -> None:
        if self._loop.is_running():
            raise Conflict(
                "a world cannot be played by code that runs in it.",
                code="inside_world",
                remedy="Call it from the test; a node may know its `stoker.Task`, and nothing of the world.",
            )

    def _quiet(self, timer: Micros) -> None:
        """Nothing is ready: end here, or let time pass."""
        if self._loop.micros >= self._goal.until or self._goal.over():
            self._loop.stop()
            return
        to = min(timer, self._goal.until)
        if to - self._loop.micros <= LEAP or not self._server.up or self._moving():
            self._loop.jump(to)
        else:
            self._leap(to)

    def _moving(self) -> bool:
        """Whether something may happen without any time being up."""
        ahead, busy = self._look()
        lately = busy and self._loop.micros - self._server.moved_at < STEADY
        return lately or ahead.stopping is not None or ahead.spread is not None

    def _leap(self, to: Micros) -> None:
        """Go to when something is due, or to the next timer if that is near; end if nothing is left to happen."""
        ahead, busy = self._look()
        due = min(self._loop.next_told(), *map(self._at, (ahead.delay, ahead.attempt, self._server.gate_at)))
        if due == NEVER and self._goal.idle:
            self._loop.stop()
            return
        told = min(due, self._at(ahead.schedule))
        goal = min(told - (BEATS if busy else 0), self._goal.until - (BEATS if busy else LEAP))
        if goal > NEVER // 2 or goal - self._loop.micros <= LEAP:
            self._loop.jump(to)
            return
        self._loop.leap(goal)
        self._server.passed(leases=busy)

    def _look(self) -> tuple[Ahead, bool]:
        if self._seen != self._server.changes:
            self._seen, self._ahead = self._server.changes, self._server.ahead()
        return self._ahead

    def _at(self, time: Micros | None) -> Micros:
        """A time of the clock as one of the loop."""
        return NEVER if time is None or time > NEVER // 2 else self._clock.after(time)


@contextmanager
def _nowhere() -> Iterator[None]:
    """No loop runs in this thread, as far as loops know."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
