"""A dict for a database, and what an engine does around a fold: load, let it decide, look up, write at once.

`load` shows a fold the reported tasks or spread rows, their runs and exactly the join rows that `touches` names. A
decision that needs another row is a bug, and shows as a KeyError.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count

from msgspec import UNSET

from core.shape import TOP, Shape
from stoker.core.branch import END, cut
from stoker.core.compiled import Compiled, binding_refs
from stoker.core.condition import Around
from stoker.core.decide import Fold
from stoker.core.graph import Binding, Element, ListOf, ObjectOf, Ref, RunInput, Value
from stoker.core.model import Ended, ItemKey, JoinKey, JoinRow, JoinState, Run, Spread, Task
from stoker.core.picture import Body, Want
from stoker.core.reopen import Plan, reopen, retryable
from stoker.core.spread import standing
from stoker.core.states import LIVE, TaskState
from stoker.core.values import BadPath, as_list, as_object, elements, encode, pick

INPUTS = encode({"xs": [{"n": 1, "parts": [1, 2]}]})

Ways = dict[str, bytes]  # name of a node above a task -> the branch of its task there


class Memory:
    """The tables of one small installation with one graph."""

    def __init__(self, graph: Compiled, dice: Callable[[], float] = lambda: 0.5) -> None:
        self.graph = graph
        self.shape = Shape(graph.spec)
        self.dice = dice
        self.now = 1_000_000_000
        self.runs: dict[int, Run] = {}
        self.tasks: dict[int, Task] = {}
        self.spreads: dict[int, Spread] = {}
        self.spent: list[Spread] = []
        self.unswept: set[int] = set()
        self.rows: dict[JoinKey, JoinRow] = {}
        self.items: dict[ItemKey, bytes] = {}
        self.history: list[Ended] = []
        self.counts: dict[tuple[int, int], list[int]] = {}
        self.places: dict[tuple[int, int, bytes], int] = {}
        self.ways: dict[int, Ways] = {}
        self.gathered: dict[tuple[int, str], list[bytes]] = {}
        self._ids = count(1)
        self.retried: set[int] = set()
        self.past: dict[tuple[int, int, bytes, int], Task] = {}
        self.rerun = 0
        self._shown: set[JoinKey] = set()
        self._again: set[int] = set()
        self._opened: set[JoinKey] = set()

    # --- one batch ---

    def fold(self) -> Fold:
        self._shown = set()
        return Fold(now=self.now, next_id=lambda: next(self._ids), dice=self.dice)

    def trigger(self) -> Run:
        fold = self.fold()
        run = Run(id=len(self.runs) + 1, namespace=1, version=1, created_at=self.now)
        fold.trigger(run, self.graph, INPUTS)
        self.conclude(fold)
        return self.runs[len(self.runs)]

    def load(self, fold: Fold, tasks: Iterable[int]) -> None:
        """All that a fold may need to know about these tasks."""
        for task in [self.tasks[each] for each in tasks]:
            self._show_run(fold, task.run)
            fold.show_task(task)
            self._show_rows(fold, task)

    def load_spreads(self, fold: Fold, spreads: Iterable[int]) -> None:
        """As `load`, for spread rows. Those that `_shown` counts in are above all tasks of a row."""
        for row in [self.spreads[each] for each in spreads]:
            self._show_run(fold, row.run)
            fold.show_spread(row)
            self._show_rows(fold, next(standing(row)))

    def _show_run(self, fold: Fold, run: int) -> None:
        if run not in fold.runs:
            fold.show_run(copy.copy(self.runs[run]), self.graph)
            if self.graph.asks:
                fold.show_around(run, Around(INPUTS))

    def _show_rows(self, fold: Fold, task: Task) -> None:
        for join in self.graph.nodes[task.node].touches:
            key = JoinKey(task.run, join, cut(task.branch, self.graph.row_depth[join]))
            if key not in fold.rows:
                fold.show_row(key, copy.copy(self.rows[key]))
                self._shown.add(key)

    def batch(self, tasks: Iterable[int], act: Callable[[Fold], object]) -> None:
        """Load, act, decide, write."""
        fold = self.fold()
        self.load(fold, tasks)
        act(fold)
        self.conclude(fold)

    def conclude(self, fold: Fold) -> None:
        """Decide until nothing is left to look up, then write everything."""
        fold.settle_joins()
        while fold.wants:
            wants, fold.wants = fold.wants, []
            for want in wants:
                self._answer(fold, want)
            fold.settle_joins()
        self.apply(fold)

    def retry(self, run: int, task: int | None = None, *, rerun: bool = False) -> bool:
        """Retry a run or a task by hand; False if there is nothing to retry, or something below is not settled."""
        tasks = [task for task in self.tasks.values() if task.run == run]
        spreads = [row for row in self.spreads.values() if row.run == run]
        rows = {key: row for key, row in self.rows.items() if key.run == run}
        chosen = retryable(self.graph, tasks) if task is None else [self.tasks[task]]
        plan = reopen(self.graph, run, tasks, rows, spreads, chosen, rerun=rerun)
        if plan.empty or plan.busy is not None:
            return False
        for key, row in rows.items():
            assert row == self.rows[key], "a plan changes nothing"
        self._forget(plan)
        fold = self.fold()
        self._show_run(fold, run)
        fold.reopen(fold.runs[run], plan, self._bodies)
        if plan.fired:
            self.retried.add(run)
            self.gathered = {key: given for key, given in self.gathered.items() if self.tasks[key[0]].run != run}
        self.rerun += len(plan.rerun)
        self.unswept.update(row.id for row in plan.spreads)
        self._again = {task.id for task in (*plan.retry, *plan.withheld)} | {task.id for task in plan.delete}
        self._shown = set(plan.rows)
        self._opened = {key for key in plan.rows if plan.rows[key].state != rows[key].state}
        self.conclude(fold)
        self._again, self._opened = set(), set()
        return True

    def _forget(self, plan: Plan) -> None:
        for task in (*plan.delete, *plan.past):
            del self.tasks[task.id], self.places[task.run, task.node, task.branch], self.ways[task.id]
            if task not in plan.delete:
                place = (task.run, task.node, task.branch, task.generation)
                assert place not in self.past, f"{place} was there twice"
                self.past[place] = task
            for item in [item for item in self.items if item[:3] == (task.run, task.node, task.branch)]:
                del self.items[item]
        for row in plan.past_spreads:
            del self.spreads[row.id]
        for key in plan.past_rows:
            del self.rows[key]
        gone = {task.id for task in plan.past}
        self.gathered = {key: given for key, given in self.gathered.items() if key[0] not in gone}

    def _bodies(self, task: Task) -> list[Body]:
        return [Body(self.items[key]) for key in sorted(self.items) if key[:3] == (task.run, task.node, task.branch)]

    # --- what a fold wants to know ---

    def _answer(self, fold: Fold, want: Want) -> None:
        node = self.graph.nodes[want.node]
        if want.what == "members":
            missing = [self.graph.nodes[source].name for source in node.must_have]
            found = [name for name in missing if self._item(fold, want, name) is None]
            fold.has_members(want, found)
            return
        if want.what in ("loop", "next"):
            self._iterate(fold, want)
            return
        assert want.what == "expand"
        assert node.spec.expand is not None
        try:
            fold.expanded(want, elements(self._value(fold, want, node.spec.expand.over)))
        except BadPath as error:
            fold.unbound(want, str(error))

    def _iterate(self, fold: Fold, want: Want) -> None:
        node = self.graph.nodes[want.node]
        try:
            state, wrong = self._value(fold, want, node.spec.bind["state"]), ""
        except BadPath as error:
            state, wrong = None, str(error)
        if want.what == "loop":
            assert want.parent is not None
            if fold.may_start(fold.tasks[want.parent]):
                fold.iterate(fold.tasks[want.parent], state, wrong)
            return
        assert node.ends is not None
        place = (want.run, node.ends, cut(want.branch, self.graph.nodes[node.ends].depth))
        made = [task for task in fold.tasks.values() if (task.run, task.node, task.branch) == place]
        if not made:
            self.load(fold, [self.places[place]])
            made = [fold.tasks[self.places[place]]]
        fold.iterated(want, made[0], state, "")

    def _item(self, fold: Fold, want: Want, name: str) -> bytes | None:
        """The single item of a node on the branch of a want, written before or in this batch."""
        source = self.graph.place(name)
        key = ItemKey(want.run, source.index, cut(want.branch, source.depth), 0)
        return self.items.get(key) or {item.key: item.body for item in fold.items}.get(key)

    def _value(self, fold: Fold, want: Want, binding: Binding) -> bytes:
        match binding:
            case Value(value=value):
                return encode(value)
            case RunInput(path=path):
                return pick(INPUTS, ("xs", *path))
            case Ref(node=name, many=True):
                fresh = {item.key: item.body for item in fold.items}
                return as_list(below({**self.items, **fresh}, want.run, self.graph.names[name], want.branch))
            case Ref(node=name, path=path):
                found = self._item(fold, want, name)
                if found is None and binding.spared is UNSET:
                    raise BadPath(f"{name} has no item")
                return encode(binding.spared) if found is None else pick(found, path)
            case ListOf(items=items):
                return as_list(self._value(fold, want, item) for item in items)
            case ObjectOf(fields=fields):
                return as_object({name: self._value(fold, want, field) for name, field in fields.items()})
            case Element():
                raise NotImplementedError(binding)

    # --- writing ---

    def apply(self, fold: Fold) -> None:
        for run in fold.changed_runs:
            self.runs[run] = copy.copy(fold.runs[run])
        for item in fold.items:
            assert item.key not in self.items, f"{item.key} is written twice"
            self.items[item.key] = item.body
        for key in fold.changed_rows:
            before, row = self.rows.get(key), fold.rows[key]
            assert before is None or key in self._shown, f"{key} is opened twice"
            if before is not None and key not in self._opened:
                assert before.state in (JoinState.OPEN, row.state), f"{key} is decided twice"
            self.rows[key] = copy.copy(row)
        for place, more in fold.counts.items():
            self.counts[place] = [a + b for a, b in zip(self.counts.get(place, [0] * 6), more, strict=True)]
        self.history.extend(fold.history)
        self._write_spreads(fold)
        for task in sorted(fold.tasks.values(), key=lambda each: each.id):
            self._write(task)

    def _write_spreads(self, fold: Fold) -> None:
        for id_, row in fold.spreads.items():
            assert self.spreads.get(id_) == fold.loaded_spreads.get(id_), f"the guard of {row} fails"
            self.spreads[id_] = row
            if id_ in fold.spent:
                assert row.state is TaskState.READY
                self.spent.append(row)
                del self.spreads[id_]

    def _write(self, task: Task) -> None:
        before = self.tasks.get(task.id)
        self.tasks[task.id] = task
        if before is not None:
            if task.id not in self._again:
                assert before.state in LIVE or before == task, f"the settled {before} became {task}"
            assert (before.run, before.node, before.branch) == (task.run, task.node, task.branch)
            return
        place = (task.run, task.node, task.branch)
        assert place not in self.places, f"{place} exists twice"
        self.places[place] = task.id
        self.ways[task.id] = self._way(task)
        self._gather(task)

    def _way(self, task: Task) -> Ways:
        """Where the tasks above a task stand, told by its parent, or by the anchor task of a join."""
        node = self.graph.nodes[task.node]
        above = self.shape.anchor(node.name) if node.is_join else TOP
        parent = task.parent
        if above:
            branches = {task.branch, cut(task.branch, self.graph.place(above).depth)}
            (parent,) = [
                self.places[place]
                for branch in branches
                if (place := (task.run, self.graph.names[above], branch)) in self.places
            ]
        if parent is None:
            return {TOP: b""}
        up = self.tasks[parent]
        return {**self.ways[parent], self.graph.nodes[up.node].name: up.branch}

    def _gather(self, task: Task) -> None:
        """Keep what a fired join is given, to compare it with the truth when all is over."""
        node = self.graph.nodes[task.node]
        if not node.is_join or task.state not in LIVE or task.run in self.retried:
            return  # below a join that has fired nothing waits for a retried task
        prefix = self.ways[task.id][self.shape.anchor(node.name)]
        for leaf in [leaf for binding in node.spec.bind.values() for leaf in binding_refs(binding)]:
            if isinstance(leaf, Ref) and leaf.many:
                source = self.graph.names[leaf.node]
                self.gathered[task.id, leaf.node] = below(self.items, task.run, source, prefix)

    # --- reading ---

    def of_run(self, run: int) -> list[Task]:
        """Every task of a run, those included that spread rows stand for."""
        unmade = [task for row in self.spreads.values() if row.run == run for task in standing(row)]
        return [task for task in self.tasks.values() if task.run == run] + unmade

    def ways_of(self, task: Task) -> Ways:
        return self.ways[task.id] if task.id else self._way(task)

    def spreading(self) -> list[int]:
        return [row.id for row in self.spreads.values() if row.state is TaskState.READY]

    def live(self) -> list[int]:
        return [task.id for task in self.tasks.values() if task.state in LIVE]

    def named(self, name: str) -> list[Task]:
        """The tasks of a node, in branch order."""
        node = self.graph.names[name]
        return sorted((task for task in self.tasks.values() if task.node == node), key=lambda task: task.branch)


def below(items: dict[ItemKey, bytes], run: int, node: int, prefix: bytes) -> list[bytes]:
    """The items of a node below a prefix, in branch order, as one range of an index."""
    found = [key for key in items if key[:2] == (run, node) and prefix <= key.branch < prefix + END]
    return [items[key] for key in sorted(found)]


def by_node(tasks: Iterable[Task]) -> dict[tuple[int, int], list[Task]]:
    found: dict[tuple[int, int], list[Task]] = defaultdict(list)
    for task in tasks:
        found[task.run, task.node].append(task)
    return found
