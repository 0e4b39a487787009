"""Runs the ticks: one pass, then sleep until the next thing is due or something wakes us. No policy lives here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from stoker.core.duration import SECOND, Micros
from stoker.errors import Unavailable

AFTER_TROUBLE_S = 1.0
PART_S = 5.0  # of a sleep; who sleeps longer in one piece could not tell that it was stopped meanwhile
LATE_S = 2.0
_log = logging.getLogger("stoker.scheduler")


async def run(
    tick: Callable[[], Awaitable[Micros]], wake: asyncio.Event, stood_still: Callable[[], None] | None = None
) -> None:
    """Tick for ever. An unavailable store is tried again; any other error is logged and does not end the loop.

    `stood_still` is called when a sleep took much longer than it should: the process was stopped, or starved.
    """
    while True:
        wake.clear()
        try:
            pause = (await tick()) / SECOND
        except Unavailable as error:
            _log.warning("the scheduler waits for the database: %s", error)
            pause = AFTER_TROUBLE_S
        except Exception:  # noqa: BLE001 - one bad tick must not end the ticks
            _log.exception("a tick failed; it is tried again")
            pause = AFTER_TROUBLE_S
        if await _slept(pause, wake) and stood_still is not None:
            stood_still()


async def _slept(pause: float, wake: asyncio.Event) -> bool:
    """Sleep until the time is up or something wakes us; True at once if that took much longer than it should."""
    clock = asyncio.get_running_loop().time
    while pause > 0 and not wake.is_set():
        part, began = min(pause, PART_S), clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(part):  # `wait_for` may swallow a cancel that meets a wake-up
                await wake.wait()
        if clock() - began > part + LATE_S:
            return True
        pause -= part
    return False
