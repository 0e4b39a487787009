"""One request to the application and its answer, without a socket between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from yarl import URL

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Request(NamedTuple):
    """What a client sends."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes

    def scope(self) -> dict[str, Any]:
        """The request as an ASGI application takes it."""
        return {
            "type": "http",
            "method": self.method,
            "path": self.url.path,
            "query_string": self.url.raw_query_string.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode()) for name, value in self.headers.items()],
            "client": ("127.0.0.1", 1),
        }


class Conversation:
    """A request on its way. `gone`: its client hears no answer any more, and the server may know."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.gone = asyncio.Event()
        self._sent = False
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()

    async def serve(self, app: App) -> None:
        """Have the application answer; however that ends, the client learns of it."""
        try:
            await app(self.request.scope(), self._receive, self._send)
        finally:
            self.end()

    def end(self) -> None:
        """Close the connection from the server's side."""
        self._messages.put_nowait(None)

    async def answer(self) -> Answer:
        """Wait for the beginning of the answer. ConnectionResetError if there comes none."""
        start = await self._next()
        return Answer(start["status"], self.request.url, self._chunks())

    async def _receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self.request.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.gone.is_set():
            raise ConnectionResetError("the client has gone")
        self._messages.put_nowait(message)

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._next()
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def _next(self) -> Message:
        message = await self._messages.get()
        if message is None:
            raise ConnectionResetError("the server has closed the connection")
        return message


class Answer:
    """As much of a client's response as its callers use. `content` is itself."""

    def __init__(self, status: int, url: URL, chunks: AsyncIterator[bytes]) -> None:
        self.status = status
        self.url = url
        self.content = self
        self._chunks = chunks

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks])

    def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        return self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Lines, as of a stream of events."""
        async for chunk in self._chunks:
            for line in chunk.splitlines(keepends=True):
                yield line
