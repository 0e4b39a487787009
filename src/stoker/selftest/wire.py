"""A network between runners and their server, to be cut, held up and slowed down: a TCP proxy on loopback.

It runs in a thread of its own; what is called here may be called from any other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

CHUNK = 65_536


class Wire:
    """`url`: where the server at `to` is reached through it. The server may come and go."""

    def __init__(self, to: str) -> None:
        there = urlsplit(to)
        assert there.hostname is not None
        assert there.port is not None
        self._to = (there.hostname, there.port)
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay = 0.0
        self._lines: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._line, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End every connection; new ones are let through."""
        self._soon(self._cut)

    def hold(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._soon(self._flows.clear)

    def slow(self, seconds: float) -> None:
        """From now on everything takes longer by so much, each way."""
        self._delay = seconds

    def heal(self) -> None:
        """It works as it should again; what was held up arrives late."""
        self._delay = 0.0
        self._soon(self._flows.set)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result()
        self._soon(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _soon(self, act: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(act)

    def _cut(self) -> None:
        for line in self._lines:
            line.cancel()

    async def _closed(self) -> None:
        self._server.close()
        self._cut()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as both ends want it."""
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        ends = [writer]
        try:
            there = await asyncio.open_connection(*self._to)
            ends.append(there[1])
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, there[1]))
                both.create_task(self._pump(there[0], writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # a connection that breaks breaks on both sides, which is all there is to it
        finally:
            self._lines.discard(line)
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()
