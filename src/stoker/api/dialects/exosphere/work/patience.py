"""Holding what must not be refused while the storage is away: a runtime reports once, and dies of some refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stoker.api.closing import Closing
from stoker.errors import Unavailable

T = TypeVar("T")

HOLD_S = 60.0
_FIRST_S = 0.05
_MOST_S = 1.0


async def patiently(call: Callable[[bool], Awaitable[T]], closing: Closing) -> T:
    """Make a call until it is not Unavailable, for a minute at most, or until the server begins to close.

    It is told whether it was made before, and so may have been carried out by then.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + HOLD_S
    pause, again = _FIRST_S, False
    while True:
        try:
            return await call(again)
        except Unavailable:
            if closing.begun or loop.time() + pause > ends:
                raise
        await asyncio.wait([closing.future()], timeout=pause)
        pause, again = min(2 * pause, _MOST_S), True
