"""Installations that are told the same things, and must answer the same: one, two databases, or two servers on one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from core.memory import Memory
from engine.chaos import _RUNS, _SPREADS, _TASKS
from engine.plant import Hand, ManualClock, Plant, meet
from proofs.plan import Plan
from stoker.core.model import ItemKey, Run, Spread, Task
from stoker.core.protocol import ClaimAnswer, RunnerInfo
from stoker.errors import StokerError, Unavailable
from stoker.storage import rows

_ENDS = "SELECT id, CASE WHEN ended_at IS NULL THEN until ELSE 0 END FROM session ORDER BY id"


class Tables(msgspec.Struct):
    """What the tables hold, as values."""

    runs: dict[int, Run]
    tasks: dict[int, Task]
    spreads: dict[int, Spread]
    join_rows: list[Any]
    items: dict[ItemKey, bytes]
    counts: list[Any]
    ends: dict[int, int]  # by session
    logs: list[Any]


class Place:
    """One installation: its servers, and the runners of it by name."""

    def __init__(self, folder: Path, clock: ManualClock, databases: list[str | None]) -> None:
        self.clock = clock
        self.servers = [
            Plant(folder / "data", clock=clock, seed=number, database=database)
            for number, database in enumerate(databases)
        ]
        self.hands: dict[str, Hand] = {}
        self.waiting: dict[str, asyncio.Task[ClaimAnswer]] = {}

    async def start(self) -> None:
        for server in self.servers:
            await server.start()
        if len(self.servers) > 1:
            await meet(*self.servers)

    async def stop(self) -> None:
        for server in reversed(self.servers):
            await server.stop()
        await self._end_waiting()

    async def crash(self, server: int) -> None:
        """Kill one server and start it again; calls that it held open break."""
        broken = [name for name in self.waiting if self.hands[name].plant is self.servers[server]]
        await self.servers[server].kill()
        await self._end_waiting(broken)
        if len(self.servers) == 1 and self.servers[server].database is not None:
            await self.servers[server].sql("DELETE FROM server")  # else the next one takes the dead one for another
        await self.servers[server].start()

    async def _end_waiting(self, names: list[str] | None = None) -> None:
        for name in list(self.waiting) if names is None else names:
            call = self.waiting.pop(name)
            call.cancel()
            with suppress(asyncio.CancelledError, Unavailable):
                await call

    def hire(self, name: str, secret: str, info: RunnerInfo) -> None:
        hand = self.servers[0].hand()
        hand.secret, hand.info = secret, info
        self.hands[name] = hand

    def hand(self, name: str, server: int) -> Hand:
        """A runner, talking to one of the servers."""
        hand = self.hands[name]
        if name not in self.waiting:
            hand.plant = self.servers[server % len(self.servers)]
        return hand

    async def wait(self, name: str, server: int, want: int) -> None:
        """Hold a claim open; return when it waits, or has its answer."""
        hand = self.hand(name, server)
        self.waiting[name] = hand.waiting(want)
        while not (self.waiting[name].done() or hand.waiters):
            await asyncio.sleep(0)
        await self.quiet()

    async def answered(self) -> dict[str, ClaimAnswer]:
        """The held claims that have been answered."""
        await self.quiet()
        found = {}
        for name, call in list(self.waiting.items()):
            if call.done() or not self.hands[name].waiters:
                found[name] = await self.waiting.pop(name)
        return found

    async def quiet(self) -> None:
        """Return when the engine has nothing left to do by itself."""
        for _ in range(4):
            await asyncio.sleep(0)
            for server in self.servers:
                await server.settled()

    async def tables(self) -> Tables:
        sql = self.servers[0].sql
        return Tables(
            runs={row[0]: rows.run(row) for row in await sql(f"{_RUNS} ORDER BY id")},
            tasks={row[0]: rows.task(row) for row in await sql(f"{_TASKS} ORDER BY id")},
            spreads={row[0]: rows.spread(row) for row in await sql(f"{_SPREADS} ORDER BY id")},
            join_rows=await sql("SELECT * FROM join_row ORDER BY run, node, branch"),
            items={
                ItemKey(*row[:4]): row[5] for row in await sql("SELECT * FROM item ORDER BY run, node, branch, item")
            },
            counts=await sql("SELECT * FROM node_count ORDER BY run, node"),
            ends=dict(await sql(_ENDS)),
            logs=await sql("SELECT task, attempt, seq FROM log ORDER BY task, attempt, seq"),
        )


class Twins:
    """The places, and a clock that they share."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.clock = places[0].clock

    async def same(self, act: Callable[[Place], Awaitable[Any]]) -> Any:
        """Do it everywhere; gives the answer, or the error, of the first, which must be that of all."""
        answers = [await _answer(act(place)) for place in self.places]
        for other in answers[1:]:
            here, there = plain(answers[0]), plain(other)
            assert here == there, f"the databases answer differently: {here} and {there}"
        return answers[0]

    async def tables(self) -> Tables:
        """What the tables hold, which must be the same everywhere."""
        found = [await place.tables() for place in self.places]
        for other in found[1:]:
            for name in Tables.__struct_fields__:
                here, there = getattr(found[0], name), getattr(other, name)
                assert plain(here) == plain(there), f"{name} differ between the databases"
        return found[0]


async def _answer(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except StokerError as error:
        return error


def plain(found: Any) -> Any:
    """What can be compared. Lanes are counted by the database, and PostgreSQL leaves out numbers."""
    if isinstance(found, StokerError):
        return found.code
    if isinstance(found, dict):
        return [(key, plain(value)) for key, value in found.items()]
    if isinstance(found, Task):
        return msgspec.structs.replace(found, lane=0)
    if isinstance(found, msgspec.Struct):
        return msgspec.json.encode(found)
    return [plain(each) for each in found] if isinstance(found, list) else found


def memories(tables: Tables, plans: Mapping[int, Plan], retried: set[int]) -> list[Memory]:
    """The tables as the brute-force oracle of the core reads them, one memory for each version of a graph."""
    found = []
    for version, plan in plans.items():
        runs = {id_: run for id_, run in tables.runs.items() if run.version == version}
        memory = Memory(plan.compiled)
        memory.runs, memory.retried = runs, retried & runs.keys()
        memory.spreads = {id_: row for id_, row in tables.spreads.items() if row.run in runs}
        memory.rows = {key: row for key, row in map(rows.join_row, tables.join_rows) if key.run in runs}
        memory.items = {key: body for key, body in tables.items.items() if key.run in runs}
        memory.counts = {row[:2]: list(row[2:]) for row in tables.counts if row[0] in runs}
        memory.tasks = {id_: task for id_, task in tables.tasks.items() if task.run in runs}
        memory.places = {(task.run, task.node, task.branch): id_ for id_, task in memory.tasks.items()}
        for task in _downwards(memory):
            memory.ways[task.id] = memory._way(task)
        found.append(memory)
    return found


def _downwards(memory: Memory) -> list[Task]:
    """Tasks, those above first; ids of two servers tell nothing of that."""
    lines = memory.shape.line
    return sorted(memory.tasks.values(), key=lambda task: len(lines[memory.graph.nodes[task.node].name]))
