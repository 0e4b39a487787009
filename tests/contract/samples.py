"""Values to put into a store, and the words to do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.samples import after, compiled, join, node
from stoker.core.branch import step
from stoker.core.compiled import Compiled
from stoker.core.decide import Fold
from stoker.core.model import ItemKey, Run, Task
from stoker.core.picture import Body
from stoker.engine.ports import Store

GRAPH = compiled(node("a", kind="many"), node("b", after("a")), node("c", join("b")))
NOW = 1_000_000


class Writer:
    """Writes folds over one run of a small graph: `a` with several items, `b` per item, `c` joins them."""

    def __init__(self, store: Store, graph: Compiled = GRAPH) -> None:
        self.store = store
        self.graph = graph
        self.next = 0

    def fold(self) -> Fold:
        return Fold(now=NOW, next_id=self._draw, dice=lambda: 0.5)

    def _draw(self) -> int:
        self.next += 1
        return self.next

    async def trigger(self, run: int = 1, **options: Any) -> None:
        fold = self.fold()
        fold.trigger(Run(id=run, namespace=1, version=1, created_at=NOW, **options), self.graph, b"")
        fold.settle_joins()
        await self.store.transact(lambda tx: tx.write(fold))

    async def tasks(self, run: int = 1) -> list[Task]:
        return await self.store.read(lambda reader: reader.task_rows("run_tasks", run))

    async def shown(self, tasks: Iterable[Task]) -> Fold:
        """A fold that has seen these tasks and everything they touch."""
        fold = self.fold()
        tasks = list(tasks)
        for run in await self.store.read(lambda reader: reader.runs({task.run for task in tasks})):
            fold.show_run(run, self.graph)
            for key, row in await self.store.read(lambda reader, run=run: reader.run_join_rows(run.id)):  # type: ignore[misc]
                fold.show_row(key, row)
        for task in tasks:
            fold.show_task(task)
        return fold

    async def claim(self, tasks: Iterable[Task], session: int = 1, answer: int = 1) -> list[Task]:
        fold = await self.shown(tasks)
        claimed = [fold.claim(task, session, answer) for task in list(fold.tasks.values())]
        await self.store.transact(lambda tx: tx.write(fold))
        return [task for task in claimed if task is not None]

    async def complete(self, task: Task, *bodies: bytes) -> None:
        fold = await self.shown([task])
        assert (
            fold.complete(task.id, task.attempt, task.session or 0, [Body(body) for body in bodies]).status
            == "accepted"
        )
        fold.settle_joins()
        await self.store.transact(lambda tx: tx.write(fold))


def key(node: int, *indexes: int, item: int = 0, run: int = 1) -> ItemKey:
    return ItemKey(run, node, b"".join(step(index) for index in indexes), item)
