"""One random sequence of commands, played on each database: the same answers, and the same rows in every table."""

from __future__ import annotations

import itertools
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.player import slices_of
from databases import Cluster, name_of
from engine import plant as plants
from engine.chaos import Chaos
from engine.plant import NS, Plant
from stoker.core.model import SLICE
from stoker.engine.ports import Locked
from stoker.errors import Conflict
from stoker.storage.postgres import tx as postgres
from stoker.storage.sqlite import tx as sqlite
from stoker.storage.sqlite.store import Sqlite
from stoker.storage.sqlite.tx import SqliteTx

SEEDS = max(20, int(os.environ.get("STOKER_SEEDS", "0")))
STEP_S = 0.001_001  # of each command

OF_THE_INSTALLATION = ("server", "fact", "stoker_schema")  # who serves, and where: not what happened
OPEN_ORDERS = {
    "claimable": [
        ("SELECT order_at FROM", "SELECT order_at, id FROM"),
        ("ORDER BY order_at", "ORDER BY order_at, id"),
        ("ORDER BY c.order_at", "ORDER BY c.order_at, c.id"),
        ("ORDER BY t.order_at", "ORDER BY t.order_at, t.id"),
    ],
    "admitted": [
        ("ORDER BY order_at", "ORDER BY order_at, id"),
        ("SELECT order_at FROM", "SELECT order_at, id FROM"),
        ("c.order_at, ROW", "c.order_at, c.id, ROW"),
        ("ORDER BY c.order_at)", "ORDER BY c.order_at, c.id)"),
        ("AS t\nORDER BY t.order_at", "AS t\nORDER BY t.order_at, t.id"),
    ],
    "leases_of": [("LIMIT", "ORDER BY id LIMIT")],
    "reapable": [("LIMIT", "ORDER BY id LIMIT")],
    "expired_sessions": [("ORDER BY until", "ORDER BY until, id")],
    "due_tasks": [("ORDER BY due_at", "ORDER BY due_at, id")],
    "overdue_tasks": [("ORDER BY deadline", "ORDER BY deadline, id")],
    "sweepable": [("ORDER BY state", "ORDER BY state, id")],
}
COUNTED_BY_THE_DATABASE = ("lane", "log")  # PostgreSQL leaves out a number for a row that was there already
LANE = 10  # the column of `task`
KEYS = """SELECT t.relname, string_agg(a.attname, ', ' ORDER BY array_position(i.indkey::int[], a.attnum::int))
FROM pg_class AS t JOIN pg_index AS i ON i.indrelid = t.oid AND i.indisprimary
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = ANY(i.indkey)
WHERE t.relnamespace = 'public'::regnamespace GROUP BY t.relname"""


class Recorded(Plant):
    """An installation that keeps what its callers were answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.answers: list[Any] = []

    async def start(self) -> Plant:
        await super().start()
        for noun, verbs in (("leases", ("claim", "report")), ("runs", ("trigger", "cancel", "retry"))):
            for verb in verbs:
                self._record(getattr(self.engine, noun), verb)
        return self

    def _record(self, noun: Any, verb: str) -> None:
        real = getattr(noun, verb)

        async def recorded(*arguments: Any, **options: Any) -> Any:
            self.clock.advance(STEP_S)
            try:
                answer = await real(*arguments, **options)
            except Conflict as error:
                self.answers.append((verb, error.code))
                raise
            await self.settled()
            self.answers.append((verb, _plain(answer)))
            return answer

        setattr(noun, verb, recorded)


class Sequence(Chaos):
    """The random commands of `chaos`, one after the other: what shares a batch would be a matter of speed."""

    def __init__(self, seed: int, plant: Plant) -> None:
        super().__init__(seed, plant.data, plant.database)
        self.plant = plant
        for hand in self.hands:
            hand.plant = plant

    async def _together(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        return [await call for call in calls]

    async def round(self) -> None:
        for _ in range(self.dice.choice((1, 1, 2, 3))):
            await self._call()
        match self.dice.choices(("none", "time", "restart"), (60, 30, 5))[0]:
            case "time":
                self.plant.clock.advance(self.dice.choice((0.001, 1, 4, 9, 21)))
                await self.plant.tick()
            case "restart":
                await self.plant.restart()


def in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rules leave open which of several rows comes first, it is here the one with the smallest id."""
    for statements in (postgres.SQL, sqlite.SQL):
        for name, changes in OPEN_ORDERS.items():
            for said, settled in changes:
                if name not in ("claimable", "admitted"):
                    assert said in statements[name], f"{name} has changed: {statements[name]}"
                monkeypatch.setitem(statements, name, statements[name].replace(said, settled))


