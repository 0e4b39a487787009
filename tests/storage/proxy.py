"""A TCP proxy in front of a database: it cuts connections when a COMMIT passes, or keeps everything to itself."""

from __future__ import annotations

import asyncio
from typing import Literal, Self

COMMIT = b"COMMIT\0"  # the end of a simple query's message
Moment = Literal["before", "during", "after"]


class Proxy:
    """`cut`: the next connection on which a COMMIT passes is cut before the server sees it, at once after, or when it
    has answered; `cuts` counts them. While `flowing` is not set, nothing passes either way, and nobody is told.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.cut: Moment | None = None
        self.cuts = 0
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()
        await asyncio.gather(*self._pumps, *(_closed(writer) for writer in self._writers), return_exceptions=True)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def drop(self) -> None:
        """End all connections without a word."""
        for writer in list(self._writers):
            writer.transport.abort()
        for pump in self._pumps:
            pump.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(self, (reader, writer), there)
        self._writers.add(there[1])
        for pump in (line.ask(), line.answer()):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)


class _Line:
    """One connection: from whom who asks (`here`) to the server (`there`)."""

    def __init__(
        self,
        proxy: Proxy,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.proxy = proxy
        self.here = here
        self.there = there
        self.doomed = False  # the server's next answer is not passed on

    async def ask(self) -> None:
        while sent := await _read(self.here[0]):
            await self.proxy.flowing.wait()
            moment = self.proxy.cut if sent.endswith(COMMIT) else None
            if moment is not None:
                self.proxy.cut = None
                self.proxy.cuts += 1
                self.doomed = moment == "after"
            if moment != "before":
                self.there[1].write(sent)
            if moment == "during":
                await self.there[1].drain()
            if moment in ("before", "during"):
                break
        self.end()

    async def answer(self) -> None:
        while said := await _read(self.there[0]):
            await self.proxy.flowing.wait()
            if self.doomed:
                break
            self.here[1].write(said)
        self.end()

    def end(self) -> None:
        self.here[1].transport.abort()
        self.there[1].close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""
