"""The driver's errors in our words: what was in the way, and what to do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg import exceptions as pg

from stoker.engine.ports import GuardFailed
from stoker.errors import StokerError, Unavailable

DRIVER = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Whatever the driver raises."""

ENDED = (
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.CannotConnectNowError,
    pg.DatabaseDroppedError,
    pg.IdleSessionTimeoutError,
    pg.IdleInTransactionSessionTimeoutError,
)

LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, pg.PostgresConnectionError, *ENDED)
"""The connection is gone, or was never there; a transaction on it is undone. The driver is confused by a connection
that was ended while it was idle, until it has read to its end: InternalClientError."""

BUSY = (pg.CannotConnectNowError, pg.TooManyConnectionsError, pg.PostgresConnectionError, OSError)
"""Why a connection cannot be had just now: waiting may help."""

HOPELESS = (PermissionError, ssl.SSLError)
"""Of those, what waiting does not help."""

RACED = (
    pg.DeadlockDetectedError,
    pg.SerializationError,
    pg.UniqueViolationError,
    pg.InvalidCachedStatementError,  # another server has migrated
    asyncpg.OutdatedSchemaCacheError,
)
"""Another transaction was first; what was undone can be decided anew."""

_WHY: list[tuple[type[BaseException], str, str]] = [
    (
        pg.InvalidPasswordError,
        "it refuses the user or the password",
        "Check both in STOKER_DATABASE_URL.",
    ),
    (
        pg.InvalidAuthorizationSpecificationError,
        "it does not let this user in",
        "Check the user in STOKER_DATABASE_URL and the server's pg_hba.conf.",
    ),
    (pg.InvalidCatalogNameError, "the database does not exist", "Make it with `createdb`, or name another."),
    (
        pg.InsufficientPrivilegeError,
        "its user lacks rights",
        "Make the user the owner of the database, or GRANT CREATE, USAGE on its schema and all rights on its tables.",
    ),
    (
        pg.ReadOnlySQLTransactionError,
        "it is read-only",
        "Name the primary server in STOKER_DATABASE_URL, not a standby, and a user whose sessions may write.",
    ),
    (
        pg.TooManyConnectionsError,
        "it has no connection left",
        "Raise max_connections, end idle clients, or put PgBouncer in between.",
    ),
    (pg.CannotConnectNowError, "it is starting up or shutting down", "Ask again in a moment."),
    (pg.DiskFullError, "its disk is full", "Free space there; nothing of this request was written."),
    (pg.OutOfMemoryError, "it is out of memory", "Give it more memory; nothing of this request was written."),
    (
        pg.InvalidSQLStatementNameError,
        "a prepared statement is missing: a pool stands in between",
        "Add `?pgbouncer=true` to STOKER_DATABASE_URL.",
    ),
    (
        pg.DuplicatePreparedStatementError,
        "a prepared statement is there already: a pool stands in between",
        "Add `?pgbouncer=true` to STOKER_DATABASE_URL.",
    ),
    (
        pg.ProtocolViolationError,
        "it broke off the conversation",
        "If a pool such as PgBouncer stands in between, see what it logs.",
    ),
    (
        pg.UndefinedTableError,
        "its tables are missing",
        "Run `stoker db migrate`; if that was done, check the user's search_path.",
    ),
    (
        pg.LockNotAvailableError,
        "another transaction held what this one had to change for too long",
        "Ask again; pg_stat_activity and pg_locks tell who holds it.",
    ),
    (
        pg.QueryCanceledError,
        "a statement took too long and was cancelled",
        "Ask again; if that is by its statement_timeout, raise it for this user.",
    ),
    (
        pg.UndefinedObjectError,
        "it does not know an option",
        "Check what follows `?` in STOKER_DATABASE_URL.",
    ),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "none of its hosts is the one that was asked for",
        "Check the hosts and target_session_attrs in STOKER_DATABASE_URL.",
    ),
    (
        asyncpg.ClientConfigurationError,
        "its address cannot be used",
        "Check STOKER_DATABASE_URL, and the PG* variables and files that it leads to.",
    ),
    *((kind, "it ended the connection", "Ask again; nothing acknowledged was lost.") for kind in ENDED),
    *(
        (kind, "the connection is lost", "Ask again; nothing acknowledged was lost.")
        for kind in (asyncpg.InterfaceError, asyncpg.InternalClientError, pg.PostgresConnectionError)
    ),
    (TimeoutError, "it does not answer in time", "Check that it runs and can be reached from here."),
    (socket.gaierror, "its host is not known", "Check the host in STOKER_DATABASE_URL."),
    (
        PermissionError,
        "its socket may not be used",
        "Give this process's user the right to use it, or connect through TCP.",
    ),
    (ssl.SSLError, "no encrypted connection comes about", "Check the certificates, and sslmode in the address."),
    (OSError, "it cannot be reached", "Start it, or check host and port in STOKER_DATABASE_URL."),
]


def passing(error: BaseException) -> bool:
    """Whether a connection that cannot be had may be had a little later."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return isinstance(error, (*BUSY, asyncpg.TargetServerAttributeNotMatched)) and not isinstance(error, HOPELESS)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """The driver's errors as Unavailable or GuardFailed; everything else passes."""
    try:
        yield
    except (StokerError, GuardFailed):
        raise
    except RACED as error:
        raise GuardFailed(str(error)) from error
    except DRIVER as error:
        if _ours(error):
            raise
        raise unavailable(error, place) from error


def _ours(error: BaseException) -> bool:
    """Whether this is a mistake of ours, not of the database."""
    if isinstance(error, pg.DataError):
        return True
    named = any(isinstance(error, kind) for kind, _, _ in _WHY)
    return isinstance(error, pg.IntegrityConstraintViolationError | pg.SyntaxOrAccessError) and not named


def unavailable(error: BaseException, place: str) -> Unavailable:
    """What a person is told of an error of the database."""
    for kind, why, remedy in _WHY:
        if isinstance(error, kind):
            return Unavailable(
                f"the database cannot be used: {why} ({_detail(error)}).", code="database", place=place, remedy=remedy
            )
    return Unavailable(
        f"the database cannot be used: {_detail(error)}.", code="database", place=place, remedy="See its log."
    )


def _detail(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
