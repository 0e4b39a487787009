"""A dict for the tables of one live run, and what an engine does around a fold; claims see tasks alone, as there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from stoker.core.compiled import Compiled
from stoker.core.decide import Fold
from stoker.core.live import LiveNode, Output
from stoker.core.model import ItemKey, Run, Task
from stoker.core.states import LIVE
from stoker.core.values import as_object

T = TypeVar("T")


class LiveMemory:
    def __init__(self, graph: Compiled, inputs: dict[str, int] | None = None) -> None:
        self.graph = graph
        self.now = 1_000_000_000
        self.tasks: dict[int, Task] = {}
        self.rows: dict[int, LiveNode] = {}
        self.items: dict[ItemKey, bytes] = {}
        self.outputs: list[Output] = []
        self._ids = count(1)
        self.run = Run(id=1, namespace=1, version=1)
        fold = self._fold()
        given = {name: str(value).encode() for name, value in (inputs or {}).items()}
        fold.trigger(copy.copy(self.run), graph, as_object(given) if given else b"")
        self._conclude(fold)

    def batch(self, decide: Callable[[Fold, Run], T]) -> T:
        """One transaction on the run: it sees what is READY or LEASED of it, and every task that it may name."""
        fold = self._fold()
        fold.show_run(copy.copy(self.run), self.graph)
        for task in self.tasks.values():
            fold.show_task(task)
        fold.show_live(copy.copy(row) for row in self.rows.values())
        answer = decide(fold, fold.runs[1])
        self._conclude(fold)
        return answer

    def claim(self, name: str, session: int) -> tuple[Task, dict[str, int]]:
        """A claim, which knows no row of the run but reads that of its node: the attempt, and what it reads."""
        task = self.open(name)
        assert task is not None
        fold = self._fold()
        fold.show_run(copy.copy(self.run), self.graph)
        fold.show_task(task)
        leased = fold.claim(task, session, 1)
        assert leased is not None
        self.tasks[task.id] = leased
        return leased, self.reads(leased)

    def reads(self, task: Task) -> dict[str, int]:
        bound = self.rows[task.node].reads(task.attempt)
        return {
            self.graph.nodes[node].name: int(self.items[ItemKey(1, node, b"", number)])
            for node, number in bound.items()
        }

    def open(self, name: str) -> Task | None:
        found = [task for task in self.tasks.values() if task.node == self.graph.names[name] and task.state in LIVE]
        assert len(found) < 2, f"{name} has two open tasks"
        return found[0] if found else None

    def row(self, name: str) -> LiveNode:
        return self.rows[self.graph.names[name]]

    def current(self, name: str) -> int | None:
        number = self.row(name).current
        return None if number is None else int(self.items[ItemKey(1, self.graph.names[name], b"", number)])

    def _fold(self) -> Fold:
        return Fold(now=self.now, next_id=lambda: next(self._ids), dice=lambda: 0.5)

    def _conclude(self, fold: Fold) -> None:
        fold.settle_joins()
        assert not fold.wants
        self.run = fold.runs[1]
        self.tasks.update(fold.tasks)
        for run, node in fold.changed_live:
            self.rows[node] = fold.live[run][node]
        for item in fold.items:
            assert item.key not in self.items
            self.items[item.key] = item.body
        self.outputs += fold.outputs
        assert self.run.open == sum(task.state in LIVE for task in self.tasks.values())