def as_if_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine read from SQLite, too, what it would know by itself where it is alone: until when leases last."""
    real = SqliteTx.lock

    async def lock(self: SqliteTx, *wanted: Any) -> Locked:
        locked = await real(self, *wanted)
        sessions = {task.session for task in locked.tasks if task.session is not None}
        return locked._replace(promised=await self.session_ends(sessions))

    monkeypatch.setattr(SqliteTx, "lock", lock)
    monkeypatch.setattr(Sqlite, "shared", True)


def tables(cluster: Cluster, database: str) -> dict[str, str]:
    """Every table to be compared, and its primary key."""
    found = (line.split("|") for line in cluster.psql(KEYS, database=name_of(database)).splitlines())
    return {table: key for table, key in found if table not in OF_THE_INSTALLATION}


async def play(
    seed: int, folder: Path, database: str | None, keys: dict[str, str]
) -> tuple[list[Any], dict[str, list[Any]]]:
    """What was answered, and what the tables hold in the end."""
    plants._secrets = itertools.count(1)
    plant = Recorded(folder, seed=seed, database=database)
    await plant.start()
    try:
        sequence = Sequence(seed, plant)
        with slices_of((1, 2, 3, SLICE)[seed % 4]):
            await sequence.start()
            for _ in range(sequence.dice.randint(10, 40)):
                await sequence.round()
            middle = await rows(plant, keys)
            await sequence.finish()
        for run in sequence.runs:
            plant.answers.append(_plain(await plant.run(run)))
            plant.answers.append(_plain(await plant.engine.views.explain_run(NS, run)))
            plant.answers += [_plain(task) for task in await plant.tasks(run)]
        return plant.answers, {
            **middle,
            **{f"{table} at last": found for table, found in (await rows(plant, keys)).items()},
        }
    finally:
        await plant.stop()


def _plain(answer: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(answer))


async def rows(plant: Plant, keys: dict[str, str]) -> dict[str, list[Any]]:
    found = {table: await plant.sql(f"SELECT * FROM {table} ORDER BY {key}") for table, key in keys.items()}
    found["sequence"] = [row for row in found["sequence"] if row[0] not in OF_THE_INSTALLATION]
    lanes = {0: 0} | {row[0]: number for number, row in enumerate(found["lane"], 1)}  # 0: of what nobody claims
    found["task"] = [_with_lane(row, lanes) for row in found["task"]]
    for table in COUNTED_BY_THE_DATABASE:
        found[table] = [(number, *row[1:]) for number, row in enumerate(found[table], 1)]
    return found


def _with_lane(task: Any, lanes: dict[int, int]) -> Any:
    return (*task[:LANE], lanes[task[LANE]], *task[LANE + 1 :])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("start", range(0, SEEDS, 5))
async def test_both_databases_answer_alike_and_hold_the_same_rows(
    tmp_path: Path, cluster: Cluster, template: str, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    as_if_shared(monkeypatch)
    in_one_order(monkeypatch)
    keys = tables(cluster, template)
    assert {"run", "task", "item", "join_row", "node_count", "attempt", "log", "session", "spread"} <= keys.keys()
    for seed in range(start, min(start + 5, SEEDS)):
        url = cluster.create(template)
        try:
            one = await play(seed, tmp_path / f"sqlite{seed}", None, keys)
            other = await play(seed, tmp_path / f"postgres{seed}", url, keys)
        finally:
            cluster.drop(url)
        for number, (here, there) in enumerate(zip(one[0], other[0], strict=False)):
            assert here == there, f"seed {seed}, answer {number}"
        assert len(one[0]) == len(other[0])
        for table, found in one[1].items():
            assert found == other[1][table], f"seed {seed}, table {table}"
        assert one[0]
