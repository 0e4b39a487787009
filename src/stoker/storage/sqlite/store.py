"""SQLite: one writer thread with its own connection, and reader threads that never block it.

A transaction is a coroutine that never suspends, so the writer steps it to its end between BEGIN IMMEDIATE and COMMIT.
WAL with synchronous=FULL: when `transact` returns, the write survives a power cut.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from stoker.core.duration import Micros
from stoker.engine.ports import (
    Reader,
    Tx,
)
from stoker.errors import Unavailable
from stoker.storage.sqlite import migrate
from stoker.storage.sqlite.checkpoint import Checkpoints
from stoker.storage.sqlite.tx import SqliteReader, SqliteTx

T = TypeVar("T")
READERS = 2

_CONNECTION_LOST = (apsw.FullError, apsw.IOError, apsw.NoMemError, apsw.CorruptError, apsw.NotADBError)


class Sqlite:
    """The store of one SQLite file. `durable=False` skips fsync, for data that is thrown away."""

    shared = False

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        self.statements = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="stoker-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="stoker-reader")
        self._connection: apsw.Connection | None = None
        self._checkpoints = Checkpoints(partial(self._connect, apsw.SQLITE_OPEN_READWRITE))
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._closed = False

    async def open(self) -> None:
        """Create or migrate the file. Unavailable if it cannot be opened, or is newer than this code."""
        await self._in_writer(self._migrate)

    def _migrate(self) -> None:
        connection = self._writing()
        with _Translated(self.path):
            migrate.apply(connection, self.path)

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._in_writer(lambda: self._transact(work))

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: self._look(work))

    async def peek(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        self._check_open()
        return self._look(work)

    def _look(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Answer from one snapshot: what is told of several tables belongs together."""
        with _Translated(self.path):
            connection = self._reading()
            try:
                connection.execute("BEGIN")
                found = _finish(work(cast("Reader", SqliteReader(connection))))
                connection.execute("COMMIT")
            except _CONNECTION_LOST:
                self._local.connection = None
                raise
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return found

    async def take_ids(self, sequence: str, count: int) -> range:
        async def take(tx: Tx) -> range:
            ((end,),) = await tx.execute("take_ids", sequence, count)
            return range(end - count, end)

        return await self.transact(take)

    async def give_back_ids(self, sequence: str, rest: range) -> None:
        async def give(tx: Tx) -> None:
            await tx.execute("give_back_ids", rest.start, sequence, rest.stop)

        await self.transact(give)

    async def snapshot(self, path: Path) -> None:
        """SQLite's own backup, in one step: of one moment, whatever is written meanwhile."""
        self._check_open()
        await asyncio.to_thread(self._snapshot, path)

    def _snapshot(self, path: Path) -> None:
        with _Translated(self.path):
            source = self._connect(apsw.SQLITE_OPEN_READWRITE)
            target = apsw.Connection(str(path))
            try:
                path.chmod(0o600)
                with target.backup("main", source, "main") as copying:
                    copying.step()
                target.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
            finally:
                target.close()
                source.close()

    async def time(self) -> Micros:
        """The machine's wall clock: there is no other."""
        return time.time_ns() // 1_000

    def hints(self) -> None:
        """Nobody else works on this file."""

    async def close(self) -> None:
        """Let the file go, after what was asked before; what is asked later is Unavailable."""
        if self._closed:
            return
        dropped = self._in_writer(self._drop)
        self._closed = True
        await asyncio.to_thread(self._checkpoints.close)
        await dropped
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()

    def _in_writer(self, work: Callable[[], T]) -> Awaitable[T]:
        self._check_open()
        return asyncio.get_running_loop().run_in_executor(self._writer, work)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(
                "the database has been closed; this server is stopping.", code="closed", remedy="Ask again."
            )

    def _transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        with _Translated(self.path):
            connection = self._writing()
            tx = SqliteTx(connection)
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = _finish(work(cast("Tx", tx)))
                connection.execute("COMMIT")
            except _CONNECTION_LOST:
                self._drop()  # after a failed write or fsync nothing on this connection can be trusted
                raise
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self.statements += tx.statements
            return result

    def _writing(self) -> apsw.Connection:
        if self._connection is None:
            with _Translated(self.path):
                self._connection = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
                self._checkpoints.watch(self._connection)
        return self._connection

    def _reading(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(apsw.SQLITE_OPEN_READWRITE)
            self._opened.append(connection)
            connection.execute("PRAGMA query_only=1")
        return connection

    def _connect(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), flags=flags | apsw.SQLITE_OPEN_NOMUTEX, statementcachesize=200)
        connection.set_busy_timeout(5_000)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'OFF'}")
        connection.execute("PRAGMA cache_size=-32000")
        connection.execute("PRAGMA mmap_size=0")
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _finish(work: Awaitable[T]) -> T:
    """Step a coroutine that never suspends."""
    coroutine = cast("Coroutine[Any, Any, T]", work)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("a transaction waited for something other than its store")


_REMEDY: dict[type[apsw.Error], str] = {
    apsw.FullError: "Free space on that disk; nothing of this request was written.",
    apsw.IOError: "Check the disk and its mount; nothing of this request was written.",
    apsw.ReadOnlyError: "Make the file and its folder writable for this user.",
    apsw.CantOpenError: "Make the folder exist and be writable for this user, or name another with --data.",
    apsw.BusyError: "Another program holds a lock on the file; end it, or name another folder with --data.",
    apsw.NotADBError: "Move the file away, or name another folder with --data.",
    apsw.CorruptError: "Restore it from a backup; `sqlite3 FILE .recover` may save what is left.",
    apsw.NoMemError: "The machine is out of memory.",
    apsw.PermissionsError: "Make the file writable for this user.",
}


class _Translated:
    """The driver's errors in our words: what cannot be done now is Unavailable."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for found, remedy in _REMEDY.items():
            if isinstance(error, found):
                message = f"the database cannot be used: {error or found.__name__}."
                raise Unavailable(message, code="database", place=str(self.path), remedy=remedy) from error
