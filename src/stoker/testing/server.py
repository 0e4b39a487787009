"""The server of a world: the whole engine behind the whole API, over a folder. It can be killed, and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from stoker.api.app import App, build
from stoker.bootstrap.engine import StokerEngine
from stoker.bootstrap.keyring import Keyring
from stoker.core.duration import Micros
from stoker.core.states import RunState
from stoker.core.views import Hint
from stoker.engine.ports import Reader, Tx
from stoker.engine.upkeep import Ahead, look
from stoker.errors import Unavailable
from stoker.runner.settings import DEFAULT_NAMESPACE
from stoker.scheduler import loop as ticks
from stoker.testing.conversation import Conversation
from stoker.testing.loop import hushed, pause
from stoker.testing.nature import SeededDice, VirtualClock

T = TypeVar("T")

TOKEN = "world"  # noqa: S105 - it opens nothing outside of this process
PACES: tuple[Micros, ...] = (0, 50, 200, 1_000, 5_000)
PACE_WEIGHTS = (30, 30, 25, 10, 5)


class Server:
    """One folder, and who works on it. `changes` counts transactions; `moved_at`: when something last moved."""

    def __init__(self, data: Path, seed: int, clock: VirtualClock) -> None:
        self.changes = 0
        self.moved_at: Micros = 0
        self.engine: StokerEngine
        self._data = data
        self._seed = seed
        self._clock = clock
        self._keys = Keyring([SeededDice(f"{seed} key").token_bytes(32)])
        self._starts = 0
        self._app: App | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._dice = Random(f"{seed} disk")  # noqa: S311 - draws what happens, protects nothing

    async def start(self) -> None:
        self._starts += 1
        dice = SeededDice(f"{self._seed} server {self._starts}")
        self.engine = StokerEngine(
            self._data, durable=False, root_token=TOKEN, clock=self._clock, dice=dice, keys=self._keys
        )
        self._take_time()
        await self.engine.open(ticking=False)
        self._spawn(ticks.run(self.engine.upkeep.tick, self.engine.alarm.rung))
        self._spawn(self._listen(await self.engine.events.subscribe(DEFAULT_NAMESPACE, None)))
        self._app = build(self.engine, version=version("stoker"))

    @property
    def up(self) -> bool:
        return self._app is not None

    @property
    def gate_at(self) -> Micros:
        """When a limit lets the next task through."""
        return self.engine.gates.next_at

    def serve(self, talk: Conversation) -> None:
        """Begin to answer. ConnectionRefusedError while the server is down."""
        if self._app is None:
            raise ConnectionRefusedError("the server is down")
        self._spawn(talk.serve(self._app))

    def serve_late(self, talk: Conversation) -> None:
        """Begin to answer what comes out of time, if the server is there; who sent it may be dead."""
        self.stir()
        if self._app is None:
            talk.end()
        else:
            self._spawn(talk.serve(self._app))

    async def stop(self) -> None:
        """End as a server does that is told to."""
        if self._app is not None:
            self._app.closing.begin()
            self._app = None
            await self._cancel()
            await self.engine.close()

    async def kill(self) -> None:
        """End as a process does that is killed: nothing is finished, nothing is given back."""
        self._app = None
        await self.engine.store.close()
        await self._cancel()

    def ahead(self) -> tuple[Ahead, bool]:
        """What time will do next, and whether anything goes on without it."""
        found: tuple[Ahead, bool] = _now(self.engine.store.peek(_look))
        return found

    def run_state(self, run: int) -> RunState | None:
        """How a run stands; None if there is none."""
        found = _now(self.engine.store.peek(lambda reader: reader.runs([run])))
        return found[0].state if found else None

    def passed(self, *, leases: bool) -> None:
        """Much time has passed at once. With `leases`: their runners are given time to say that they live."""
        if leases:
            self.engine.upkeep.stood_still()
        self.engine.alarm.rung.set()

    def stir(self) -> None:
        """Something moves that the server may hear of late: a runner dies, a report is still on its way."""
        self.moved_at = self._clock.after(self._clock.now())

    async def _listen(self, hints: AsyncIterator[Hint]) -> None:
        async for _ in hints:
            self.stir()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, context=hushed())
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and isinstance(task.exception(), OSError | Unavailable):
            return  # the client has gone, or the server was killed

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _take_time(self) -> None:
        """Have transactions take a moment, so that what is asked meanwhile goes together into the next one."""
        store, real, writer = self.engine.store, self.engine.store.transact, asyncio.Lock()

        async def transact(work: Callable[[Tx], Awaitable[T]]) -> T:
            async with writer:
                await pause(self._pace())
                found = await real(work)
                self.changes += 1
                await pause(self._pace())
                return found

        store.transact = transact  # type: ignore[method-assign]  # one store, of this world alone, is slowed down

    def _pace(self) -> Micros:
        return self._dice.choices(PACES, PACE_WEIGHTS)[0]


async def _look(reader: Reader) -> tuple[Ahead, bool]:
    ((busy,),) = await reader.rows("at_work")
    return await look(reader), bool(busy)


def _now(work: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")
