"""Random live runs on real engines: publishes race claims, runners vanish and come back, servers are killed.

Every output says what its attempt had read, so that the end tells whether a change was missed: when all is quiet, each
node's current output has read the current outputs of all nodes before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Any

import msgspec

from engine.plant import NS, Hand, Plant, completion, encoded, failure, node
from stoker.core.graph import OnChange, Ref, Retry
from stoker.core.protocol import Assignment, Release
from stoker.core.views import OutputView, PublishRequest
from stoker.errors import Conflict, Unavailable

INPUTS = ("x", "y")
FAMILY = "abcde"
ENDLESS = Retry(attempts=10_000, base=0.001)


class LiveChaos:
    """`plants`: servers of one installation; a kill hits the last one."""

    def __init__(self, seed: int, plants: Sequence[Plant]) -> None:
        self.dice = Random(seed)
        self.plants = list(plants)
        self.numbers = count(1)
        self.hands = [plant.hand(f"hand{number}") for plant in plants for number in range(2)]
        self.parents: dict[str, list[str]] = {}
        self.run = 0
        self.published: dict[str, set[int]] = {name: set() for name in INPUTS}

    async def start(self) -> None:
        for at, name in enumerate(FAMILY):
            above = [*INPUTS, *FAMILY[:at]]
            self.parents[name] = self.dice.sample(above, self.dice.randint(1, min(3, len(above))))
        nodes = [
            node(
                name,
                OnChange(of=tuple(of)),
                bind={parent: Ref(node=parent, optional=self.dice.random() < 0.3) for parent in of},
                retry=ENDLESS,
                max_losses=10_000,
            )
            for name, of in self.parents.items()
        ]
        await self.plants[0].push(*nodes, inputs=INPUTS, mode="live")
        self.run = await self.plants[0].trigger(inputs={"x": {"id": 0, "read": {}}})

    async def round(self) -> None:
        """A few calls at once, and sometimes what time and misfortune do."""
        calls = [self._call() for _ in range(self.dice.randint(1, 5))]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Conflict | Unavailable):
                raise outcome
        match self.dice.choices(("none", "time", "kill", "cancel"), (70, 20, 5, 5))[0]:
            case "time":
                self.plants[0].clock.advance(self.dice.choice((0.01, 4, 25)))
                await self._tick()
            case "kill":
                await self.plants[-1].crash()
            case "cancel":
                await self._cancel_and_go_on()
        await self.check()

    async def _call(self) -> None:
        hand = self.dice.choice(self.hands)
        held = list(hand.held.values())
        match self.dice.choices(("publish", "fire", "claim", "end", "drop"), (4, 1, 5, 6, 1))[0]:
            case "publish":
                await self._publish(self.dice.choice(INPUTS))
            case "fire":
                await self.dice.choice(self.plants).engine.live.fire(NS, self.run, self.dice.choice(FAMILY))
            case "claim":
                await hand.claim(self.dice.randint(1, 3))
            case "end" if held:
                await self._end(hand, self.dice.choice(held))
            case "drop":
                hand.drop()  # what it holds is lost; it may not know
            case _:
                pass

    async def _publish(self, name: str) -> None:
        number = next(self.numbers)
        request = PublishRequest(value=encoded({"id": number, "read": {}}))
        await self.dice.choice(self.plants).engine.live.publish(NS, self.run, name, request)
        self.published[name].add(number)

    async def _end(self, hand: Hand, task: Assignment) -> None:
        match self.dice.choices(("complete", "fail", "release"), (6, 1, 1))[0]:
            case "complete":
                await hand.report(completion(task, self._value(task)))
            case "fail":
                await hand.report(failure(task))
            case _:
                await hand.report(Release(task=task.task, attempt=task.attempt))

    def _value(self, task: Assignment) -> object:
        read = msgspec.json.decode(task.input)
        return {"id": next(self.numbers), "read": {name: value and value["id"] for name, value in read.items()}}

    async def _cancel_and_go_on(self) -> None:
        plant = self.plants[0]
        await plant.engine.runs.cancel(NS, self.run)
        for hand in self.hands:
            hand.drop()
        plant.clock.advance(40)
        await self._tick()
        assert (await plant.run(self.run)).state == "CANCELLED"
        try:
            await plant.engine.runs.retry(NS, self.run)
        except Conflict as error:
            if error.code != "nothing_to_retry":
                raise

    async def _tick(self) -> None:
        for plant in self.plants:
            await plant.tick()

    async def finish(self) -> None:
        """Lose what is held, then run everything until nothing is left to run."""
        for hand in self.hands:
            hand.drop()
        self.plants[0].clock.advance(60)
        await self._tick()
        hand = self.plants[0].hand("last")
        for _ in range(200):
            self.plants[0].clock.advance(1)
            await self._tick()
            tasks = await hand.claim(100)
            for task in tasks:
                assert (await hand.complete(task, self._value(task))).status == "accepted"
            if not tasks and not await self._open():
                return
        raise AssertionError("it never comes to rest")

    # --- what must hold ---

    async def check(self) -> None:
        assert all(count == 1 for _, count in await self._open()), "a node has two open tasks"

    async def _open(self) -> list[Any]:
        statement = "SELECT node, COUNT(*) FROM task WHERE run = ? AND state <= 2 GROUP BY node"
        return await self.plants[0].sql(statement, self.run)

    async def check_end(self) -> None:
        """Nothing was missed, nothing that was acknowledged is gone."""
        await self.check()
        outputs = await self._outputs()
        current = {output.node: _decoded(output) for output in outputs if output.current}
        for name in INPUTS:
            there = {_decoded(output)["id"] for output in outputs if output.node == name}
            assert self.published[name] <= there
        for name, of in self.parents.items():
            expected = {parent: current[parent]["id"] if parent in current else None for parent in of}
            if name in current:
                assert current[name]["read"] == expected, f"{name} has missed a change"
        for name in {output.node for output in outputs}:
            numbers = [output.number for output in outputs if output.node == name]
            assert numbers == list(range(len(numbers), 0, -1))
            counting = [output.number for output in outputs if output.node == name and output.counts]
            assert [o.number for o in outputs if o.node == name and o.current] == counting[:1]

    async def _outputs(self) -> list[OutputView]:
        found: list[OutputView] = []
        after = None
        while True:
            page = await self.plants[0].engine.live.outputs(
                NS, self.run, node=None, current=False, limit=1000, after=after
            )
            found += page.items
            if (after := page.after) is None:
                return found


def _decoded(output: OutputView) -> Any:
    assert output.value is not msgspec.UNSET
    return msgspec.json.decode(output.value)
