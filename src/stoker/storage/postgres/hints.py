"""What servers whisper to each other, by NOTIFY on a connection beside the pool. Nothing depends on being heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from stoker.storage.postgres import faults
from stoker.storage.postgres.address import Address
from stoker.storage.postgres.tx import Connection

CHANNEL = "stoker"
LARGEST = 7_900  # bytes of one message; PostgreSQL takes less than 8,000
CONNECT_S = 5.0
AGAIN_S = 0.5
ECHO_S = 2.0
_ECHO = "echo"
_log = logging.getLogger("stoker.storage")


class Hints:
    """Says and hears hints. `heard` gets each message, and None when some may have been missed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._heard: Callable[[str | None], None] = lambda _: None
        self._connection: Connection | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._echoed = asyncio.Event()
        self._saying = asyncio.Lock()

    @property
    def deaf(self) -> bool:
        """Whether nothing would be heard: there is no connection, or it has not let us hear ourselves."""
        return self._broken.is_set() or not self._echoed.is_set()

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """Hear from now on; a lost connection is made anew. Returns when the first one hears, or failed."""
        self._heard = heard
        await self._connect()
        self._keeping = asyncio.create_task(self._keep())

    async def say(self, text: str) -> None:
        """Tell the other servers, if they can be reached just now. A connection that does not answer is replaced."""
        async with self._saying:
            connection = self._connection
            if connection is None:
                return
            try:
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, text)
            except faults.DRIVER as error:
                if isinstance(error, TimeoutError):
                    self._lost(connection)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        await self._drop()

    async def _keep(self) -> None:
        while True:
            await self._broken.wait()
            await asyncio.sleep(AGAIN_S)
            await self._drop()
            await self._connect()

    async def _connect(self) -> None:
        self._broken.clear()
        self._echoed.clear()
        try:
            connection = await asyncpg.connect(
                self._address.dsn,
                timeout=CONNECT_S,
                command_timeout=CONNECT_S,
                statement_cache_size=0,
                server_settings={"application_name": "stoker hints"},
            )
        except faults.DRIVER:
            self._broken.set()
            return
        self._connection = connection
        connection.add_termination_listener(self._lost)
        try:
            await connection.add_listener(CHANNEL, self._got)
            await self._check(connection)
        except faults.DRIVER:
            self._broken.set()
            return
        self._heard(None)

    async def _check(self, connection: Connection) -> None:
        """Hear ourselves: through a pool in transaction mode nobody hears anything."""
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, _ECHO)
        try:
            async with asyncio.timeout(ECHO_S):
                await self._echoed.wait()
        except TimeoutError:
            _log.warning(
                "%s does not deliver notifications, as through a pool in transaction mode: what other servers do is"
                " seen a few seconds late",
                self._address.shown,
            )

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    def _lost(self, connection: Any) -> None:
        if connection is self._connection:
            self._broken.set()

    def _got(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if payload == _ECHO:
            self._echoed.set()
        else:
            self._heard(str(payload))
