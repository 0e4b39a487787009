"""An HTTP proxy that meddles: it delays, cuts requests and answers half way, loses answers, and says things twice.

It runs in a thread of its own. What happens to a request is drawn from a seed; `met` counts it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from random import Random
from typing import NamedTuple, Self
from urllib.parse import urlsplit

FATES = ("pass", "late", "half a request", "half an answer", "no answer", "twice", "twice, the later answer")
CHANCES = (60, 8, 6, 6, 8, 6, 6)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Message(NamedTuple):
    """A request or an answer, as bytes; `last`: nothing follows it on its connection."""

    body: bytes
    last: bool


class Meddler:
    """`url`: where the server at `to` is reached through it. It meddles while `meddling`."""

    def __init__(self, to: str, seed: int) -> None:
        there = urlsplit(to)
        self._to = (there.hostname, there.port)
        self._dice = Random(seed)
        self.met: Counter[str] = Counter()
        self.meddling = True
        self._loop = asyncio.new_event_loop()
        self._lines: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._line, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="meddler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _closed(self) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client: request by request, each over a connection of its own to the server."""
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._pass((reader, writer), await _message(reader)):
                pass
        self._lines.discard(line)
        writer.transport.abort()

    async def _pass(self, client: Streams, request: Message) -> bool:
        """Pass one request on, or not; False: the connection is over."""
        fate = self._dice.choices(FATES, CHANCES)[0] if self.meddling else "pass"
        self.met[fate] += 1
        if fate == "half a request":
            await self._cut_short(request)
            return False
        if fate == "late":
            await asyncio.sleep(self._dice.uniform(0.05, 0.5))
        if fate == "twice":
            answer, _ = await self._asked(client, request), await self._asked(client, request)
        elif fate == "twice, the later answer":
            _, answer = await self._asked(client, request), await self._asked(client, request)
        else:
            answer = await self._asked(client, request)
        if fate == "no answer":
            return False
        client[1].write(answer.body[: len(answer.body) // 2] if fate == "half an answer" else answer.body)
        await client[1].drain()
        return fate != "half an answer" and not (answer.last or request.last)

    async def _cut_short(self, request: Message) -> None:
        _, writer = await asyncio.open_connection(*self._to)
        writer.write(request.body[: self._dice.randrange(1, len(request.body))])
        await writer.drain()
        writer.transport.abort()

    async def _asked(self, client: Streams, request: Message) -> Message:
        """What the server answers; a client that hangs up meanwhile does so for the server too."""
        reader, writer = await asyncio.open_connection(*self._to)
        try:
            writer.write(request.body)
            answer = asyncio.ensure_future(_message(reader))
            hung_up = asyncio.ensure_future(_end(client[0]))
            try:
                await asyncio.wait([answer, hung_up], return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    raise ConnectionResetError("the client hung up")
                return answer.result()
            finally:
                for waiting in (answer, hung_up):
                    waiting.cancel()
                await asyncio.gather(answer, hung_up, return_exceptions=True)
        finally:
            writer.transport.abort()


async def _end(reader: asyncio.StreamReader) -> None:
    """Return when the other side hung up. Clients here never send the next request before they have their answer."""
    while not reader.at_eof():
        await asyncio.sleep(0.01)


async def _message(reader: asyncio.StreamReader) -> Message:
    """One whole message: by its length, by its chunks, or until the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    last = fields.get("connection", "").lower() == "close"
    if "content-length" in fields:
        return Message(head + await reader.readexactly(int(fields["content-length"])), last)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return Message(head + await _chunks(reader), last)
    if not first.startswith("HTTP/") or " 204 " in first or " 304 " in first:
        return Message(head, last)
    return Message(head + await reader.read(), True)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.partition(b";")[0], 16) + 2)
        body += size + chunk
        if chunk == b"\r\n":
            return body
