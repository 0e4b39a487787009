"""An event loop in which time passes only when nothing else can happen. One thread, no sockets, no sleep."""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from stoker.core.duration import SECOND, Micros
from stoker.testing.strand import aside

NEVER: Micros = 2**62

HUSHED: ContextVar[bool] = ContextVar("stoker_hushed", default=False)
"""Set where timers are those of servers and runners that keep themselves going; nothing of a test waits for them."""
ENDLESS = 100_000
LONG: Micros = 61 * SECOND  # more than any such timer: who waits longer waits for something


class VirtualLoop(asyncio.SelectorEventLoop):
    """`micros` is the time. `quiet` is called when nothing is ready, and moves it on, or stops the loop."""

    def __init__(self) -> None:
        self.micros: Micros = 0
        self.quiet: Callable[[Micros], None] = self.jump
        self._told: list[asyncio.TimerHandle] = []  # the timers that something waits for
        self._scheduled: list[Any]  # all of them; the base class keeps it in order
        super().__init__(_Waiting(self))
        self._clock_resolution = 1 / SECOND

    def time(self) -> float:
        return self.micros / SECOND

    def jump(self, to: Micros) -> None:
        """Let time pass, up to a time."""
        self.micros = max(self.micros, to)

    def leap(self, to: Micros) -> None:
        """Let time pass at once, as if everything that only keeps itself going had stood still."""
        told = {id(timer) for timer in self._told}
        for timer in self._scheduled:
            if id(timer) not in told:
                timer._when += (to - self.micros) / SECOND
        heapq.heapify(self._scheduled)
        self.jump(to)

    def next_told(self) -> Micros:
        """When the next timer fires that something waits for."""
        while self._told and (self._told[0].cancelled() or micros_of(self._told[0].when()) <= self.micros):
            heapq.heappop(self._told)
        return micros_of(self._told[0].when()) if self._told else NEVER

    def call_at(  # type: ignore[override]  # the stubs' unpacked arguments say the same
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        alone = HUSHED.get() if context is None else context.get(HUSHED, False)
        if not alone or LONG < when * SECOND - self.micros < NEVER:
            heapq.heappush(self._told, timer)
        return timer

    def after(self, micros: Micros, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call it then, as something that a test waits for."""
        return self.call_later(micros / SECOND, callback, *args, context=Context())

    def call_soon_threadsafe(  # type: ignore[override]  # as above; there is but one thread at a time
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """By the runner's own code, told so by user code: what comes of it is the runner's."""
        return self.call_soon(callback, *args, context=context or hushed())

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Here and now; what user code puts into a thread is run aside, so that it may wait."""
        if not HUSHED.get():
            return self.create_task(aside(lambda: func(*args)))
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            future.set_exception(error)
        return future


class _Waiting(selectors.DefaultSelector):
    """Stands where a loop waits for the world outside."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._steps = 0  # without any time between them

    def select(self, timeout: float | None = None) -> list[Any]:
        self._steps = self._steps + 1 if timeout == 0 else 0
        if self._steps > ENDLESS:
            self._steps = 0
            raise RuntimeError(f"time stands still at {self._loop.time()} s: something keeps itself busy for ever")
        if timeout is None:
            self._loop.quiet(NEVER)
        elif timeout > 0:
            self._loop.quiet(self._loop.micros + micros_of(timeout))
        return []


def hushed() -> Context:
    """This context, for servers and runners."""
    context = copy_context()
    context.run(HUSHED.set, True)
    return context


def micros_of(seconds: float) -> Micros:
    """The first microsecond that is not before a time."""
    return math.ceil(seconds * SECOND - 1e-3)


async def pause(micros: Micros) -> None:
    """Wait in virtual time, as something that a test waits for."""
    if micros <= 0:
        return
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    over = loop.create_future()
    timer = loop.after(micros, _over, over)
    try:
        await over
    finally:
        timer.cancel()


def _over(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
