"""An event loop in a thread of its own, for callers without one (and for those inside of another)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from threading import Thread
from typing import Any, Protocol, TypeVar

from stoker.errors import Conflict
from stoker.runner.eventloop import new_loop

T = TypeVar("T")


class Caller(Protocol):
    """Who carries out the coroutines of a client."""

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T: ...
    def close(self) -> None: ...


class Portal:
    def __init__(self) -> None:
        self._loop = new_loop()
        self._thread = Thread(target=self._run, name="stoker-client", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it. An interrupt of the caller cancels it."""
        if self._loop.is_closed():
            coroutine.close()
            raise Conflict("this client is closed", remedy="Make another one.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except (KeyboardInterrupt, CancelledError):
            future.cancel()
            raise

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
