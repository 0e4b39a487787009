"""The driver's errors in our words: what was in the way, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg import exceptions as pg

from stoker.engine.ports import GuardFailed
from stoker.errors import StokerError, Unavailable

LOST = (OSError, TimeoutError, asyncpg.InterfaceError, pg.PostgresConnectionError, pg.OperatorInterventionError)
"""The connection is gone, or was never there; a transaction on it is undone."""

BUSY = (pg.CannotConnectNowError, pg.TooManyConnectionsError, ConnectionError, FileNotFoundError, TimeoutError)
"""Why a connection cannot be had just now: waiting may help."""

RACED = (pg.DeadlockDetectedError, pg.SerializationError, pg.UniqueViolationError, pg.LockNotAvailableError)
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
    (pg.QueryCanceledError, "a statement took too long and was cancelled", "Ask again; see what else it is doing."),
    (pg.OperatorInterventionError, "it ended the connection", "Ask again; nothing acknowledged was lost."),
    (asyncpg.InterfaceError, "the connection is lost", "Ask again; nothing acknowledged was lost."),
    (pg.PostgresConnectionError, "the connection is lost", "Ask again; nothing acknowledged was lost."),
    (TimeoutError, "it does not answer in time", "Check that it runs and can be reached from here."),
    (OSError, "it cannot be reached", "Start it, or check host and port in STOKER_DATABASE_URL."),
]


@contextmanager
def translated(place: str) -> Iterator[None]:
    """The driver's errors as Unavailable or GuardFailed; everything else passes."""
    try:
        yield
    except (StokerError, GuardFailed):
        raise
    except asyncpg.DataError:  # a mistake of ours, which the driver calls an error of its interface
        raise
    except RACED as error:
        raise GuardFailed(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if isinstance(error, pg.DataError | pg.IntegrityConstraintViolationError | pg.SyntaxOrAccessError) and not any(
            isinstance(error, kind) for kind, _, _ in _WHY
        ):
            raise  # a mistake of ours, not of the database
        raise unavailable(error, place) from error


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
