"""The end of a batch's transaction: READY tasks go to who asked in it, and to who waits for what it made.

Tasks that the batch itself makes in a lane known to be dry are handed over before anything is written (`direct`): none
stands before them, so they need not be found again. All others are claimed from their lanes (`claim`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from itertools import islice

import msgspec

from stoker.core.compiled import text_of
from stoker.core.decide import Fold
from stoker.core.duration import SECOND, Micros
from stoker.core.live import Bound
from stoker.core.model import Task
from stoker.core.protocol import ABSENT, Assignment
from stoker.core.states import TaskState
from stoker.core.template import Below
from stoker.core.values import BadPath
from stoker.engine.admission import Admission
from stoker.engine.declared import Declared
from stoker.engine.dispatch import Handed, Waiter
from stoker.engine.gates import Later
from stoker.engine.inputs import Sources, task_input, task_needs
from stoker.engine.ports import Tx
from stoker.engine.sessions import Promises, Session
from stoker.engine.tools import Tools

OPENS_CLAIM = 256  # tasks handed out at most for one want
TRAVELS = 64 * 1024  # bytes of gathered inputs that go along with a claim

_NOTHING = Handed(0, [], 0)
Asking = tuple[int | Waiter, Session, int]  # who: the position of a command, or a waiter; how many tasks it wants


class Handout:
    """Claims within one transaction. `decided`: the fold of its batch, which is written between `direct` and `claim`.

    `handed`: by the position of a command, or by waiter. `refused`: tasks whose inputs cannot be bound, and why.
    `short`: lanes that were asked for more than they had.
    """

    def __init__(self, tools: Tools, tx: Tx, now: Micros, promises: Promises, decided: Fold) -> None:
        self._tools = tools
        self._tx = tx
        self._now = now
        self._promises = promises
        self._decided = decided
        self._items = list(decided.items)  # as long as they are at hand, nothing of them is read
        self._admission = Admission(tx, tools.gates, now, decided.templates)
        self._given: Counter[int] = Counter()
        self._direct: Counter[int] = Counter()
        self._deadlines: set[Micros] = set()
        self._short: set[int] = set()
        self._secrets: dict[int, Declared] = {}
        self.handed: dict[int | Waiter, Handed] = {}
        self.refused: dict[int, str] = {}

    @property
    def lanes(self) -> dict[int, int]:
        """The lanes that got tasks which were not handed over at once."""
        return {lane: tasks for lane, tasks in self.offered.items() if tasks > self._direct[lane]}

    @property
    def offered(self) -> dict[int, int]:
        """By lane, how many tasks may be had that could not be had before."""
        freed = {gate: slots for gate, slots in self._decided.freed.items() if slots > 0}
        if not freed:
            return self._decided.lanes
        lanes = Counter(self._decided.lanes)
        lanes.update(self._tools.gates.lanes(self._known(freed)))
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
        return self._known(
            {gate: slots for gate, slots in self._decided.freed.items() if slots > 0 and gate not in full}
        )

    def _known(self, gates: dict[int, int]) -> dict[int, int]:
        """The same by the gates that lanes are known to stand under: those of single values by their template."""
        templates = self._decided.templates
        if not templates:
            return gates
        found: Counter[int] = Counter()
        for gate, slots in gates.items():
            found[templates.get(gate, gate)] += slots
        return dict(found)

    @property
    def short(self) -> set[int]:
        return self._short - self._admission.passed

    @property
    def later(self) -> dict[int, Later]:
        return self._admission.later

    @property
    def deadline(self) -> Micros | None:
        """The earliest of the attempts handed out, and of the tasks that were not because their time is over."""
        return min(self._deadlines, default=None)

    async def direct(self, asking: Sequence[Asking]) -> list[Asking]:
        """Hand over tasks that this batch makes, before they are written; gives who still wants some."""
        new = self._new_tasks() if asking and self._decided.lanes else []
        if not new:
            return list(asking)
        fold = self._decided
        inputs = await self._inputs(fold, new, unwritten=True)
        still: list[Asking] = []
        for who, session, want in asking:
            mine = [task for task in new if task.lane in session.lanes and task.id in inputs][:want]
            if mine:
                taken = {task.id for task in mine}
                new = [task for task in new if task.id not in taken]
                self._direct.update(task.lane for task in mine)
                self._lend(fold, who, session, mine, inputs)
            if want > len(mine):
                still.append((who, session, want - len(mine)))
        return still

    def _new_tasks(self) -> list[Task]:
        """What this batch makes READY in dry lanes under no limit, in queue order."""
        fold, dispatcher = self._decided, self._tools.dispatcher
        dry = {lane for lane in fold.lanes if not dispatcher.worth_asking((lane,), self._now)}
        dry -= self._tools.gates.among(list(dry)).keys()
        if not dry:
            return []
        new = [
            task
            for task in fold.tasks.values()
            if task.lane in dry and task.state is TaskState.READY and task.due_at is None and task.id not in fold.loaded
        ]
        return sorted(new, key=lambda task: task.order_at)[:OPENS_CLAIM]

    async def claim(self, asking: Sequence[Asking], eager: Container[Waiter]) -> None:
        """One query per distinct set of lanes that may have something; its tasks go to the askers in order.

        `eager`: who asks even if their lanes seem to be dry.
        """
        given: list[tuple[int | Waiter, Session, list[Task]]] = []
        taken: dict[int, Task] = {}
        for lanes, askers in self._worth_asking(asking, eager).items():
            wanted = sum(want for _, _, want in askers)
            found = await self._admission.claimable(lanes, wanted, taken)
            if len(found) < wanted:
                self._short.update(lanes)
            left = iter(found)
            for who, session, want in askers:
                mine = list(islice(left, want))
                if mine:
                    given.append((who, session, mine))
                    taken.update({task.id: task for task in mine})
        await self._admission.leased(await self._lease(given) if given else [])

    def _worth_asking(self, asking: Sequence[Asking], eager: Container[Waiter]) -> dict[tuple[int, ...], list[Asking]]:
        """Askers by their lanes, without those whose lanes are known to be dry and got nothing now."""
        wet = self.lanes
        groups: dict[tuple[int, ...], list[Asking]] = {}
        for who, session, want in asking:
            lanes = session.lanes
            hopeful = (isinstance(who, Waiter) and who in eager) or any(lane in wet for lane in lanes)
            if lanes and want > 0 and (hopeful or self._tools.dispatcher.worth_asking(lanes, self._now)):
                groups.setdefault(lanes, []).append((who, session, min(want, OPENS_CLAIM)))
        return groups

    async def _lease(self, given: Sequence[tuple[int | Waiter, Session, list[Task]]]) -> list[Task]:
        fold = Fold(now=self._now, next_id=_none_made, dice=self._tools.dice.random)
        tasks = [task for _, _, mine in given for task in mine]
        await self._show_runs(fold, tasks)
        for task in tasks:
            fold.show_task(task)
        inputs = await self._inputs(fold, tasks)
        leased: list[Task] = []
        for who, session, mine in given:
            leased += self._lend(fold, who, session, [task for task in mine if task.id in inputs], inputs)
            self._given.update(task.lane for task in mine if task.id not in inputs)
        await self._tx.write(fold)
        return leased

    def _lend(
        self, fold: Fold, who: int | Waiter, session: Session, tasks: Sequence[Task], inputs: Mapping[int, bytes | None]
    ) -> list[Task]:
        """Lease tasks to a session in a fold that is written later; they join what it was handed already."""
        terms = who.terms if isinstance(who, Waiter) else None
        number = session.next_number(self._now) if terms is None else terms.number
        lease = None if terms is None else terms.lease
        asked = [fold.claim(task, session.id, number, lease) for task in tasks]
        self._given.update(task.lane for task in tasks)
        leased = [task for task in asked if task is not None]
        if len(leased) < len(tasks):  # of those that nobody may have any more, some perhaps have run out of time
            self._deadlines.update(task.deadline for task in tasks if task.deadline is not None)
        if leased:
            until = self._promises.fresh(session) if terms is None else 0
            before = self.handed.get(who, _NOTHING)
            handed = [self._assignment(fold, task, inputs[task.id], session.base) for task in leased]
            rows = () if terms is None else (*before.rows, *leased)
            self.handed[who] = Handed(number, before.tasks + handed, until, self._secrets, rows)
        return leased

    async def _show_runs(self, fold: Fold, tasks: Sequence[Task]) -> None:
        """Their runs: those of this batch are known, and locked; the others are only looked at."""
        wanted = {task.run for task in tasks}
        for id_ in wanted & self._decided.runs.keys():
            run = self._decided.runs[id_]
            fold.show_run(run, self._decided.graphs[run.version])
        others = sorted(wanted - fold.runs.keys())
        for run in await self._tx.runs(others) if others else ():
            known = fold.graphs.get(run.version)
            fold.show_run(run, known or (await self._tools.versions.get(self._tx, run.version)).graph)

    async def _inputs(self, fold: Fold, tasks: Sequence[Task], *, unwritten: bool = False) -> dict[int, bytes | None]:
        """The inputs of each task that can be bound; None: too large to travel along.

        `unwritten`: the batch is not written yet, and what gathers items must wait for that.
        """
        sources = Sources(self._tx)
        sources.show(self._decided.new_inputs, self._decided.new_stores)
        sources.show_items(self._items)
        bound = await self._bound(fold, tasks) if any(graph.live for graph in fold.graphs.values()) else {}
        wanted = {task.id: task_needs(fold.graph_of(task), task, bound.get(task.id)) for task in tasks}
        if unwritten:
            wanted = {id_: needs for id_, needs in wanted.items() if not any(isinstance(need, Below) for need in needs)}
        if any(wanted.values()):
            await sources.load((need for needs in wanted.values() for need in needs), limit=TRAVELS)
        found: dict[int, bytes | None] = {}
        for task in tasks:
            if task.id not in wanted:
                continue
            try:
                found[task.id] = task_input(fold.graph_of(task), task, sources, bound.get(task.id))
            except BadPath as error:
                self.refused[task.id] = f"the inputs cannot be bound: {error}"
        return found

    async def _bound(self, fold: Fold, tasks: Sequence[Task]) -> dict[int, Bound]:
        """What tasks of live runs read. Their rows do not change any more: whoever wants to locks the task first."""
        alive = [task for task in tasks if fold.graph_of(task).live]
        rows = {row.key: row for run in self._decided.live.values() for row in run.values()}
        others = {task.run for task in alive if (task.run, task.node) not in rows}
        rows.update({row.key: row for row in await self._tx.live_nodes(others)} if others else {})
        return {task.id: rows[task.run, task.node].reads(task.attempt + 1) for task in alive}

    def _assignment(self, fold: Fold, task: Task, body: bytes | None, base: str) -> Assignment:
        graph = fold.graph_of(task)
        node = graph.nodes[task.node]
        if task.deadline is not None:
            self._deadlines.add(task.deadline)
        if node.kind.secrets:
            self._secrets[task.id] = Declared(fold.runs[task.run].namespace, graph.spec.name, node.kind.secrets)
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
            traceparent=fold.runs[task.run].traceparent or "",
        )


def _none_made() -> int:
    raise AssertionError("a claim makes no task")
