"""Moves a whole installation to another database, and its artifacts to another folder: all of it, or nothing.

The target is one transaction: the tables are copied, read back and compared, the artifacts are brought over, and then
it is committed. The source is left as it was.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Protocol

from stoker.artifacts.file import FileStore
from stoker.bootstrap import belonging, databases, linking
from stoker.bootstrap.clock import SystemClock
from stoker.bootstrap.linking import Linked
from stoker.bootstrap.lock import locked
from stoker.bootstrap.place import Place
from stoker.engine.acting import Act
from stoker.engine.ports import AuditRow
from stoker.errors import Invalid, NotFound, Unavailable
from stoker.storage import mover, shape
from stoker.storage.mover import Moved, Row, Source, Target
from stoker.storage.shape import Table
from stoker.storage.sqlite import whole as sqlite


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was moved. `linked` None: artifacts stayed where they are. `missing`: of those that rows name."""

    source: Place
    target: Place
    tables: list[Moved]
    linked: Linked | None
    missing: int


class Whole(Target, Protocol):
    async def fact(self, name: str) -> str | None: ...
    async def put_fact(self, name: str, value: str) -> None: ...
    async def put_audit(self, row: AuditRow) -> None: ...


async def move(source: Place, target: Place, told: Callable[[Moved], None] = lambda _: None) -> Report:
    """Move it. Conflict if either is in use or the target is not empty; Unavailable if something cannot be read."""
    if (source.database, source.file) == (target.database, target.file):
        raise Invalid(
            "source and target are the same.",
            code="same_place",
            place=target.shown,
            remedy="Name another with --to.",
        )
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(_reading(source))
        known = await _known(origin, source.artifacts)
        goal = await stack.enter_async_context(_writing(target))
        looking = _Looking(origin, source.artifacts)
        tables = await mover.move(looking, goal, shape.newest(), told)
        linked = await _artifacts(source, target, known)
        if target.database is not None and known is None:
            await goal.put_fact(belonging.FACT, belonging.made(target.artifacts))
        _token(source, target)
        await goal.put_audit(_word(source, target, tables))
    return Report(source=source, target=target, tables=tables, linked=linked, missing=looking.missing)


class _Looking:
    """The source, and on the way a look whether the bytes that its rows name are in the artifact folder."""

    def __init__(self, origin: Source, artifacts: Path) -> None:
        self._origin = origin
        self._artifacts = artifacts
        self.missing = 0

    async def rows(self, table: Table) -> AsyncIterator[list[Row]]:
        at = table.columns.index("blob") if "blob" in table.columns else None
        async for batch in self._origin.rows(table):
            if at is not None:
                self.missing += sum(not self._is_there(row[at]) for row in batch if row[at])
            yield batch

    def _is_there(self, key: str) -> bool:
        return (self._artifacts / key[:2] / key).exists()


@asynccontextmanager
async def _reading(place: Place) -> AsyncIterator[Whole]:
    if place.database is None:
        path = place.file
        if not path.exists():
            raise NotFound(
                "there is no database to move.",
                code="no_database",
                place=str(path),
                remedy="Name the data folder that has one with --data, or a PostgreSQL database with --database-url.",
            )
        with locked(place.data), sqlite.reading(path) as whole:
            yield whole
    else:
        postgres = databases.whole()
        async with postgres.reading(place.database) as other:
            yield other


@asynccontextmanager
async def _writing(place: Place) -> AsyncIterator[Whole]:
    if place.database is None:
        with locked(place.data), sqlite.writing(place.file) as whole:
            yield whole
    else:
        postgres = databases.whole()
        async with postgres.writing(place.database) as other:
            yield other


async def _known(origin: Whole, artifacts: Path) -> str | None:
    """The id of the artifact folder as the source knows it; another folder than that is refused."""
    known = await origin.fact(belonging.FACT)
    if known is not None and (found := belonging.read(artifacts)) != known:
        raise belonging.other(artifacts, found, known)
    return known


async def _artifacts(source: Place, target: Place, known: str | None) -> Linked | None:
    """Bring the artifacts over, and the id by which the database knows their folder."""
    if source.artifacts.resolve() == target.artifacts.resolve():
        return None
    found = belonging.read(target.artifacts)
    if known is not None and found not in (None, known):
        raise belonging.other(target.artifacts, found, known)
    await FileStore(target.artifacts).open()
    linked = linking.link(source.artifacts, target.artifacts)
    if known is not None and found is None:
        belonging.make(target.artifacts, known)
    return linked


def _word(source: Place, target: Place, tables: Sequence[Moved]) -> AuditRow:
    """What the audit log is told; it comes along with the rest."""
    details = {"from": source.shown, "rows": sum(table.rows for table in tables)}
    act = Act(token=None, name=_user(), verb="move_database", subject=f"database:{target.shown}", details=details)
    act.at = SystemClock().now()
    return act.row([])


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # nobody of that number is known here
        return str(os.getuid())


def _token(source: Place, target: Place) -> None:
    """The server's own token goes along, unless the other folder has one."""
    old, new = source.data / "token", target.data / "token"
    try:
        if old.exists() and not new.exists():
            belonging.keep(new, old.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable(
            f"the token cannot be brought to the other folder: {error.strerror}.",
            code="data_folder",
            place=str(new),
            remedy="Move as the user who runs the server. Nothing was moved.",
        ) from None
