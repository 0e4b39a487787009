"""At every seam between the engine and its store, every way to break: then it happened once, or not at all.

And who called is told which. What is asked again after a refusal is done; what is asked again after an outcome that
nobody knew is known, or refused in words.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

import stoker.engine
from engine.plant import Plant
from proofs.calls import CALLS, Call, Stage
from stoker.engine.acting import Act, doing
from stoker.engine.ports import CommitUnknown, Interrupted
from stoker.engine.transaction import Verb
from stoker.errors import StokerError, Unavailable

ENGINE = Path(stoker.engine.__file__).parent
FAULTS = ("before", "interrupted", "always", "unheard", "unknown")
NOT_THE_WORLD = {
    "sequence",
    "server",
    "fact",
    "hold",
    "stoker_schema",
}  # ids that were skipped, who serves and collects
NAMES = {
    "id",
    "run",
    "task",
    "session",
    "parent",
    "version",
    "lane",
    "answer",
    "attempt",
    "own",
    "giver",
    "output",
    "extra",
    "schedule",
    "behind",
    "subjects",
    "details",
}
TIMES = {"until", "deadline", "at"}
NOT_AUDITED = {  # what runners report and time does is history; an artifact does nothing until a run is given it
    *("Ask", "Exchange", "Unbound", "Handback", "Leave", "Shorten", "Sessions._insert", "Sessions._update"),
    *("OwnReport", "OwnExtend", "Recover"),
    *("Lose", "PutAway", "Present", "Due", "Expire", "Sweep", "Spread", "FireSchedule", "Refuse", "PutOff"),
    *("Artifacts.put", "Peers._beat", "Peers.close", "Erasing.hide", "Erasing.erase", "Keys.intern", "Keys.tidy"),
    *("Holds.take", "Holds.give", "Hold.go_on", "Collecting._go_on", "Collecting._delete"),  # in the background
    *("Audit.tell", "Audit.settings", "Audit.flush", "Audit._forget"),  # they are the log itself
}
SECRETS = {"secret", "hash", "token", "blob", "key", "sealed", "holder"}


# --- nothing is left out ---


def verbs() -> set[str]:
    """Every verb that can be submitted."""
    for module in pkgutil.iter_modules(stoker.engine.__path__):
        importlib.import_module(f"stoker.engine.{module.name}")
    found, waiting = set(), [Verb]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not inspect.isabstract(kind) and kind.__module__.startswith("stoker."):
            found.add(kind.__name__)
    return found


def transactions() -> set[str]:
    """Every method of the engine that has a transaction of its own."""
    return {place for file in ENGINE.glob("*.py") for place in _transacting(ast.parse(file.read_text()))}


def _transacting(tree: ast.Module) -> Iterator[str]:
    for noun in [each for each in tree.body if isinstance(each, ast.ClassDef)]:
        for verb in [each for each in noun.body if isinstance(each, ast.AsyncFunctionDef)]:
            if any(isinstance(each, ast.Attribute) and each.attr == "transact" for each in ast.walk(verb)):
                yield f"{noun.name}.{verb.name}"


def test_every_transaction_of_the_engine_is_broken_here() -> None:
    """`Batches._transact` is that of the verbs. What is missing wants a function in `calls.py`."""
    imports = {f"Importing.{step}" for step in ("_version", "_begin", "_put", "_show_children", "_show")}
    elsewhere = {"Batches._transact", *imports}  # those of imports: tests/engine/test_archives.py
    assert verbs() | (transactions() - elsewhere) == CALLS.keys()


# --- one fault at a time ---


class Seam:
    """Breaks the transactions of one call; the first of them, or (`always`) every one."""

    def __init__(self, name: str, fault: str) -> None:
        self.name = name
        self.fault = fault
        self.hits = 0

    async def __call__(self, real: Callable[[Any], Awaitable[Any]], work: Any) -> Any:
        if not self.fault or not self._meant(work):
            return await real(work)
        if self.fault == "unheard":
            await real(work)
        elif self.fault != "before":
            await _undone(real, work)
        self.hits += 1  # not where it ran out of ids, and is tried anew
        fault, self.fault = self.fault, "always" if self.fault == "always" else ""
        if fault == "before":
            raise Unavailable("the database is away", code="away")
        raise Interrupted("the line went dead") if fault in ("interrupted", "always") else CommitUnknown("it went dead")

    def _meant(self, work: Any) -> bool:
        if "." in self.name:
            noun, verb = self.name.split(".")
            told = getattr(work, "__qualname__", "")
            return told.startswith(f"{noun}.{verb}.") or (verb == "close" and told == f"{noun}._leave")
        commands = getattr(work, "args", ((),))[0]
        return any(type(command).__name__ == self.name for command in commands)


class Undone(Exception):
    pass


async def _undone(real: Callable[[Any], Awaitable[Any]], work: Any) -> None:
    async def undone(tx: Any) -> None:
        await work(tx)
        raise Undone

    with suppress(Undone):
        await real(undone)


async def world(plant: Plant) -> dict[str, list[str]]:
    """What every table holds, without ids and secrets, which another try may draw anew; whether times are set."""
    tables = await (_of_sqlite(plant) if plant.database is None else _of_postgres(plant.database))
    return {name: sorted(repr(_facts(row)) for row in rows) for name, rows in tables.items()}


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in row.items() if name not in NAMES | SECRETS | TIMES}
    return {name: bool(value) if name.endswith("_at") else value for name, value in facts.items()}


async def _of_sqlite(plant: Plant) -> dict[str, list[dict[str, Any]]]:
    connection = apsw.Connection(str(plant.data / "stoker.db"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.row_trace = lambda cursor, row: dict(
        zip((each[0] for each in cursor.get_description()), row, strict=True)
    )
    try:
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        names = [row["name"] for row in connection.execute(named)]
        return {name: list(connection.execute(f"SELECT * FROM {name}")) for name in names if name not in NOT_THE_WORLD}
    finally:
        connection.close()


async def _of_postgres(url: str) -> dict[str, list[dict[str, Any]]]:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [row[0] for row in found if row[0] not in NOT_THE_WORLD]
        return {name: [dict(row) for row in await connection.fetch(f"SELECT * FROM {name}")] for name in names}
    finally:
        await connection.close()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
@pytest.mark.parametrize("name", sorted(CALLS))
async def test_a_call_that_breaks_happened_once_or_not_at_all_and_says_so(
    name: str, store: str, tmp_path: Path, urls: Iterator[str]
) -> None:
    call = CALLS[name]
    if call.shared and store == "sqlite":
        return
    clean = await Stage(tmp_path / "clean", database=next(urls) if store == "postgres" else None).start()
    act = await call.stage(clean)
    before = await world(clean)
    await _called(act)
    done = await world(clean)
    assert sum("anna" in row for row in done["audit"]) == (name not in NOT_AUDITED), "one row for each call of people"
    mended = await _mended(call, clean)
    await clean.stop()
    assert call.unseen or done != before, "it changes nothing, so nothing is shown by breaking it"
    for fault in FAULTS:
        plant = await Stage(tmp_path / fault, database=next(urls) if store == "postgres" else None).start()
        try:
            await _broken(plant, name, call, fault, before, done)
            if fault != "unheard" or not call.anew:
                assert await _mended(call, plant) == mended
        except AssertionError as error:
            raise AssertionError(f"{name}, {fault}: {error}") from error
        finally:
            await plant.stop()


async def _broken(plant: Stage, name: str, call: Call, fault: str, before: Any, done: Any) -> None:
    act = await call.stage(plant)
    assert await world(plant) == before
    plant.seam(seam := Seam(name, fault))
    error = await _tried(act)
    seam.fault = ""
    assert seam.hits, "the seam was not reached"
    found = await world(plant)
    own = "." in name  # a transaction outside of the batches, which is not carried out again by itself
    if call.quiet:
        assert found in (before, done)
    elif error is None:
        assert fault in ("interrupted", "unheard", "unknown"), "it was answered, but nothing was done"
        assert not (own and fault != "interrupted"), "nobody knows, so nobody may say that it was done"
        assert found == done
    else:
        expected = {"before": "away", "interrupted": None, "always": "database"}.get(fault, "unknown_outcome")
        assert error.code == expected, error
        assert found == (done if fault == "unheard" else before)
    if fault == "unheard" and call.anew:
        return
    if call.quiet or error is not None:
        again = await _tried(act)
        assert again is None, f"asked again, it is {again}"


async def _mended(call: Call, plant: Stage) -> Any:
    if call.mend is not None:
        await call.mend(plant)
    found = await world(plant)
    return {**found, "audit": sorted(set(found["audit"]))}  # asked again by people, it is done again


async def _called(act: Callable[[], Awaitable[Any]]) -> None:
    with doing(Act(token=0, name="anna", verb="call", request="r", at=1)):
        await act()


async def _tried(act: Callable[[], Awaitable[Any]]) -> StokerError | None:
    try:
        await _called(act)
    except StokerError as error:
        return error
    return None
