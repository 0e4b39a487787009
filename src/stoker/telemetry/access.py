"""One line a request, if that is wanted."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("stoker.access")


class Application(Protocol):
    """An ASGI application whose held calls end when `closing` begins."""

    @property
    def closing(self) -> Any: ...
    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None: ...


class AccessLog:
    """An application around another. The token is never shown, nor the query: it may hold what a filter looks for."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.closing = app.closing

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        asked = f"{scope['method']} {scope['path']}"
        try:
            await self._app(scope, receive, noted)
        finally:
            took = time.perf_counter() - began
            client = (scope.get("client") or ("",))[0]
            log.info(
                "%s %s %d %.1f ms",
                *(client, asked, status, took * 1e3),
                extra={"client": client, "request": asked, "status": status, "seconds": round(took, 6)},
            )
