"""The beginning of the end of a server: held calls (long-polls, event streams) end with an answer when it begins."""

from __future__ import annotations

import asyncio


class Closing:
    """Begins once. Belongs to one event loop, that of the first `future()`."""

    def __init__(self) -> None:
        self.begun = False
        self._future: asyncio.Future[None] | None = None

    def begin(self) -> None:
        self.begun = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def future(self) -> asyncio.Future[None]:
        """Done once closing has begun; shared, so wait for it with `asyncio.wait`, which does not cancel it."""
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
            if self.begun:
                self._future.set_result(None)
        return self._future
