"""PostgreSQL: a pool of connections, each transaction on one of them; a lost connection is replaced.

READ COMMITTED: what is read to be changed is locked first, and read after. When `transact` returns, the write is as
durable as the database makes a commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from stoker.core.duration import Micros
from stoker.engine.ports import CommitUnknown, Interrupted, Reader, Tx
from stoker.errors import Unavailable
from stoker.storage.postgres import address, faults, migrate
from stoker.storage.postgres.tx import Connection, PostgresReader, PostgresTx

T = TypeVar("T")
CONNECTIONS = 8
CONNECT_S = 5.0  # one try
PATIENCE_S = 10.0  # as long as a restart of the database may take
AGAIN_S = 0.1
STATEMENT_S = 60.0  # what takes longer has lost its connection
OLDEST = 140_000  # PostgreSQL 14

_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_LOOKING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_HABITS = "SET idle_in_transaction_session_timeout = '20s'; SET lock_timeout = '20s'; SET jit = off"
_log = logging.getLogger("stoker.storage")


class Postgres:
    """The store of one PostgreSQL database. `patience`: seconds for which a database that is away is waited for."""

    shared = True

    def __init__(self, url: str, *, patience: float = PATIENCE_S) -> None:
        self.address = address.parse(url)
        self.patience = patience
        self.statements = 0
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._working: set[asyncio.Task[Any]] = set()

    @property
    def place(self) -> str:
        return self.address.shown

    async def open(self) -> None:
        """Connect and migrate. Unavailable, with the remedy, if that cannot be done."""
        self._pool = asyncpg.create_pool(
            self.address.dsn,
            min_size=0,
            max_size=CONNECTIONS,
            max_inactive_connection_lifetime=0.0 if self.address.pooled else 300.0,
            reset=_as_it_is,
            init=self._init,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S,
            statement_cache_size=0 if self.address.pooled else 200,
            server_settings={"application_name": "stoker"},
        )
        try:
            async with self._connection() as connection:
                with faults.translated(self.place):
                    await self._check(connection)
                    await migrate.apply(connection, self.place)
        except BaseException:
            await self.close()
            raise

    async def _check(self, connection: Connection) -> None:
        number, name, fsync, commit = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'),"
            " current_setting('fsync'), current_setting('synchronous_commit')"
        ) or (0, "?", "on", "on")
        if number < OLDEST:
            raise Unavailable(
                f"the database is PostgreSQL {name}; Stoker needs {OLDEST // 10_000} or newer.",
                code="database_too_old",
                place=self.place,
                remedy="Upgrade it, or name another in STOKER_DATABASE_URL.",
            )
        if fsync == "off" or commit == "off":
            _log.warning("%s has fsync=%s, synchronous_commit=%s: a crash may lose commits", self.place, fsync, commit)

    async def _init(self, connection: Connection) -> None:
        if not self.address.pooled:
            await connection.execute(_HABITS)

    async def close(self) -> None:
        """Let the connections go, after what was asked before; what is asked later is Unavailable."""
        while self._working:
            await asyncio.wait(self._working)
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    # --- transactions ---

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run to its end even if the caller is cancelled.

        GuardFailed and Interrupted: it was undone, and may be decided anew. CommitUnknown: it may have happened.
        """
        task = asyncio.create_task(self._transact(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def _transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        async with self._begun(_WRITING) as connection:
            tx = PostgresTx(connection)
            try:
                with faults.translated(self.place):
                    result = await self._worked(work, tx)
            finally:
                self.statements += tx.statements
            await self._commit(connection)
            return result

    @staticmethod
    async def _worked(work: Callable[[Tx], Awaitable[T]], tx: PostgresTx) -> T:
        try:
            return await work(cast("Tx", tx))
        except asyncpg.DataError:  # a mistake of ours, which the driver calls an error of its interface
            raise
        except faults.LOST as error:
            raise Interrupted(str(error)) from error

    async def _commit(self, connection: Connection) -> None:
        try:
            await connection.execute("COMMIT")
        except faults.LOST as error:
            raise CommitUnknown(str(error)) from error

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Answer from one snapshot. A lost connection is replaced and the question asked again."""
        return await self._look(work, _LOOKING)

    async def peek(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        return await self._look(work, _LOOKING if self.address.pooled else "")

    async def _look(self, work: Callable[[Reader], Awaitable[T]], begin: str) -> T:
        for last in (False, True):
            try:
                async with self._begun(begin) as connection:
                    reader = PostgresReader(connection)
                    with faults.translated(self.place):
                        found = await work(cast("Reader", reader))
                        if begin:
                            await connection.execute("COMMIT")
                    self.statements += reader.statements
                    return found
            except Unavailable as error:
                if last or not isinstance(error.__cause__, faults.LOST):
                    raise
        raise AssertionError("a loop of two ended without an answer")

    async def take_ids(self, sequence: str, count: int) -> range:
        async def take(tx: Tx) -> range:
            ((end,),) = await tx.execute("take_ids", sequence, count)
            return range(end - count, end)

        return await self.transact(take)

    async def give_back_ids(self, sequence: str, rest: range) -> None:
        async def give(tx: Tx) -> None:
            await tx.execute("give_back_ids", rest.start, sequence, rest.stop)

        await self.transact(give)

    async def time(self) -> Micros:
        """The database's wall clock."""
        async with self._connection() as connection:
            with faults.translated(self.place):
                return int(
                    await connection.fetchval("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT")
                )

    # --- connections ---

    @asynccontextmanager
    async def _begun(self, begin: str) -> AsyncIterator[Connection]:
        """A connection with a transaction begun on it, undone if the block raises."""
        until = time.monotonic() + self.patience
        while True:
            async with self._connection(until) as connection:
                try:
                    if begin:
                        await connection.execute(begin)
                except faults.LOST as error:  # it broke while it was idle: nothing was asked of it yet
                    connection.terminate()
                    if time.monotonic() > until:
                        raise faults.unavailable(error, self.place) from error
                    continue
                try:
                    yield connection
                except BaseException:
                    await _undo(connection)
                    raise
                return

    @asynccontextmanager
    async def _connection(self, until: float | None = None) -> AsyncIterator[Connection]:
        connection = await self._acquired(time.monotonic() + self.patience if until is None else until)
        try:
            yield cast("Connection", connection)
        finally:
            if self._pool is not None:
                await self._pool.release(connection)

    async def _acquired(self, until: float) -> PoolConnectionProxy[asyncpg.Record]:
        while True:
            if self._pool is None:
                raise _closed()
            try:
                await self._pool  # does nothing after the first time
                return await self._pool.acquire()
            except faults.BUSY as error:
                if time.monotonic() > until:
                    raise faults.unavailable(error, self.place) from error
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise faults.unavailable(error, self.place) from error
            await asyncio.sleep(AGAIN_S)


async def _as_it_is(connection: Connection) -> None:
    """Connections are given back as they were taken: nothing is ever set on one for a while."""


async def _undo(connection: Connection) -> None:
    """Roll back; a connection that cannot do that is thrown away, and the database undoes what was begun on it."""
    try:
        async with asyncio.timeout(CONNECT_S):
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _closed() -> Unavailable:
    return Unavailable("the database has been closed; this server is stopping.", code="closed", remedy="Ask again.")
