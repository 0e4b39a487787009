"""Iterations of loops, in the middle of a transaction: the states that they begin and end with."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.branch import cut
from stoker.core.compiled import Compiled
from stoker.core.decide import Fold
from stoker.core.graph import Binding
from stoker.core.loops import NEXT
from stoker.core.model import ItemKey, Task
from stoker.core.picture import Want
from stoker.core.template import Place, needs, render
from stoker.core.values import BadPath
from stoker.engine.inputs import Sources, task_place, whole
from stoker.engine.ports import Tx
from stoker.engine.showing import Showing


class Iterations:
    """Answers what a fold wants of loops."""

    def __init__(self, tx: Tx, blobs: dict[str, bytes], showing: Showing) -> None:
        self._tx = tx
        self._blobs = blobs
        self._showing = showing

    async def begin(self, fold: Fold, wants: Sequence[Want]) -> None:
        """Loops that were just made: what they begin with."""
        for want in wants:
            assert want.parent is not None
            task = fold.tasks[want.parent]
            await self._showing.rows(fold, [task])
            graph = fold.graph_of(task)
            binding = graph.nodes[task.node].spec.bind[NEXT]
            state, wrong, _ = await self._value(fold, graph, task_place(task), binding)
            if fold.may_start(task):
                fold.iterate(task, state, wrong)

    async def end(self, fold: Fold, wants: Sequence[Want]) -> None:
        """Iterations in which everything has settled: the state that they leave."""
        held = {(task.run, task.node, task.branch): task for task in fold.tasks.values() if fold.node_of(task).loop}
        for want in wants:
            graph = fold.graphs[fold.runs[want.run].version]
            node = graph.nodes[want.node]
            assert node.ends is not None
            place = (want.run, node.ends, cut(want.branch, graph.nodes[node.ends].depth))
            task = fold.tasks[held[place].id] if place in held else await self._found(fold, place)
            state, wrong, lacks = await self._value(
                fold, graph, Place(want.run, want.node, want.branch), node.spec.bind[NEXT]
            )
            fold.iterated(want, task, state, "" if lacks else wrong)

    async def _found(self, fold: Fold, place: tuple[int, int, bytes]) -> Task:
        """The task of a loop. The engine holds it, and whoever would settle it locks its run first."""
        run, node, branch = place
        (task,) = await self._tx.task_rows("tasks_at", run, branch, [node])
        fold.show_task(task)
        await self._showing.rows(fold, [task])
        return task

    async def _value(
        self, fold: Fold, graph: Compiled, place: Place, binding: Binding
    ) -> tuple[bytes | None, str, bool]:
        """A state, or what is wrong; whether that is an item that does not exist."""
        wanted = list(needs(graph, place, binding))
        sources = Sources(self._tx, self._blobs)
        sources.show(fold.new_inputs, fold.new_stores)
        await whole(sources, wanted)
        try:
            return render(graph, place, binding, sources.found), "", False
        except BadPath as error:
            lacks = any(isinstance(need, ItemKey) and need not in sources.found.items for need in wanted)
            return None, str(error), lacks
