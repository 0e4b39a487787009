"""Runs the ticks: one pass, then sleep until the next thing is due or something wakes us. No policy lives here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from stoker.core.duration import SECOND, Micros
from stoker.errors import Unavailable

AFTER_TROUBLE_S = 1.0
_log = logging.getLogger("stoker.scheduler")


async def run(tick: Callable[[], Awaitable[Micros]], wake: asyncio.Event) -> None:
    """Tick for ever. An unavailable store is tried again; any other error is logged and does not end the loop."""
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
        if pause > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):  # `wait_for` may swallow a cancel that meets a wake-up
                    await wake.wait()
