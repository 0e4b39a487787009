"""The end of a batch's transaction: READY tasks go to who asked in it, and to who waits for what it made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from stoker.core.compiled import text_of
from stoker.core.decide import Fold
from stoker.core.duration import SECOND, Micros
from stoker.core.model import Task
from stoker.core.protocol import ABSENT, Assignment
from stoker.core.values import BadPath
from stoker.engine.admission import Admission
from stoker.engine.dispatch import Handed, Waiter
from stoker.engine.gates import Later
from stoker.engine.inputs import Sources, task_input, task_needs
from stoker.engine.ports import Tx
from stoker.engine.sessions import Promises, Session
from stoker.engine.tools import Tools

OPENS_CLAIM = 256  # tasks handed out at most for one want
TRAVELS = 64 * 1024  # bytes of gathered inputs that go along with a claim

Asking = tuple[int | Waiter, Session, int]  # who: the position of a command, or a waiter; how many tasks it wants


class Handout:
    """Claims within one transaction. `decided`: the fold whose consequences are written already.

    `refused`: tasks whose inputs cannot be bound, and why. `short`: lanes that were asked for more than they had.
    """

    def __init__(self, tools: Tools, tx: Tx, now: Micros, promises: Promises, decided: Fold) -> None:
        self._tools = tools
        self._tx = tx
        self._now = now
        self._promises = promises
        self._decided = decided
        self._admission = Admission(tx, tools.gates, now)
        self._given: Counter[int] = Counter()
        self._deadlines: set[Micros] = set()
        self._short: set[int] = set()
        self.refused: dict[int, str] = {}

    @property
    def offered(self) -> dict[int, int]:
        """By lane, how many tasks may be had that could not be had before."""
        freed = {gate: slots for gate, slots in self._decided.freed.items() if slots > 0}
        if not freed:
            return self._decided.lanes
        lanes = Counter(self._decided.lanes)
        lanes.update(self._tools.gates.lanes(freed))
        return dict(lanes)

    @property
    def left(self) -> dict[int, int]:
        """Of those, what nobody was handed; behind a full gate there is nothing to be had until a lease ends."""
        offered, full = self.offered, self._admission.full
        shut = {lane for lane, gate in self._tools.gates.among(list(offered)).items() if gate in full} if full else ()
        return {
            lane: tasks - self._given[lane]
            for lane, tasks in offered.items()
            if tasks > self._given[lane] and lane not in shut
        }

    @property
    def freed(self) -> dict[int, int]:
        """By gate, how many leases ended that nobody has taken the place of."""
        full = self._admission.full
        return {gate: slots for gate, slots in self._decided.freed.items() if slots > 0 and gate not in full}

    @property
    def short(self) -> set[int]:
        return self._short - self._admission.passed

    @property
    def later(self) -> dict[int, Later]:
        return self._admission.later

    @property
    def deadline(self) -> Micros | None:
        """The earliest of the attempts handed out."""
        return min(self._deadlines, default=None)

    async def claim(self, asking: Sequence[Asking]) -> dict[int | Waiter, Handed]:
        """One query per distinct set of lanes that may have something; its tasks go to the askers in order."""
        given: dict[int | Waiter, tuple[Session, list[Task]]] = {}
        taken: dict[int, Task] = {}
        for lanes, askers in self._worth_asking(asking).items():
            wanted = sum(want for _, _, want in askers)
            found = await self._admission.claimable(lanes, wanted, taken)
            if len(found) < wanted:
                self._short.update(lanes)
            left = iter(found)
            for who, session, want in askers:
                mine = list(islice(left, want))
                if mine:
                    given[who] = (session, mine)
                    taken.update({task.id: task for task in mine})
                    self._given.update(task.lane for task in mine)
        if given:
            return await self._lease(given)
        await self._admission.leased([])
        return {}

    def _worth_asking(self, asking: Sequence[Asking]) -> dict[tuple[int, ...], list[Asking]]:
        """Askers by their lanes. Commands whose lanes are known to be dry, and got nothing now, are passed over."""
        offered = self.offered
        groups: dict[tuple[int, ...], list[Asking]] = {}
        for who, session, want in asking:
            lanes = session.lanes
            wet = isinstance(who, Waiter) or any(lane in offered for lane in lanes)
            if lanes and want > 0 and (wet or self._tools.dispatcher.worth_asking(lanes, self._now)):
                groups.setdefault(lanes, []).append((who, session, min(want, OPENS_CLAIM)))
        return groups

    async def _lease(self, given: Mapping[int | Waiter, tuple[Session, list[Task]]]) -> dict[int | Waiter, Handed]:
        fold = Fold(now=self._now, next_id=_none_made, dice=self._tools.dice.random)
        tasks = [task for _, mine in given.values() for task in mine]
        await self._show_runs(fold, tasks)
        for task in tasks:
            fold.show_task(task)
        inputs = await self._inputs(fold, tasks)
        handed: dict[int | Waiter, Handed] = {}
        claimed: list[Task] = []
        for who, (session, mine) in given.items():
            number = session.next_number(self._now)
            asked = [fold.claim(task, session.id, number) for task in mine if task.id in inputs]
            leased = [task for task in asked if task is not None]
            until = self._promises.fresh(session)
            tasks_given = [self._assignment(fold, task, inputs[task.id], session.base) for task in leased]
            handed[who] = Handed(number, tasks_given, until)
            claimed += leased
        await self._tx.write(fold)
        await self._admission.leased(claimed)
        return {who: found for who, found in handed.items() if found.tasks}

    async def _show_runs(self, fold: Fold, tasks: Sequence[Task]) -> None:
        """Their runs: those of this batch are known, and locked; the others are only looked at."""
        wanted = {task.run for task in tasks}
        for id_ in wanted & self._decided.runs.keys():
            run = self._decided.runs[id_]
            fold.show_run(run, self._decided.graphs[run.version])
        others = sorted(wanted - fold.runs.keys())
        for run in await self._tx.runs(others) if others else ():
            fold.show_run(run, (await self._tools.versions.get(self._tx, run.version)).graph)

    async def _inputs(self, fold: Fold, tasks: Sequence[Task]) -> dict[int, bytes | None]:
        """The inputs of each task that can be bound; None: too large to travel along."""
        sources = Sources(self._tx)
        wanted = [need for task in tasks for need in task_needs(fold.graph_of(task), task)]
        if wanted:
            await sources.load(wanted, limit=TRAVELS)
        found: dict[int, bytes | None] = {}
        for task in tasks:
            try:
                found[task.id] = task_input(fold.graph_of(task), task, sources)
            except BadPath as error:
                self.refused[task.id] = f"the inputs cannot be bound: {error}"
        return found

    def _assignment(self, fold: Fold, task: Task, body: bytes | None, base: str) -> Assignment:
        graph = fold.graph_of(task)
        node = graph.nodes[task.node]
        if task.deadline is not None:
            self._deadlines.add(task.deadline)
        return Assignment(
            task=task.id,
            attempt=task.attempt,
            run=task.run,
            node=node.name,
            kind=node.spec.kind,
            branch=text_of(graph, task.node, task.branch) if task.branch else "",
            input=ABSENT if body is None else msgspec.Raw(body),
            input_url="" if body is not None else f"{base}/tasks/{task.id}/input?attempt={task.attempt}",
            timeout_s=None if task.deadline is None else (task.deadline - self._now) / SECOND,
            failures=task.failures,
        )


def _none_made() -> int:
    raise AssertionError("a claim makes no task")
