"""Connections to PostgreSQL: each is lent with a transaction begun on it, and comes back with none.

One that is lost is replaced; a database that is away is waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import asyncpg
from asyncpg import exceptions as pg
from asyncpg.pool import PoolConnectionProxy

from stoker.errors import Unavailable
from stoker.storage.postgres import faults
from stoker.storage.postgres.address import Address
from stoker.storage.postgres.tx import Connection

if TYPE_CHECKING:
    Lender = asyncpg.Pool[asyncpg.Record]

CONNECTIONS = 8
CONNECT_S = 5.0  # one try
AGAIN_S = 0.1
STATEMENT_S = 15.0  # less than a lease: who waits longer is told, and from then on nobody is taken for dead

_HABITS = (
    "SET {scope} idle_in_transaction_session_timeout = '20s'; "  # a server that froze keeps no lock for ever
    "SET {scope} lock_timeout = '10s'; "  # and who waits for it is told
    "SET {scope} jit = off; "
    # Plan once, and by index alone: half of a small statement is its plan, and one made while a table was empty must
    # still be right when it is large.
    "SET {scope} plan_cache_mode = force_generic_plan; "
    "SET {scope} enable_seqscan = off; SET {scope} enable_bitmapscan = off; "
    "SET {scope} enable_hashjoin = off; SET {scope} enable_mergejoin = off"
)


class Pool:
    """A few connections to one database. `patience`: seconds for which one that is away is waited for."""

    def __init__(self, address: Address, patience: float) -> None:
        self._address = address
        self.patience = patience
        self._lender: Lender | None = None
        self._closing = asyncio.Event()

    def open(self) -> None:
        """Begin to lend; the first connection is made when it is asked for."""
        pooled = self._address.pooled
        self._closing.clear()
        self._lender = asyncpg.create_pool(
            self._address.dsn,
            min_size=0,
            max_size=CONNECTIONS,
            max_inactive_connection_lifetime=0.0 if pooled else 300.0,
            reset=_as_it_is,
            init=None if pooled else _accustom,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S,
            statement_cache_size=0 if pooled else 200,
            server_settings={"application_name": "stoker"},
        )

    def stop_waiting(self) -> None:
        """Nobody waits any longer for a database that is away."""
        self._closing.set()

    async def close(self) -> None:
        lender, self._lender = self._lender, None
        if lender is not None:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await lender.close()
            except TimeoutError:
                lender.terminate()

    @asynccontextmanager
    async def begun(self, begin: str) -> AsyncIterator[Connection]:
        """A connection with a transaction begun on it (empty: none), undone if the block raises."""
        until = time.monotonic() + self.patience
        while True:
            async with self._lent(until) as connection:
                try:
                    if begin and not await self._begin(connection, begin, until):
                        continue
                    yield connection
                except BaseException:
                    await _undo(connection)
                    raise
                return

    async def _begin(self, connection: Connection, begin: str, until: float) -> bool:
        """False: the connection broke while it was idle; nothing was asked of it yet."""
        habits = f"; {_HABITS.format(scope='LOCAL')}" if self._address.pooled else ""
        try:
            await connection.execute(begin + habits)
        except faults.DRIVER as error:
            _drop(connection)
            late = isinstance(error, pg.QueryCanceledError)  # meant for who had the connection before
            if not (late or isinstance(error, faults.LOST)) or time.monotonic() > until:
                raise faults.unavailable(error, self._address.shown) from error
            return False
        return True

    @asynccontextmanager
    async def _lent(self, until: float) -> AsyncIterator[Connection]:
        lender, connection = await self._acquired(until)
        try:
            yield cast("Connection", connection)
        finally:
            await lender.release(connection)

    async def _acquired(self, until: float) -> tuple[Lender, PoolConnectionProxy[asyncpg.Record]]:
        while True:
            if (lender := self._lender) is None:
                raise _closed()
            try:
                await lender  # does nothing after the first time
                return lender, await lender.acquire()
            except faults.DRIVER as error:
                if not faults.passing(error) or time.monotonic() > until or self._closing.is_set():
                    raise faults.unavailable(error, self._address.shown) from error
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), AGAIN_S)


def ended(connection: Connection) -> bool:
    """Whether a connection is over."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has seen its end, and let it go
        return True


async def _accustom(connection: Connection) -> None:
    await connection.execute(_HABITS.format(scope="SESSION"))


async def _as_it_is(connection: Connection) -> None:
    """Connections are given back as they were taken: nothing is ever set on one for a while."""


async def _undo(connection: Connection) -> None:
    """Roll back; a connection that cannot do that is thrown away, and the database undoes what was begun on it.

    Always: the driver may not know yet of a BEGIN that was cancelled, nor does it end a statement that was cancelled
    between its preparation and its execution, so that the next transaction would begin inside of it.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            await connection.execute("ROLLBACK")
    except faults.DRIVER:
        _drop(connection)
    except asyncio.CancelledError:
        _drop(connection)
        raise


def _drop(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has seen its end, and let it go
        connection.terminate()


def _closed() -> Unavailable:
    return Unavailable("the database has been closed; this server is stopping.", code="closed", remedy="Ask again.")
