"""Serving the application on a socket that someone else bound, until told to stop; then held calls get an answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import uvicorn

from stoker.api.call import Receive, Send
from stoker.api.closing import Closing

KEEP_ALIVE_S = 75  # longer than clients keep a connection, so that it is they who close it
GRACE_S = 7  # for requests in flight at the end; the supervisor kills after 10
LINGER_S = 0.25  # in which connections that were accepted a moment ago still get their answer
BACKLOG = 2048
TICK_S = 1.0


class Application(Protocol):
    """An ASGI application whose held calls end with an answer when `closing` begins."""

    @property
    def closing(self) -> Closing: ...
    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None: ...


async def serve(
    app: Application, listener: socket.socket, stop: asyncio.Event, *, ready: Callable[[], None] | None = None
) -> None:
    """Serve until `stop` is set, then end gracefully. `ready` is called once requests are answered."""
    await _Server(_config(app), app.closing, stop, ready).serve(sockets=[listener])


def _config(app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


class _Server(uvicorn.Server):
    """uvicorn, with signals left to the process, and an end that lets nobody stand before a closed door."""

    def __init__(
        self, config: uvicorn.Config, closing: Closing, stop: asyncio.Event, ready: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self._closing = closing
        self._stop = stop
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    async def main_loop(self) -> None:
        """Keep the date header right once a second; uvicorn's own loop wakes ten times as often."""
        while not self._stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end held calls, and close idle connections only after who is about to ask was answered."""
        for server in self.servers:
            server.close()
        self._closing.begin()
        await asyncio.sleep(LINGER_S)
        await super().shutdown(sockets)
