"""Holding a call open: work goes on while the client stays and the server runs, and is cancelled when either ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

import msgspec

from stoker.api.call import Receive
from stoker.api.closing import Closing

T = TypeVar("T")


class Ended(msgspec.Struct, Generic[T], frozen=True):
    """`value`: what the work gave; None if it was cut short. `gone`: the client left."""

    value: T | None
    gone: bool


async def hold(work: Coroutine[Any, Any, T], receive: Receive, closing: Closing) -> Ended[T]:
    """Await the work, or until the client is gone or the server begins to close; then it is cancelled and awaited.

    The request body must have been read. Raises what the work raised, unless nobody is there to hear it.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnect(receive))
    ends: set[asyncio.Future[Any]] = {task, gone, closing.future()}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        gone_first = gone.done()
        gone.cancel()
        await asyncio.wait(ends - {closing.future()})
    if task.cancelled() or (gone_first and task.exception() is not None):
        return Ended(None, gone_first)
    return Ended(task.result(), gone_first)


async def disconnect(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def is_gone(receive: Receive) -> bool:
    """Whether the client is known to be gone, without waiting: one step of `receive` tells. The body must be read."""
    waiting = receive().__await__()
    try:
        next(waiting)
    except StopIteration as told:
        return bool(told.value["type"] == "http.disconnect")
    close = getattr(waiting, "close", None)
    if close is not None:
        close()
    return False
