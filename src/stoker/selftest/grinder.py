"""The grinder: random graphs on real servers and runners, blows at all of them, quiet, and the checker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from stoker.core.states import RunState
from stoker.errors import Unavailable
from stoker.runner.client import Client
from stoker.selftest import checker, gather
from stoker.selftest.caller import Caller
from stoker.selftest.evaluate import is_plain
from stoker.selftest.evidence import Evidence, Wrong
from stoker.selftest.nemesis import Blow, Nemesis
from stoker.selftest.site import Site, until
from stoker.selftest.slots import Slots

RUNNERS = 3
STALL_S = 90.0  # without any task settling; a lease and every delay that is drawn are shorter by far
LOOK_S = 0.25

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done, and what is wrong. `losses`: leases that ended without a report. `executions`: of user code.

    `evaluated`: runs whose items were computed anew. `most`: by limit, how many were seen at work at once.
    """

    seed: int
    seconds: float
    servers: int
    runs: Mapping[str, int] = field(default_factory=dict)
    tasks: int = 0
    executions: int = 0
    losses: int = 0
    failures: int = 0
    evaluated: int = 0
    most: Mapping[str, int] = field(default_factory=dict)
    blows: Mapping[str, int] = field(default_factory=dict)
    wrongs: list[Wrong] = field(default_factory=list)


def grind(
    folder: Path,
    seconds: float,
    seed: int,
    *,
    database: str | None = None,
    more: Mapping[str, Blow] | None = None,
    told: Told = lambda _: None,
) -> Report:
    """Grind for so long. The seed draws graphs, user code and blows; how they meet is up to the machine.

    `database`: an empty PostgreSQL database, for two servers; else SQLite, for one. `more`: blows at what the caller
    owns. Logs, traces and data stay in `folder`.
    """
    begun = time.monotonic()
    servers = 1 if database is None else 2
    with Site(folder, database) as site:
        started(site, servers, RUNNERS)
        told(f"{servers} server(s) and {RUNNERS} runners are up; {seconds:g} s of blows begin, seed {seed}")
        callers = [Caller(f"caller{n}", site.client(server), str(seed)) for n, server in enumerate(site.servers)]
        nemesis = Nemesis(site, Random(f"{seed}/nemesis"), more)  # noqa: S311 - draws blows, protects nothing
        for caller in callers:
            caller.start()
        until(lambda: all(caller.runs or caller.trouble for caller in callers), 60, "the first runs to be triggered")
        try:
            nemesis.rage(seconds, lambda blow: told(f"  {time.monotonic() - begun:6.1f} s  {blow}"))
        finally:
            site.resume()
        told("quiet; waiting for every run to end")
        found = _calmed(site, callers)
    runs = [run for caller in callers for run in caller.runs]
    retried = frozenset(run for caller in callers for run in caller.retried)
    tally = asyncio.run(_checked(site, runs, retried, servers))
    return tally.report(seed, time.monotonic() - begun, servers, nemesis.strikes, found)


def started(site: Site, servers: int, runners: int) -> None:
    """So many servers, and runners of each in turn, until all are known."""
    for _ in range(servers):
        site.add_server()
    for number in range(runners):
        site.add_runner(site.servers[number % servers], batch_size=(8, 1, 16)[number % 3])
    until(lambda: site.connected() >= runners, 60, f"{runners} runners to connect")


def _calmed(site: Site, callers: list[Caller]) -> list[Wrong]:
    """Everything works again: wait for the callers and the runs, then end all processes. What did not work out."""
    wrongs: list[Wrong] = []
    for caller in callers:
        try:
            caller.finish(site.tend)
        except Exception as error:  # noqa: BLE001 - whatever a call was answered with is the finding
            wrongs.append(Wrong("every call is answered", f"{caller.name}: {type(error).__name__}: {error}"))
    try:
        _all_ended(site)
    except Unavailable as error:
        wrongs.append(Wrong("every run ends", str(error)))
    wrongs += [Wrong("processes end", what) for what in site.shut()]
    return wrongs + [Wrong("nobody is at a loss", what) for what in site.faults()]


def _all_ended(site: Site) -> None:
    """Wait until no run is RUNNING, as long as tasks settle."""
    with site.client(site.servers[0]) as client:
        seen, since = None, time.monotonic()
        while (left := _left(site, client)) != {}:
            now = time.monotonic()
            if left != seen:
                seen, since = left, now
            elif now - since > STALL_S:
                stories = [_story(client, run) for run in list(left)[:5]]
                raise Unavailable(f"for {STALL_S:g} s nothing has moved in {len(left)} runs:\n" + "\n".join(stories))
            time.sleep(LOOK_S)


def _left(site: Site, client: Client) -> dict[int, tuple[int, ...]]:
    """The runs that are RUNNING, and how many tasks of each stand where."""
    site.tend()
    try:
        page = client.call(client.api.runs(state="RUNNING", limit=200))
        views = [client.call(client.api.run(view.id)) for view in page.items[:20]]
        rest = {view.id: (view.tasks,) for view in page.items[20:]}
    except Unavailable:
        return {-1: (int(time.monotonic() * 10),)} if site.servers[0].process.ended else {-1: ()}
    return rest | {
        view.id: (view.tasks, *(count for node in view.nodes for count in (node.ready, node.leased, node.succeeded)))
        for view in views
        if view.state == "RUNNING"
    }


def _story(client: Client, run: int) -> str:
    try:
        return f"run {run}: {client.run(run).explain()}"
    except Unavailable as error:
        return f"run {run}: {error}"


class _Tally:
    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.found: list[int] = []
        self.tasks = self.executions = self.losses = self.failures = self.evaluated = 0
        self.slots = Slots()
        self.wrongs: list[Wrong] = []

    def add(self, of: Evidence) -> None:
        self.found.append(of.run.id)
        self.runs[RunState(of.run.state).name] += 1
        self.tasks += len(of.tasks)
        self.executions += sum(len(seen) for seen in of.executions.values())
        self.losses += sum(task.losses for task in of.tasks)
        self.failures += sum(task.failures for task in of.tasks)
        self.evaluated += of.run.state is RunState.SUCCEEDED and is_plain(of.graph.spec)
        self.slots.add(of)
        self.wrongs += checker.wrongs(of)

    def report(self, seed: int, seconds: float, servers: int, blows: Mapping[str, int], wrongs: list[Wrong]) -> Report:
        return Report(
            seed=seed,
            seconds=seconds,
            servers=servers,
            runs=dict(sorted(self.runs.items())),
            tasks=self.tasks,
            executions=self.executions,
            losses=self.losses,
            failures=self.failures,
            evaluated=self.evaluated,
            most=dict(sorted(self.slots.most.items())),
            blows=dict(sorted(blows.items())),
            wrongs=wrongs + self.wrongs,
        )


async def _checked(site: Site, runs: list[int], retried: frozenset[int], servers: int) -> _Tally:
    """Look at every run in the database, offline."""
    tally = _Tally()
    async for of in gather.evidence(site.place, gather.executed(site.traces), retried, servers=servers):
        tally.add(of)
    tally.wrongs += checker.run_wrongs(runs, tally.found) + tally.slots.wrongs()
    return tally
