"""A whole engine over a temporary folder, with a clock that stands until it is moved and dice that are known.

`Plant` is the installation, `Hand` a runner worked by hand. After every exchange a hand compares what it was promised
with what the row says: a lease may never end earlier than promised.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import fresh
from engine.look import Look
from stoker.bootstrap.engine import StokerEngine
from stoker.bootstrap.keyring import Keyring
from stoker.core.duration import SECOND, Micros
from stoker.core.graph import Each, Edge, GraphSpec, InputSpec, Join, KindSpec, NodeSpec, RunInput
from stoker.core.graph import Path as ItemPath
from stoker.core.protocol import (
    Assignment,
    ClaimAnswer,
    ClaimRequest,
    Complete,
    ErrorInfo,
    Fail,
    Held,
    Item,
    Receipt,
    Report,
    ReportAnswer,
    ReportRequest,
    RunnerInfo,
    Stop,
)
from stoker.core.views import PushRequest, RunView, TaskView, TriggerRequest
from stoker.engine.sessions import digest
from stoker.testing.nature import SeededDice

NS = "default"
START: Micros = 1_700_000_000 * SECOND
KINDS = (KindSpec(name="one"), KindSpec(name="many", items="many"))
_secrets = itertools.count(1)


class ManualClock:
    """Time that passes when told to."""

    def __init__(self, now: Micros = START) -> None:
        self.time = now

    def now(self) -> Micros:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)


def node(name: str, fire: Each | Join | None = None, kind: str = "one", **options: Any) -> NodeSpec:
    return NodeSpec(name=name, kind=kind, fire=fire or Each(), **options)


def after(name: str, expand: ItemPath | None = None) -> Each:
    return Each(way=Edge(node=name, expand=expand))


def join(*of: str, anchor: str | None = None, policy: Any = "all_success") -> Join:
    return Join(anchor=anchor, of=of, policy=policy)


def run_input(name: str, *path: str | int) -> RunInput:
    return RunInput(name=name, path=path)


def encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def completion(task: Assignment | Held, value: object = 1, *, items: list[object] | None = None) -> Complete:
    values = [value] if items is None else items
    return Complete(task=task.task, attempt=task.attempt, items=[Item(value=encoded(each)) for each in values])


def failure(task: Assignment | Held, message: str = "no", **options: Any) -> Fail:
    return Fail(task=task.task, attempt=task.attempt, error=ErrorInfo(message=message), **options)


async def until(fact: Callable[[], bool]) -> None:
    """Return when a fact has come true."""
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.0005)


class Plant:
    """An engine that can be closed, killed and opened again. It ticks only when told to."""

    def __init__(
        self,
        data: Path,
        *,
        seed: int = 0,
        clock: ManualClock | None = None,
        durable: bool = False,
        database: str | None = None,
        keys: Sequence[bytes] = (),
    ) -> None:
        self.data = data
        self.keys = keys  # of secrets
        self.durable = durable
        self.database = database
        self.clock = clock or ManualClock()
        self.dice = SeededDice(seed)
        self.engine: StokerEngine
        self.transactions = 0
        self.reads = 0
        self._look = Look(data / "stoker.db", database)

    async def start(self) -> Plant:
        self.data.mkdir(parents=True, exist_ok=True)
        if self.database is None:
            fresh.settle(self.data / "stoker.db")
        self.engine = StokerEngine(
            self.data,
            durable=self.durable,
            clock=self.clock,
            dice=self.dice,
            database=self.database,
            keys=Keyring(self.keys),
        )
        self._count()
        await self.engine.open(ticking=False)
        self._look.kept = True
        return self

    async def stop(self) -> None:
        await self._look.let_go()
        await self.engine.close()

    async def kill(self) -> None:
        """End as a process does that is killed: nothing submitted is waited for, nothing is given back."""
        await self._look.let_go()
        await self.engine.store.close()
        hints = self.engine.peers._hints
        if hints is not None:
            await hints.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def crash(self) -> None:
        await self.kill()
        await self.start()

    def _count(self) -> None:
        store = self.engine.store
        transact, read = store.transact, store.read

        async def counted(work: Callable[[Any], Awaitable[Any]]) -> Any:
            self.transactions += 1
            return await transact(work)

        async def looked(work: Callable[[Any], Awaitable[Any]]) -> Any:
            self.reads += 1
            return await read(work)

        store.transact, store.read = counted, looked  # type: ignore[method-assign]

    @contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """How many transactions were tried since."""
        before = self.transactions
        yield lambda: self.transactions - before

    def seam(self, transact: Callable[[Callable[..., Any], Any], Awaitable[Any]]) -> None:
        """Put something between the engine and its store: called with the real `transact` and the work."""
        real = self.engine.store.transact
        self.engine.store.transact = lambda work: transact(real, work)  # type: ignore[method-assign]

    # --- what callers do ---

    async def push(
        self,
        *nodes: NodeSpec,
        kinds: tuple[KindSpec, ...] = KINDS,
        name: str = "sample",
        inputs: Sequence[str] = (),
        **more: Any,
    ) -> int:
        """Push a graph; gives its version. `inputs`: names of inputs that may be anything."""
        spec = GraphSpec(name=name, nodes=nodes, inputs={each: InputSpec() for each in inputs}, **more)
        return (await self.engine.catalog.push(NS, PushRequest(graph=spec, kinds=kinds))).version

    async def trigger(self, graph: str = "sample", inputs: dict[str, object] | None = None, **options: Any) -> int:
        given = {name: encoded(value) for name, value in (inputs or {}).items()}
        (ref,) = await self.engine.runs.trigger(NS, [TriggerRequest(graph=graph, inputs=given, **options)])
        return ref.id

    def request(self, inputs: dict[str, object], **options: Any) -> TriggerRequest:
        given = {name: encoded(value) for name, value in inputs.items()}
        return TriggerRequest(graph="sample", inputs=given, **options)

    async def result(self, run: int) -> Any:
        return msgspec.json.decode(await self.engine.runs.result(NS, run))

    async def run(self, run: int) -> RunView:
        return await self.engine.views.run(NS, run)

    async def tasks(self, run: int, node: str | None = None) -> list[TaskView]:
        page = await self.engine.views.tasks(NS, run, state=None, node=node, limit=1_000, after=None)
        assert page.after is None
        return page.items

    async def states(self, run: int, node: str | None = None) -> list[str]:
        return [task.state for task in await self.tasks(run, node)]

    async def task(self, task: int) -> TaskView:
        return await self.engine.views.task(NS, task)

    # --- time ---

    async def tick(self) -> Micros:
        """Do all that is due; gives how long nothing will be."""
        while not (pause := await self.engine.upkeep.tick()):
            pass
        await self.settled()
        return pause

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.tick()

    async def settled(self) -> None:
        """Return when the engine has done what it does without being waited for."""
        await self.engine.batches.close()

    # --- the tables ---

    async def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """A look at the tables."""
        return await self._look.ask(statement, parameters)

    def hand(self, name: str = "hand", *, kinds: tuple[str, ...] = ("one", "many"), **offers: Any) -> Hand:
        return Hand(self, RunnerInfo(name=name, kinds=list(kinds), **offers))


class Hand:
    """A runner that does what it is told. `held`: its leases; `stops`: what it was told to stop."""

    def __init__(self, plant: Plant, info: RunnerInfo) -> None:
        self.plant = plant
        self.info = info
        self.secret = f"{next(_secrets):032x}"
        self.read = 0
        self.held: dict[tuple[int, int], Assignment] = {}
        self.stops: list[Stop] = []
        self.session = 0
        self.promised: Micros = 0
        self.closed = False  # its stream: that alone may end a lease earlier than promised

    @property
    def listed(self) -> list[Held]:
        return [Held(task=task, attempt=attempt) for task, attempt in self.held]

    async def claim(self, want: int = 1, **options: Any) -> list[Assignment]:
        return (await self.ask(want, **options)).tasks

    async def ask(self, want: int = 1, *, wait_s: float = 0.0, **options: Any) -> ClaimAnswer:
        """One claim, answered at once unless told to wait."""
        given = {"read": self.read, "held": self.listed, **options}
        request = ClaimRequest(session=self.secret, runner=self.info, want=want, wait_s=wait_s, **given)
        answer = await self.plant.engine.leases.claim(NS, request, frozenset())
        self.session = answer.session_id
        await self.got(answer)
        return answer

    def waiting(self, want: int = 1, **options: Any) -> asyncio.Task[ClaimAnswer]:
        """A claim that is held open. `armed` tells when it is."""
        return asyncio.create_task(self.ask(want, wait_s=3_600.0, **options))

    @property
    def waiters(self) -> int:
        """How many claims of this session are held open."""
        session = self.plant.engine.sessions._known.get(digest(self.secret))
        waiting = self.plant.engine.dispatcher._by_session.get(session.id, {}) if session else {}
        return sum(not waiter.answer.done() for waiter in waiting)

    async def armed(self, waiters: int = 1) -> None:
        """Return when so many claims of this session wait."""
        await until(lambda: self.waiters >= waiters)
        await self.plant.settled()

    async def report(self, *reports: Report, want: int = 0, **options: Any) -> list[Receipt]:
        return (await self.exchange(*reports, want=want, **options)).receipts

    async def exchange(self, *reports: Report, want: int = 0, **options: Any) -> ReportAnswer:
        given = {"read": self.read, "held": self.listed, **options}
        request = ReportRequest(session=self.secret, reports=list(reports), want=want, **given)
        answer = await self.plant.engine.leases.report(NS, request)
        for report, receipt in zip(reports, answer.receipts, strict=True):
            if not isinstance(report, msgspec.Struct) or report.__struct_config__.tag not in ("progress", "log"):
                assert receipt.status
                self.held.pop((report.task, report.attempt), None)
        await self.got(answer)
        return answer

    async def beat(self) -> ReportAnswer:
        return await self.exchange()

    async def complete(self, task: Assignment, value: object = 1, *, items: list[object] | None = None) -> Receipt:
        return (await self.report(completion(task, value, items=items)))[0]

    async def fail(self, task: Assignment, message: str = "no", **options: Any) -> Receipt:
        return (await self.report(failure(task, message, **options)))[0]

    async def got(self, answer: ClaimAnswer | ReportAnswer) -> None:
        self.read = max(self.read, answer.number)
        self.held.update({(task.task, task.attempt): task for task in answer.tasks})
        self.stops.extend(answer.stop)
        for stop in answer.stop:
            if stop.reason == "stale":
                self.held.pop((stop.task, stop.attempt), None)
        if isinstance(answer, ReportAnswer) and answer.unknown_session:
            return
        promised = self.promised = self.plant.clock.now() + round(answer.lease_s * SECOND)
        if self.held and answer.lease_s and not self.closed:
            until = await self.until()
            assert until >= promised, f"promised {answer.lease_s} s; the row ends {promised - until} earlier"

    async def until(self) -> Micros:
        """When the row says that the leases of this session end."""
        ((until,),) = await self.plant.sql("SELECT until FROM session WHERE secret = ?", digest(self.secret))
        return int(until)

    def drop(self) -> None:
        """Forget everything held, as a process that was killed does."""
        self.held.clear()


async def meet(*plants: Plant) -> None:
    """Have servers see who is there."""
    for plant in plants:
        plant.engine.peers._beat_at = 0
        await plant.engine.peers.tick()
        assert not plant.engine.peers.alone


def elsewhere(hand: Hand, plant: Plant) -> Hand:
    """The same runner process, talking to another server."""
    other = plant.hand(hand.info.name)
    other.info, other.secret, other.held, other.read = hand.info, hand.secret, hand.held, hand.read
    return other
