"""PostgreSQL: a pool of connections, each transaction on one of them; a lost connection is replaced.

READ COMMITTED: what is read to be changed is locked first, and read after. When `transact` returns, the write is as
durable as the database makes a commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg
from asyncpg import exceptions as pg
from asyncpg.pool import PoolConnectionProxy

from stoker.core.duration import Micros
from stoker.engine import single
from stoker.engine.ports import CommitUnknown, GuardFailed, Interrupted, Reader, Tx
from stoker.errors import Unavailable
from stoker.storage.postgres import address, faults, migrate
from stoker.storage.postgres.hints import Hints
from stoker.storage.postgres.tx import Connection, PostgresReader, PostgresTx

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

T = TypeVar("T")
CONNECTIONS = 8
CONNECT_S = 5.0  # one try
PATIENCE_S = 10.0  # as long as a restart of the database may take
AGAIN_S = 0.1
STATEMENT_S = 15.0  # less than a lease: who waits longer is told, and from then on nobody is taken for dead
OLDEST = 140_000  # PostgreSQL 14

_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOOKING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_HABITS = (
    "SET {scope} idle_in_transaction_session_timeout = '20s'; "  # a server that froze keeps no lock for ever
    "SET {scope} lock_timeout = '10s'; "  # and who waits for it is told
    "SET {scope} jit = off"
)
_CLOCK = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT"
_log = logging.getLogger("stoker.storage")


class Postgres:
    """The store of one PostgreSQL database. `patience`: seconds for which a database that is away is waited for."""

    shared = True

    def __init__(self, url: str, *, patience: float = PATIENCE_S) -> None:
        self.address = address.parse(url)
        self.patience = patience
        self.statements = 0
        self._pool: Pool | None = None
        self._working: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    @property
    def place(self) -> str:
        return self.address.shown

    async def open(self) -> None:
        """Connect and migrate. Unavailable, with the remedy, if that cannot be done."""
        self._closing.clear()
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

    async def _init(self, connection: Connection) -> None:
        if not self.address.pooled:
            await connection.execute(_HABITS.format(scope="SESSION"))

    async def close(self) -> None:
        """Let the connections go, after what was asked before; what is asked later is Unavailable.

        Nobody waits any longer for a database that is away.
        """
        self._closing.set()
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
        async with self._begun(begin) as connection:
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

    async def time(self) -> Micros:
        """The database's wall clock."""

        async def clock(reader: Reader) -> Micros:
            return int(await cast("PostgresReader", reader).connection.fetchval(_CLOCK))

        return await self.peek(clock)

    def hints(self) -> Hints:
        """The way to other servers."""
        return Hints(self.address)

    # --- connections ---

    @asynccontextmanager
    async def _begun(self, begin: str) -> AsyncIterator[Connection]:
        """A connection with a transaction begun on it, undone if the block raises."""
        until = time.monotonic() + self.patience
        while True:
            async with self._connection(until) as connection:
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
        habits = f"; {_HABITS.format(scope='LOCAL')}" if self.address.pooled else ""
        try:
            await connection.execute(begin + habits)
        except faults.DRIVER as error:
            _drop(connection)
            late = isinstance(error, pg.QueryCanceledError)  # meant for who had the connection before
            if not (late or isinstance(error, faults.LOST)) or time.monotonic() > until:
                raise faults.unavailable(error, self.place) from error
            return False
        return True

    @asynccontextmanager
    async def _connection(self, until: float) -> AsyncIterator[Connection]:
        pool, connection = await self._acquired(until)
        try:
            yield cast("Connection", connection)
        finally:
            await pool.release(connection)

    async def _acquired(self, until: float) -> tuple[Pool, PoolConnectionProxy[asyncpg.Record]]:
        while True:
            if (pool := self._pool) is None:
                raise _closed()
            try:
                await pool  # does nothing after the first time
                return pool, await pool.acquire()
            except faults.DRIVER as error:
                if not faults.passing(error) or time.monotonic() > until or self._closing.is_set():
                    raise faults.unavailable(error, self.place) from error
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), AGAIN_S)


@contextmanager
def _interrupting(connection: Connection) -> Iterator[None]:
    """A connection that is lost in mid-transaction, as such. One that does not answer in time is not tried anew."""
    try:
        yield
    except faults.LOST as error:
        if isinstance(error, (TimeoutError, *faults.RACED)):
            raise
        if isinstance(error, asyncpg.InterfaceError) and not _ended(connection):
            raise AssertionError(f"the driver was used wrongly: {error}") from error
        raise Interrupted(str(error)) from error


def _ended(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has seen its end, and let it go
        return True


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
