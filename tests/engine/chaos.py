"""Random runs on a real engine: runners that fail, vanish and repeat themselves, servers that stop and are killed.

Everything is drawn from one seed. At the end the tables are read into the memory of the core's tests, whose oracle
recounts every join and count, and looks for each task's children.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from core.graphs import KINDS, random_graph
from core.memory import Memory
from core.oracle import check, check_end
from core.player import slices_of
from engine.plant import NS, Hand, Plant, encoded
from stoker.core.compile import compile_graph
from stoker.core.graph import GraphSpec
from stoker.core.model import SLICE, ItemKey, Run, Spread, Task
from stoker.core.protocol import (
    Assignment,
    Complete,
    ErrorInfo,
    Fail,
    Item,
    Log,
    Progress,
    Prune,
    Release,
    Report,
    Requeue,
)
from stoker.core.views import PushRequest, SettleRequest, TriggerRequest
from stoker.errors import Conflict, Invalid, Unavailable
from stoker.storage import rows

MANY = 60  # tasks; from here on nothing fans out any more
ENDLESS = 600  # rounds; a run that is not over by then never ends
SEEDS = int(os.environ.get("STOKER_SEEDS", "40"))


async def play(
    seed: int, folder: Path, database: str | None = None, draw: Callable[[Random], GraphSpec] = random_graph
) -> Chaos:
    """One random graph, a few runs of it, to their end."""
    chaos = Chaos(seed, folder, database, draw)
    await chaos.plant.start()
    try:
        with slices_of((1, 1, 1, SLICE)[seed % 4]):
            await chaos.start()
            for _ in range(chaos.dice.randint(10, 60)):
                await chaos.round()
            await chaos.finish()
        await chaos.check()
    finally:
        await chaos.plant.stop()
        shutil.rmtree(folder)
    return chaos


class Chaos:
    def __init__(
        self, seed: int, folder: Path, database: str | None, draw: Callable[[Random], GraphSpec] = random_graph
    ) -> None:
        self.dice = Random(seed)
        self.plant = Plant(folder, seed=seed, database=database)
        self.graph = draw(self.dice)
        self.numbers = count(1)
        self.runs: list[int] = []
        self.retried: set[int] = set()
        self.hands = [self.plant.hand(f"hand{number}") for number in range(3)]
        self.unheard: list[tuple[Hand, Report]] = []
        self.outcomes: dict[tuple[int, int], Report] = {}
        self.accepted: dict[tuple[int, int], list[bytes]] = {}
        self.luck = self.dice.choice((30, 100, 400))
        self.met: set[str] = set()

    async def start(self) -> None:
        kinds = tuple(kind for name, kind in KINDS.items())
        await self.plant.engine.catalog.push(NS, PushRequest(graph=self.graph, kinds=kinds))
        for number in range(self.dice.randint(1, 2)):
            inputs = {"xs": encoded([{"n": 1, "parts": [1, 2]}])}
            request = TriggerRequest(graph="random", inputs=inputs, idempotency_key=f"key{number}")
            refs = await self._together(*(self.plant.engine.runs.trigger(NS, [request]) for _ in range(2)))
            assert refs[0][0].id == refs[1][0].id
            self.runs.append(refs[0][0].id)

    async def _together(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        return await asyncio.gather(*calls)

    # --- one round: some calls at once, and perhaps a server that goes away meanwhile ---

    async def round(self) -> None:
        await self._look()
        calls = [self._call() for _ in range(self.dice.choice((1, 1, 2, 3)))]
        match self.dice.choices(("none", "time", "again", "restart", "kill"), (60, 30, 8, 3, 4))[0]:
            case "none":
                await asyncio.gather(*calls)
            case "again":
                await asyncio.gather(*calls)
                await self._again()
            case "time":
                await asyncio.gather(*calls)
                self.plant.clock.advance(self.dice.choice((0.001, 1, 4, 9, 21)))
                await self.plant.tick()
            case "restart":
                await asyncio.gather(*calls)
                await self.plant.restart()
            case _:
                self.met.add("kill")
                flying = asyncio.gather(*calls)
                for _ in range(self.dice.randint(0, 30)):
                    await asyncio.sleep(0)
                await self.plant.kill()
                await flying
                await self.plant.start()

    async def _call(self) -> None:
        hand = self.dice.choice(self.hands)
        act = self.dice.choices((self._claim, self._report, self._beat, self._vanish, self._cancel), (40, 50, 5, 4, 2))[
            0
        ]
        try:
            await act(hand)
        except Unavailable:
            self.met.add("unavailable")

    async def _claim(self, hand: Hand) -> None:
        await hand.claim(self.dice.randint(1, 4))

    async def _beat(self, hand: Hand) -> None:
        await hand.beat()

    async def _again(self) -> None:
        """Retry some task by hand, in whatever state its run is; then every count and join row must be right."""
        await self.plant.settled()
        tasks = await self.plant.sql("SELECT id, run FROM task WHERE state IN (4, 5, 6) ORDER BY id")
        if not tasks:
            return
        task, run = self.dice.choice(tasks)
        try:
            answer = await self.plant.engine.runs.retry_task(NS, task, rerun_below=self.dice.random() < 0.6)
        except Conflict as error:
            self.met.add(error.code)
            return
        self.met.add("rerun" if answer.rerun else "again")
        self.retried.update([run] if answer.fired else [])
        await self.plant.settled()
        check(await self._memory())

    async def _vanish(self, hand: Hand) -> None:
        """A runner is killed; another process takes its place, and what it had on its way may still arrive."""
        if hand not in self.hands:
            return
        self.met.add("vanish")
        self.hands[self.hands.index(hand)] = self.plant.hand(hand.info.name)
        hand.closed = True
        if self.dice.random() < 0.5:
            await self.plant.engine.leases.closed(hand.secret)

    async def _cancel(self, hand: Hand) -> None:
        """A whole run, or one task, whatever its state."""
        if self.dice.random() < 0.5:
            found = await self.plant.sql("SELECT id FROM task ORDER BY id")
            if not found:  # all are still to be made
                return
            with suppress(Conflict):  # it has settled
                await self.plant.engine.tasks.cancel(NS, self.dice.choice(found)[0])
                self.met.add("cancel task")
        elif self.dice.random() < 0.3:
            self.met.add("cancel")
            await self.plant.engine.runs.cancel(NS, self.dice.choice(self.runs))

    async def _report(self, hand: Hand) -> None:
        """Report on some of what is held, and again on some that was; both perhaps twice."""
        tasks = list(hand.held.values())
        reports = [self._outcome(task) for task in self.dice.sample(tasks, self.dice.randint(0, len(tasks)))]
        again = [report for whose, report in self.unheard if whose is hand]
        sent: list[Report] = again + reports
        if self.dice.random() < 0.3 and tasks:
            task = self.dice.choice(tasks)
            sent.insert(0, Progress(task=task.task, attempt=task.attempt, fraction=0.5))
            sent.insert(0, Log(task=task.task, attempt=task.attempt, seq=self.dice.randint(0, 3), text="x"))
        sent += self.dice.choices(sent, k=self.dice.choice((0, 0, 2))) if sent else []
        self.unheard = [(whose, report) for whose, report in self.unheard if whose is not hand]
        try:
            receipts = await hand.report(*sent, want=self.dice.choice((0, 0, 1, 3)))
        except Unavailable:
            self.unheard += [(hand, report) for report in reports]
            raise
        for report, receipt in zip(sent, receipts, strict=True):
            assert receipt.status in ("accepted", "stale", "invalid", "refused"), receipt
            if isinstance(report, Complete) and receipt.status == "accepted":
                self._accept(report)

    def _accept(self, report: Complete) -> None:
        bodies = [bytes(item.value) for item in report.items]
        assert self.accepted.setdefault((report.task, report.attempt), bodies) == bodies

    def _outcome(self, task: Assignment, *, well: bool = False) -> Report:
        """What this attempt came to; a runner says the same however often it is asked."""
        key = (task.task, task.attempt)
        if key not in self.outcomes:
            self.outcomes[key] = self._completion(task) if well else self._drawn(task)
        return self.outcomes[key]

    def _drawn(self, task: Assignment) -> Report:
        names: dict[str, Any] = {"task": task.task, "attempt": task.attempt}
        error = ErrorInfo(message="no")
        match self.dice.choices((0, 1, 2, 3, 4), (self.luck, 10, 5, 5, 5))[0]:
            case 1:
                return Fail(**names, error=error, retryable=self.dice.random() < 0.8)
            case 2:
                return Prune(**names)
            case 3:
                return Requeue(**names, after_s=self.dice.choice((0, 2)))
            case 4:
                return Release(**names)
        return self._completion(task)

    def _completion(self, task: Assignment) -> Complete:
        several = self.dice.choice((0, 1, 2)) if task.kind == "many" else self.dice.choices((1, 0, 2), (98, 1, 1))[0]
        plain = any(spec.name == task.node and self._expanded_whole(spec.name) for spec in self.graph.nodes)
        values = [[self._element(1)] * 2 if plain else self._element(2) for _ in range(several)]
        return Complete(task=task.task, attempt=task.attempt, items=[Item(value=encoded(value)) for value in values])

    def _expanded_whole(self, name: str) -> bool:
        ways = [getattr(spec.fire, "way", None) for spec in self.graph.nodes]
        return any(way is not None and way.node == name and way.expand == () for way in ways)

    def _element(self, depth: int) -> object:
        small = next(self.numbers) > MANY
        width = self.dice.randint(0, 1) if small else self.dice.choice((0, 1, 2, 2, 3))
        return {"n": next(self.numbers), "parts": [self._element(depth - 1) for _ in range(width)] if depth else []}

    # --- the end ---

    async def finish(self) -> None:
        """From here on everything works; every run must end, also those retried by hand."""
        await self._drain()
        for run in self.runs:
            if self.dice.random() < 0.4:
                try:
                    answer = await self.plant.engine.runs.retry(NS, run, rerun_below=self.dice.random() < 0.5)
                except Conflict:
                    continue
                self.met.add("retry")
                self.retried.update([run] if answer.fired else [])
        await self._drain()
        for _ in range(self.dice.choice((0, 1, 3))):
            await self._again()
            await self._drain()

    async def _decide(self) -> None:
        """Somebody settles what waits, or some of it; what they had not heard of may have ended meanwhile."""
        for task in (await self.plant.engine.waits.open(NS, run=None, limit=50, after=None)).items:
            request = SettleRequest(value=encoded(self._element(1)))
            if self.dice.random() < 0.1:
                request = SettleRequest(fail="no")
            try:
                await self.plant.engine.waits.settle(NS, task.id, request)
                self.met.add("settle")
            except (Conflict, Invalid):  # expired, stopped, or it does not fit what follows
                continue

    async def _drain(self) -> None:
        for _ in range(ENDLESS):
            await self._decide()
            for hand in self.hands:
                await hand.claim(50, alone=True)
                reports = [report for whose, report in self.unheard if whose is hand]
                self.unheard = [(whose, report) for whose, report in self.unheard if whose is not hand]
                reports += [self._outcome(task, well=True) for task in hand.held.values()]
                for report, receipt in zip(reports, await hand.report(*reports), strict=True):
                    if isinstance(report, Complete) and receipt.status == "accepted":
                        self._accept(report)
            self.plant.clock.advance(3)
            await self._look()
            await self.plant.tick()
            if all(state != 1 for (state,) in await self.plant.sql("SELECT state FROM run")):
                return
        raise AssertionError("a run does not end")

    async def _look(self) -> None:
        """Remember which sorts of spread rows there were."""
        states = await self.plant.sql("SELECT DISTINCT state FROM spread")
        self.met.update({1: "spread", 6: "spread cancelled"}[state] for (state,) in states)

    async def check(self) -> None:
        memory = await self._memory()
        check(memory)
        check_end(memory)
        for (task, attempt), bodies in self.accepted.items():
            found = memory.tasks.get(task)
            if found is not None and found.attempt == attempt and found.state.name == "SUCCEEDED":
                keys = sorted(key for key in memory.items if key[:3] == (found.run, found.node, found.branch))
                assert [memory.items[key] for key in keys] == bodies, f"{found} was accepted with {bodies}"
        past = [rows.past_task(row) for row in await self.plant.sql("SELECT body FROM past_task")]
        known = [*memory.tasks.values(), *past]
        succeeded = {task.id for task in known if task.state.name == "SUCCEEDED" and task.session}
        assert succeeded == {task for task, _ in self.accepted}, "what is accepted stays so, and nothing else SUCCEEDED"
        assert await self.plant.sql("SELECT COUNT(*) FROM task WHERE state <= 2") == [(0,)]
        assert await self.plant.sql("SELECT COUNT(*) FROM spread WHERE state = 1") == [(0,)]
        if self.plant.database is None:
            assert await self.plant.sql("PRAGMA integrity_check") == [("ok",)]

    async def _memory(self) -> Memory:
        memory = Memory(compile_graph(self.graph, KINDS))
        sql = self.plant.sql
        memory.retried = set(self.retried)
        memory.runs = {row[0]: rows.run(row) for row in await sql(_RUNS)}
        memory.spreads = {row[0]: rows.spread(row) for row in await sql(_SPREADS)}
        memory.rows = dict(rows.join_row(row) for row in await sql("SELECT * FROM join_row"))
        memory.items = {ItemKey(*row[:4]): row[5] for row in await sql("SELECT * FROM item")}
        memory.counts = {row[:2]: list(row[2:]) for row in await sql("SELECT * FROM node_count")}
        for task in sorted((rows.task(row) for row in await sql(_TASKS)), key=lambda task: task.id):
            memory.tasks[task.id] = task
            memory.places[task.run, task.node, task.branch] = task.id
        for task in memory.tasks.values():
            memory.ways[task.id] = memory._way(task)
        return memory


def _all(kind: type, table: str) -> str:
    """Whole rows: the order of the fields is that of the columns."""
    return f"SELECT {', '.join(kind.__struct_fields__)} FROM {table}"


_RUNS, _SPREADS, _TASKS = _all(Run, "run"), _all(Spread, "spread"), _all(Task, "task")
