"""How clients and runners of a world reach its server: requests that take a moment, and may not get through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from stoker.core.duration import Micros
from stoker.runner.problems import error_of
from stoker.runner.wire import ANSWER_S, Wire
from stoker.testing.conversation import Answer, Conversation, Request
from stoker.testing.loop import VirtualLoop, pause
from stoker.testing.network import Network
from stoker.testing.server import Server

URL = "http://world"


class Line:
    """What connects one process with the server. `cut`: it is dead. `held`: nothing passes before this time."""

    def __init__(self, loop: VirtualLoop, network: Network, server: Server) -> None:
        self.cut = False
        self.held: Micros = 0
        self._loop = loop
        self.network = network
        self._server = server

    async def ask(self, request: Request) -> tuple[Conversation, Answer]:
        """Send a request and wait for its answer. ConnectionError if one of them does not get through."""
        await self._trip()
        talk = Conversation(request)
        match self.network.fate(request.url.name):
            case "lost":
                raise ConnectionResetError("the request was lost on its way")
            case "late":
                self._arrive_late(talk)
            case "repeated":
                self._server.serve(talk)
                self._arrive_late(Conversation(request))
            case "unanswered":
                self._server.serve(talk)
                await talk.answer()
                raise ConnectionResetError("the answer was lost on its way")
            case "well":
                self._server.serve(talk)
        try:
            answer = await talk.answer()
            await self._trip()
        except BaseException:
            talk.gone.set()
            raise
        return talk, answer

    async def _trip(self) -> None:
        if self.cut:
            raise ConnectionAbortedError("its process is dead")
        await pause(max(self.network.trip(), self.held - self._loop.micros))

    def _arrive_late(self, talk: Conversation) -> None:
        """Reach the server at some time, whether or not anybody still waits for the answer."""
        self._loop.after(self.network.lateness(), self._server.serve_late, talk)


class VirtualWire(Wire):
    """A wire whose other end is in this process."""

    def __init__(self, line: Line, token: str) -> None:
        super().__init__(URL, token)
        self._line = line

    @asynccontextmanager
    async def open(  # type: ignore[override]  # an answer is as much of a response as anybody here uses
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float | None = 0.0,
    ) -> AsyncIterator[Answer]:
        url = self._url(path, query)
        body = b"" if data is None else data if isinstance(data, bytes) else data.read()
        own = {"Content-Length": str(len(body)), "X-Request-Id": self._line.network.request_id()}
        given = {**self._headers, **(headers or {}), **own}
        try:
            async with asyncio.timeout(None if wait_s is None else wait_s + ANSWER_S):
                talk, answer = await self._line.ask(Request(method, url, given, body))
                try:
                    if not 200 <= answer.status < 300:
                        raise error_of(answer.status, await answer.read(), f"{method} {url}")
                    yield answer
                finally:
                    talk.gone.set()
        except (TimeoutError, OSError) as error:
            raise self._unreachable(method, url, error) from error

    async def close(self) -> None:
        """There is nothing to close."""
