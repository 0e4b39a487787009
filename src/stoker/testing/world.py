"""`simulate`: a server and its runners in virtual time, in one thread, by the dice of one seed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stoker.bootstrap.embedded import required
from stoker.core.duration import SECOND, Micros, micros
from stoker.core.graph import Duration
from stoker.core.protocol import Assignment
from stoker.core.states import RunState
from stoker.errors import NotFound
from stoker.runner.work import flatten
from stoker.testing.attempt import Span
from stoker.testing.client import Caught, VirtualClient
from stoker.testing.driver import Driver, Goal
from stoker.testing.faults import NONE, Faults
from stoker.testing.history import Event, events
from stoker.testing.loop import VirtualLoop, hushed, pause
from stoker.testing.mocks import Mocks
from stoker.testing.nature import VirtualClock
from stoker.testing.nemesis import Nemesis
from stoker.testing.network import Network
from stoker.testing.run import VirtualRun
from stoker.testing.runner import Offer, Runner, Site
from stoker.testing.server import TOKEN, Server
from stoker.testing.wire import Line, VirtualWire

START = datetime(2026, 1, 1, tzinfo=UTC)

Which = Runner | str | int
"""A runner, its name, or its number from 0."""


@contextmanager
def simulate(
    *things: Any,
    seed: int = 0,
    runners: int = 1,
    workers: int = 4,
    faults: Faults = NONE,
    start: datetime | str = START,
    data: Path | None = None,
) -> Iterator[World]:
    """A world: a whole server and so many runners in this thread, where time passes only when nothing else can happen.

    The same `seed` gives the same history. `things`: nodes and graphs to serve, besides those that are triggered.
    `workers`: plain nodes that a runner has at work at once. `faults`: what goes wrong by itself. `start`: what time it
    is at first, such as `"2026-03-28 12:00"`, in UTC unless it says otherwise. `data`: a folder to keep the database
    in; otherwise it is thrown away.
    """
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stoker-world-")))
        folder.mkdir(parents=True, exist_ok=True)
        world = World(folder, seed=seed, workers=workers, faults=faults, start=_utc(start))
        stack.callback(world.close)
        world.open()
        world.serve(*things)
        for _ in range(runners):
            world.add_runner()
        yield world


class World:
    """Made by `simulate`. `client` is a `stoker.Client` of its server; `runners` are its runners."""

    def __init__(self, data: Path, *, seed: int, workers: int, faults: Faults, start: datetime) -> None:
        self.seed = seed
        self.data = data
        self.runners: list[Runner] = []
        self.executions: dict[int, dict[int, dict[int, Span]]] = {}
        self._workers = workers
        self._events: list[Event] = []
        self._things: list[Any] = []
        self._loop = VirtualLoop()
        self._clock = VirtualClock(self._loop, round((start - datetime(1970, 1, 1, tzinfo=UTC)) / MICRO))
        self._server = Server(data, seed, self._clock)
        self._driver = Driver(self._loop, self._clock, self._server)
        self._mocks = Mocks(seed)
        self._site = Site(
            seed=seed,
            loop=self._loop,
            clock=self._clock,
            network=Network(seed, faults),
            server=self._server,
            mocks=self._mocks,
            seen=self._seen,
        )
        self._nemesis = Nemesis(seed, faults, self)
        self._attacks: list[asyncio.Task[None]] = []
        line = Line(self._loop, Network(seed, NONE), self._server)
        self.client = VirtualClient(VirtualWire(line, TOKEN), Caught(self._driver.call), self, self.serve)

    def __repr__(self) -> str:
        return f"<world of seed {self.seed} at {self.now:%Y-%m-%d %H:%M:%S}>"

    # --- runs ---

    def serve(self, *things: Any) -> None:
        """Have the runners serve these nodes, and those of these graphs, besides what they serve already."""
        before, after = flatten(self._things), flatten([*self._things, *things])
        self._things += things
        if after.keys() != before.keys():
            for runner in self.runners:
                if runner.alive:
                    self.start(runner)

    def trigger(self, graph: Any, /, **inputs: Any) -> VirtualRun:
        """Start a run, as `Client.trigger` does; the runners serve the nodes of a graph that is given as an object."""
        run = self.client.trigger(graph, **inputs)
        assert isinstance(run, VirtualRun)
        return run

    def run(self, graph: Any, /, **inputs: Any) -> Any:
        """Start a run and return its result."""
        return self.trigger(graph, **inputs).result()

    def history(self, run: VirtualRun | int | None = None) -> list[str]:
        """What happened, in order: in a run; without one, in all runs, and to runners and the server too."""
        runs = self._runs() if run is None else [run if isinstance(run, int) else run.id]
        found = [event for each in runs for event in self.client.call(events(self.client.api, each))]
        return [str(event) for event in sorted(found if run is not None else self._events + found)]

    # --- time ---

    @property
    def now(self) -> datetime:
        """What time it is there."""
        return datetime(1970, 1, 1, tzinfo=UTC) + self._clock.now() * MICRO

    def run_until_idle(self) -> None:
        """Let time pass until nothing is left to happen.

        That is: no task runs, could run or is to run later, and no time limit is running. What waits for somebody goes
        on waiting, and schedules for `advance`.
        """
        self._driver.play(Goal(idle=True))

    def advance(self, duration: Duration) -> None:
        """Let so much time pass, with everything that happens in it."""
        self._driver.play(Goal(until=self._loop.micros + micros(duration)))

    def run_until_ended(self, run: int, within: Micros | None = None) -> bool:
        """Let time pass until a run has ended; False if it will not (in that time)."""
        until = Goal().until if within is None else self._loop.micros + within
        self._driver.play(Goal(until=until, idle=True, over=lambda: self._ended(run)))
        return self._ended(run)

    # --- what nodes do ---

    def replace(self, node: Any, code: Any) -> None:
        """Have a node do something else: code that takes its inputs by name (or some of them), or an error to raise."""
        self._mocks.replace(node, code)

    def takes(self, node: Any, least: Duration, most: Duration | None = None) -> None:
        """Have a node take its time before it does anything; with `most`, anything between the two."""
        self._mocks.takes(node, least, most)

    def restore(self, node: Any) -> None:
        """Undo `replace` and `takes`."""
        self._mocks.restore(node)

    # --- what happens to runners ---

    def add_runner(
        self,
        name: str | None = None,
        *,
        workers: int | None = None,
        labels: Mapping[str, str] | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> Runner:
        """Start another runner. Without `labels` and `resources` it offers whatever the nodes require."""
        runner = Runner(
            name or f"runner-{len(self.runners)}",
            self._site,
            workers=workers or self._workers,
            labels=labels,
            resources=resources,
        )
        self.runners.append(runner)
        self.start(runner)
        self._attacks += [self._hushed(attack) for attack in self._nemesis.attacks(runner)]
        return runner

    def kill(self, runner: Which) -> None:
        """Kill a runner: its connections close, what it held is offered again after 5 s."""
        self._note(f"{self._find(runner).name}: killed")
        self._find(runner).kill()

    def start(self, runner: Which) -> None:
        """Start a runner that is dead; one that is not starts anew, with what is served now."""
        found = self._find(runner)
        if not found.alive:
            self._note(f"{found.name}: started")
        found.start(Offer(flatten(self._things), *required(self._things)))

    def stall(self, runner: Which, duration: Duration) -> None:
        """Cut a runner off: for so long nothing comes from it or reaches it, and no connection closes."""
        self._note(f"{self._find(runner).name}: stalled for {duration} s")
        self._find(runner).stall(micros(duration))

    def restart_server(self) -> None:
        """Kill the server and start it again on the same database."""
        self._driver.call(self.crash())

    async def crash(self) -> None:
        """As `restart_server`, from inside."""
        self._note("the server: killed")
        await self._server.kill()
        await pause(SECOND)
        await self._server.start()
        self._note("the server: started")

    # --- for `simulate` ---

    def open(self) -> None:
        self._driver.call(self._server.start())
        self._attacks.append(self._hushed(self._nemesis.crashes()))

    def close(self) -> None:
        """End everything, wherever it is."""
        if self._loop.is_closed():
            return
        try:
            self.client.close()
            self._driver.call(self._close())
        finally:
            self._loop.close()

    async def _close(self) -> None:
        for attack in self._attacks:
            attack.cancel()
        for runner in self.runners:
            runner.kill()
        await self._server.stop()
        this = asyncio.current_task()
        while rest := [task for task in asyncio.all_tasks() if task is not this]:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)

    def _hushed(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._loop.create_task(work, context=hushed())

    def _find(self, which: Which) -> Runner:
        if isinstance(which, Runner):
            return which
        for number, runner in enumerate(self.runners):
            if which in (number, runner.name):
                return runner
        known = ", ".join(runner.name for runner in self.runners) or "none"
        raise NotFound(f"there is no runner {which!r} in this world.", place="runner", remedy=f"There are {known}.")

    def _ended(self, run: int) -> bool:
        return self._server.up and self._server.run_state(run) is not RunState.RUNNING

    def _runs(self) -> list[int]:
        return [view.id for view in self.client.call(self.client.api.runs(limit=1_000)).items]

    def _note(self, what: str) -> None:
        self._server.stir()
        self._events.append(Event(self.now, 0, len(self._events), what))

    def _seen(self, of: Assignment, span: Span) -> None:
        self.executions.setdefault(of.run, {}).setdefault(of.task, {})[of.attempt] = span


def _utc(start: datetime | str) -> datetime:
    """A time, or ISO 8601 text of one; in UTC unless it says otherwise."""
    found = datetime.fromisoformat(start) if isinstance(start, str) else start
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


MICRO = timedelta(microseconds=1)
