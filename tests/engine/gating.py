"""Graphs under limits, and random work on them: after every step the leases of each gate are counted anew."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

from engine.plant import KINDS, NS, Hand, Plant, after, completion, failure, node
from stoker.core.gate import rate
from stoker.core.graph import Each, GraphSpec, Join, Limit, NodeSpec, Ref, Retry
from stoker.core.key import SEPARATOR
from stoker.core.protocol import Release, Requeue
from stoker.core.views import GraphView, PushRequest
from stoker.errors import Conflict, Unavailable


def limited(
    name: str,
    fire: Each | Join | None = None,
    *,
    most: int | None = None,
    rate: str | None = None,
    by: tuple[str | int, ...] = (),
    **options: Any,
) -> NodeSpec:
    if isinstance(options.get("retry"), dict):
        options["retry"] = Retry(**options["retry"])
    key = options.pop("key", "key")
    return node(name, fire, limit=Limit(key=key, most=most, rate=rate, by=by), **options)


async def over(plant: Plant, graph: str) -> bool:
    """Whether every run of a graph has ended."""
    page = await plant.engine.views.runs(NS, state=None, graph=graph, limit=100, after=None)
    return all(run.state != "RUNNING" for run in page.items)


class Gated:
    """Random work of a few hands on several plants with one database."""

    def __init__(self, plant: Plant, dice: Random, *others: Plant) -> None:
        self.plants = [plant, *others]
        self.dice = dice
        self.hands: list[Hand] = []
        self.gone: list[Hand] = []
        self.most = {"few": dice.randint(1, 3), "both": dice.randint(2, 4), "keyed": dice.randint(1, 2)}
        self.rate = dice.choice(("5/s", "20/s", "100/min"))
        self.runs: list[int] = []
        self.starts: dict[tuple[int, int], int] = {}

    @staticmethod
    def request(*nodes: NodeSpec, name: str = "sample") -> PushRequest:
        return PushRequest(graph=GraphSpec(name=name, nodes=nodes), kinds=KINDS)

    @staticmethod
    async def view(plant: Plant, *nodes: NodeSpec, name: str = "sample") -> GraphView:
        return await plant.engine.catalog.push(NS, Gated.request(*nodes, name=name))

    @property
    def plant(self) -> Plant:
        return self.dice.choice(self.plants)

    async def play(self) -> None:
        both = {"most": self.most["both"], "rate": self.rate, "key": "both"}
        few = {"most": self.most["few"], "key": "few"}
        await self.plants[0].push(
            node("s", kind="many"),
            limited("few", after("s"), retry=Retry(attempts=3, base="1s"), timeout="60s", **few),
            limited("both", after("s"), kind="many", **both),
            limited("again", after("few"), kind="many", **few),
            limited("keyed", after("s"), bind={"of": Ref(node="s")}, by=("of",), retry={"base": "1s"}, **self._keyed()),
            node("free", after("s")),
        )
        self.hands = [self.plant.hand(f"hand{number}") for number in range(4)]
        for _ in range(self.dice.randint(1, 3)):
            self.runs.append(await self.plants[0].trigger())
        for _ in range(self.dice.randint(20, 50)):
            await self._step()
            await self._count()
        await self._finish()

    def _keyed(self) -> dict[str, Any]:
        """One limit per item of the source."""
        return {"key": "keyed", "most": self.most["keyed"], "rate": self.dice.choice((None, "5/s"))}

    async def _step(self) -> None:
        hand = self.dice.choice(self.hands)
        acts = (self._claim, self._report, self._beat, self._vanish, self._time, self._crash, self._cancel)
        with suppress(Unavailable):
            await self.dice.choices(acts, (40, 40, 5, 4, 12, 2, 1))[0](hand)

    async def _claim(self, hand: Hand) -> None:
        await hand.claim(self.dice.randint(1, 6))

    async def _report(self, hand: Hand) -> None:
        tasks = list(hand.held.values())
        reports = [self._outcome(task) for task in self.dice.sample(tasks, self.dice.randint(0, len(tasks)))]
        await hand.report(*reports, want=self.dice.choice((0, 1, 4)))

    def _outcome(self, task: Any) -> Any:
        match self.dice.choices((0, 1, 2, 3), (70, 10, 10, 10))[0]:
            case 1:
                return failure(task)
            case 2:
                return Requeue(task=task.task, attempt=task.attempt, after_s=self.dice.choice((0, 2)))
            case 3:
                return Release(task=task.task, attempt=task.attempt)
        return self._well(task)

    def _well(self, task: Any) -> Any:
        items: list[object] = list(range(self.dice.randint(1, 6))) if task.node == "s" else [1]
        return completion(task, items=items)

    async def _beat(self, hand: Hand) -> None:
        """Also of one that everybody thinks dead."""
        await self.dice.choice([hand, *self.gone]).beat()

    async def _vanish(self, hand: Hand) -> None:
        self.gone.append(hand)
        self.hands[self.hands.index(hand)] = self.plant.hand(hand.info.name)
        hand.closed = True
        if self.dice.random() < 0.5:
            await hand.plant.engine.leases.closed(hand.secret)

    async def _time(self, hand: Hand) -> None:
        self.plants[0].clock.advance(self.dice.choice((0.01, 0.2, 1, 6, 21)))
        await self.plant.tick()

    async def _crash(self, hand: Hand) -> None:
        await self.plant.crash()

    async def _cancel(self, hand: Hand) -> None:
        await self.plant.engine.runs.cancel(NS, self.dice.choice(self.runs))

    # --- what must hold ---

    async def _count(self) -> None:
        """No gate has more leases than it may; no more starts than its rate allows."""
        rows = await self.plants[0].sql(
            "SELECT g.name, COUNT(*) FROM task AS t JOIN gate AS g ON g.id = t.gate WHERE t.state = 2 GROUP BY g.name"
        )
        for name, leases in rows:
            assert leases <= self.most[name.partition(SEPARATOR)[0]], (
                f"{leases} tasks run under {name!r}, which allows {self.most[name]}"
            )
        await self._count_starts()

    async def _count_starts(self) -> None:
        claimed = await self.plants[0].sql(
            "SELECT t.id, t.attempt, t.claimed_at FROM task AS t JOIN gate AS g ON g.id = t.gate"
            " WHERE g.name = 'both' AND t.claimed_at IS NOT NULL"
        )
        for task, _, at in claimed:
            self.starts[task, at] = at
        allowed, times = rate(self.rate), sorted(self.starts.values())
        for first in times:
            within = [at for at in times if first <= at < first + allowed.per]
            assert len(within) <= allowed.starts + allowed.burst

    async def _finish(self) -> None:
        """From here on everything works and waits to be woken; every run ends, also one that is retried."""
        await self._drain()
        for run in self.runs:
            if self.dice.random() < 0.5:
                try:
                    await self.plant.engine.runs.retry(NS, run)
                except Conflict:
                    continue
        await self._drain()
        assert await self.plants[0].sql("SELECT COUNT(*) FROM task WHERE state <= 2") == [(0,)]
        await self._every_slot_is_back()

    async def _every_slot_is_back(self) -> None:
        """As many tasks as the limit allows can be leased at once, and not one more."""
        plant, most = self.plants[0], self.most["few"]
        await plant.push(limited("probe", most=most, key="few"), name="probe")
        for _ in range(most + 1):
            await plant.trigger("probe")
        probe = plant.hand("probe", kinds=("one",))
        assert [task.node for task in await probe.claim(most + 1)] == ["probe"] * most
        await probe.report(*(completion(task) for task in probe.held.values()))

    async def _drain(self) -> None:
        """Each hand holds a claim open, and is only given what wakes it."""
        streams = {hand: hand.waiting(2, alone=True) for hand in self.hands}
        try:
            for _ in range(400):
                for hand in self.hands:
                    await self._work(hand, streams)
                await self._count()
                self.plants[0].clock.advance(0.5)
                for plant in self.plants:
                    await plant.tick()
                if all([await self._ended(run) for run in self.runs]):
                    return
            raise AssertionError("a run does not end: somebody waits for ever")
        finally:
            for stream in streams.values():
                stream.cancel()
            await asyncio.gather(*streams.values(), return_exceptions=True)

    async def _work(self, hand: Hand, streams: dict[Hand, Any]) -> None:
        if streams[hand].done():
            await streams[hand]
            streams[hand] = hand.waiting(2, alone=True)
        reports = [self._well(task) for task in hand.held.values()]
        await hand.report(*reports)

    async def _ended(self, run: int) -> bool:
        return (await self.plants[0].run(run)).state != "RUNNING"
