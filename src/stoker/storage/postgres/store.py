"""PostgreSQL: transactions, reads, and what becomes of them when the connection is lost.

READ COMMITTED: what is read to be changed is locked first, and read after. When `transact` returns, the write is as
durable as the database makes a commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncpg
from asyncpg import exceptions as pg

from stoker.core.duration import Micros
from stoker.engine import single
from stoker.engine.ports import CommitUnknown, GuardFailed, Interrupted, Reader, Tx
from stoker.errors import Conflict, Unavailable
from stoker.storage.postgres import address, faults, migrate
from stoker.storage.postgres.hints import Hints
from stoker.storage.postgres.pool import CONNECTIONS, Pool, ended
from stoker.storage.postgres.tx import Connection, PostgresReader, PostgresTx

T = TypeVar("T")
PATIENCE_S = 10.0  # as long as a restart of the database may take
OLDEST = 140_000  # PostgreSQL 14

_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOOKING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_CLOCK = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT"
_log = logging.getLogger("stoker.storage")


class Postgres:
    """The store of one PostgreSQL database. `patience`: seconds for which a database that is away is waited for."""

    shared = True

    def __init__(self, url: str, *, patience: float = PATIENCE_S) -> None:
        self.address = address.parse(url)
        self.statements = 0
        self._pool = Pool(self.address, patience)
        self._working: set[asyncio.Task[Any]] = set()

    @property
    def place(self) -> str:
        return self.address.shown

    async def open(self) -> None:
        """Connect and migrate. Unavailable, with the remedy, if that cannot be done."""
        self._pool.open()
        try:
            await self._repeated(self._prepare)
        except BaseException:
            await self.close()
            raise

    async def _prepare(self, tx: Tx) -> None:
        connection = cast("PostgresTx", tx).connection
        await self._check(connection)
        await migrate.apply(connection, self.place)

    async def _check(self, connection: Connection) -> None:
        number, name, fsync, commit, read_only = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'),"
            " current_setting('fsync'), current_setting('synchronous_commit'), current_setting('transaction_read_only')"
        ) or (0, "?", "on", "on", "off")
        if number < OLDEST:
            raise Unavailable(
                f"the database is PostgreSQL {name}; Stoker needs {OLDEST // 10_000} or newer.",
                code="database_too_old",
                place=self.place,
                remedy="Upgrade it, or name another in STOKER_DATABASE_URL.",
            )
        if read_only == "on":
            raise faults.unavailable(pg.ReadOnlySQLTransactionError("transaction_read_only is on"), self.place)
        if fsync == "off" or commit == "off":
            _log.warning("%s has fsync=%s, synchronous_commit=%s: a crash may lose commits", self.place, fsync, commit)

    async def close(self) -> None:
        """Let the connections go, after what was asked before; what is asked later is Unavailable.

        Nobody waits any longer for a database that is away.
        """
        self._pool.stop_waiting()
        while self._working:
            await asyncio.wait(self._working)
        await self._pool.close()

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
        async with self._pool.begun(_WRITING) as connection:
            tx = PostgresTx(connection)
            try:
                with faults.translated(self.place), _interrupting(connection):
                    result = await work(cast("Tx", tx))
            finally:
                self.statements += tx.statements
            await self._commit(connection)
            return result

    async def _commit(self, connection: Connection) -> None:
        with faults.translated(self.place):
            try:
                done = await connection.execute("COMMIT")
            except faults.LOST as error:
                raise CommitUnknown(str(error)) from error
        if done != "COMMIT":  # an error was swallowed on the way
            raise AssertionError(f"the database answered COMMIT with {done}")

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Answer from one snapshot. A lost connection is replaced and the question asked again."""
        return await self._look(work, _LOOKING)

    async def peek(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        return await self._look(work, _LOOKING if self.address.pooled else "")

    async def _look(self, work: Callable[[Reader], Awaitable[T]], begin: str) -> T:
        for left in range(CONNECTIONS, -1, -1):
            try:
                return await self._looked(work, begin)
            except GuardFailed as error:
                if not left:
                    raise faults.unavailable(error.__cause__ or error, self.place) from error
        raise AssertionError("the last try neither returned nor raised")

    async def _looked(self, work: Callable[[Reader], Awaitable[T]], begin: str) -> T:
        async with self._pool.begun(begin) as connection:
            reader = PostgresReader(connection)
            with faults.translated(self.place), _interrupting(connection):
                found = await work(cast("Reader", reader))
                if begin:
                    await connection.execute("COMMIT")
            self.statements += reader.statements
            return found

    async def take_ids(self, sequence: str, count: int) -> range:
        async def take(tx: Tx) -> range:
            ((end,),) = await tx.execute("take_ids", sequence, count)
            return range(end - count, end)

        return await self._repeated(take)  # of a block that was taken unheard, nobody draws

    async def give_back_ids(self, sequence: str, rest: range) -> None:
        async def give(tx: Tx) -> None:
            await tx.execute("give_back_ids", rest.start, sequence, rest.stop)

        await single.transact(self, give)

    async def _repeated(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run in one transaction that may as well be run twice."""
        for left in range(single.TRIES - 1, -1, -1):
            try:
                return await single.transact(self, work)
            except Unavailable as error:
                if not left or not isinstance(error.__cause__, CommitUnknown):
                    raise
        raise AssertionError("the last try neither returned nor raised")

    async def snapshot(self, path: Path) -> None:
        raise Conflict(
            "the database is PostgreSQL, which has backups of its own.",
            code="no_backup",
            remedy="Use `pg_dump` or a base backup with its log, and then copy the artifact folder.",
        )

    async def time(self) -> Micros:
        """The database's wall clock."""

        async def clock(reader: Reader) -> Micros:
            return int(await cast("PostgresReader", reader).connection.fetchval(_CLOCK))

        return await self.peek(clock)

    def hints(self) -> Hints:
        """The way to other servers."""
        return Hints(self.address)


@contextmanager
def _interrupting(connection: Connection) -> Iterator[None]:
    """A connection that is lost in mid-transaction, as such. One that does not answer in time is not tried anew."""
    try:
        yield
    except faults.LOST as error:
        if isinstance(error, (TimeoutError, *faults.RACED)):
            raise
        if isinstance(error, asyncpg.InterfaceError) and not ended(connection):
            raise AssertionError(f"the driver was used wrongly: {error}") from error
        raise Interrupted(str(error)) from error
