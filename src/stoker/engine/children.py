"""Child runs, in the middle of a transaction: started for the tasks that the engine holds, settling them at their ends.

All runs of a tree are locked by the row of the run at its top, so what is read here of other runs stands still.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stoker.core.compiled import TRIGGER
from stoker.core.decide import Fold
from stoker.core.model import PAYLOAD_INLINE, Run, Task
from stoker.core.picture import Body, Want
from stoker.core.reopen import reopen, retryable
from stoker.core.states import RunState, TaskState
from stoker.core.template import Need, Place, inputs, needs, render
from stoker.core.values import NULL, BadPath, fields
from stoker.engine.inputs import Sources, task_needs, task_place, whole
from stoker.engine.ports import Tx
from stoker.engine.showing import Showing
from stoker.engine.tools import Tools
from stoker.engine.versions import Version
from stoker.errors import Invalid

FAILED = "run_failed"


class Children:
    """Answers what a fold wants of child runs."""

    def __init__(self, tools: Tools, tx: Tx, blobs: dict[str, bytes], showing: Showing) -> None:
        self._tools = tools
        self._tx = tx
        self._blobs = blobs
        self._showing = showing

    # --- starts ---

    async def start(self, fold: Fold, wants: Sequence[Want]) -> None:
        """A child run for each of these tasks, with what they are bound to, and with the store of the run above."""
        tasks = [fold.tasks[want.parent] for want in wants if want.parent is not None]
        await self._showing.rows(fold, tasks)  # of those that fail at once
        sources = Sources(self._tx, self._blobs)
        sources.show(fold.new_inputs, fold.new_stores)
        await whole(sources, [need for task in tasks for need in task_needs(fold.graph_of(task), task)])
        above = sorted({task.run for task in tasks})
        stores = {**(await self._tx.run_stores(above) if above else {}), **fold.new_stores}
        for task in tasks:
            version = await self._version(fold, task)
            try:
                body = version.input_body(_bound(fold, task, sources))
                store = version.store_body(
                    {name: msgspec.Raw(value) for name, value in fields(stores.get(task.run, b"")).items()}
                )
            except (BadPath, Invalid) as error:
                fold.refuse_child(task, _why(version, error), "invalid_input")
                continue
            if len(body) > PAYLOAD_INLINE:
                message = (
                    f"the inputs of {version.graph.spec.name!r} have {len(body)} bytes; at most {PAYLOAD_INLINE} fit"
                )
                fold.refuse_child(task, message, "invalid_input")
            elif not fold.may_start(task):
                continue
            else:
                self._trigger(fold, task, version, body, store)

    def _trigger(self, fold: Fold, task: Task, version: Version, inputs: bytes, store: bytes) -> None:
        above = fold.runs[task.run]
        run = Run(
            id=self._tools.ids.draw("run"),
            namespace=above.namespace,
            version=version.id,
            priority=above.priority,
            weight=above.weight,
            created_at=fold.now,
            root=above.root or above.id,
            parent=task.id,
            traceparent=above.traceparent,
        )
        fold.trigger(run, version.graph, inputs, store)

    async def _version(self, fold: Fold, task: Task) -> Version:
        inner = fold.node_of(task).spec.subgraph
        assert inner is not None
        assert inner.version is not None
        namespace = fold.runs[task.run].namespace
        return await self._tools.versions.numbered(self._tx, namespace, inner.graph, inner.version)

    # --- ends ---

    async def ended(self, fold: Fold, wants: Sequence[Want]) -> None:
        """These child runs have ended: settle the tasks that wait for them."""
        children = [fold.runs[want.run] for want in wants]
        await self._show_parents(fold, children)
        done = [run for run in children if run.state is RunState.SUCCEEDED]
        sources = Sources(self._tx, self._blobs)
        sources.show(fold.new_inputs, fold.new_stores)
        await whole(sources, [need for run in done for need in _result_needs(fold, run)])
        for run in children:
            assert run.parent is not None
            task, name = fold.tasks[run.parent], fold.graphs[run.version].spec.name
            if run.state is RunState.CANCELLED:
                fold.child_cancelled(task, f"run {run.id} of {name!r} was cancelled")
            elif run.state is RunState.FAILED:
                fold.refuse_child(task, f"run {run.id} of {name!r} FAILED: {await self._cause(fold, run)}", FAILED)
            else:
                self._settle(fold, task, run, sources)

    @staticmethod
    def _settle(fold: Fold, task: Task, run: Run, sources: Sources) -> None:
        graph = fold.graphs[run.version]
        try:
            result = graph.spec.result
            body = NULL if result is None else render(graph, Place(run.id, TRIGGER, b""), result, sources.found)
        except BadPath as error:
            fold.refuse_child(
                task, f"run {run.id} of {graph.spec.name!r} SUCCEEDED without a result: {error}", "no_result"
            )
            return
        if len(body) > PAYLOAD_INLINE:
            message = f"the result of run {run.id} has {len(body)} bytes; at most {PAYLOAD_INLINE} fit; return a file"
            fold.refuse_child(task, message, "result_too_large")
        else:
            fold.child_succeeded(task, Body(body))

    async def _show_parents(self, fold: Fold, children: Sequence[Run]) -> None:
        parents = {run.parent for run in children if run.parent is not None}
        new = sorted(parents - fold.tasks.keys())
        for task in await self._tx.tasks(new) if new else ():
            fold.show_task(task)
        tasks = [fold.tasks[parent] for parent in sorted(parents)]
        await self._showing.runs_of(fold, tasks)
        await self._showing.rows(fold, tasks)

    async def _cause(self, fold: Fold, run: Run) -> str:
        """The first failure of a run, in the tables or in this very batch."""
        graph = fold.graphs[run.version]
        for task, node, _, _, code, kept, message, *_ in await self._tx.rows("run_causes", run.id, graph.tolerated, 1):
            return f"task {task} ({graph.nodes[node].name}): {kept or code}: {message or ''}"
        said = {ended.task: ended for ended in fold.history}
        for each in fold.tasks.values():
            if each.run == run.id and each.state in (TaskState.FAILED, TaskState.CANCELLED):
                message = said[each.id].message if each.id in said else ""
                return f"task {each.id} ({graph.nodes[each.node].name}): {each.code}: {message}"
        return "a task of it was cancelled"

    # --- retries and cancels ---

    async def again(self, fold: Fold, wants: Sequence[Want]) -> None:
        """These tasks are held anew: their child runs are retried in place; where there is none, one is started."""
        known = await self._known(wants)
        await self.start(fold, [want for want in wants if want.parent not in known])
        for want in wants:
            if want.parent in known:
                await self._retry(fold, known[want.parent])

    async def _retry(self, fold: Fold, child: int) -> None:
        await self._showing.runs(fold, await self._tx.runs([child]))
        await self._showing.around(fold)
        run = fold.runs[child]
        if run.state is RunState.RUNNING:
            return
        graph = fold.graphs[run.version]
        tasks = await self._tx.task_rows("run_tasks", child)
        rows, spreads = dict(await self._tx.run_join_rows(child)), await self._tx.run_spreads(child)
        plan = reopen(graph, child, tasks, rows, spreads, retryable(graph, tasks))
        if plan.empty:
            fold.wants.append(Want("ended", child, TRIGGER, b"", run.parent))
            return
        kept = {task.id: await self._bodies(task) for task in plan.withheld}
        await self._tx.put_past(plan)
        fold.reopen(run, plan, lambda task: kept[task.id])

    async def _bodies(self, task: Task) -> list[Body]:
        items = [
            item
            for item in await self._tx.items_below(task.run, task.node, task.branch)
            if item.key.branch == task.branch
        ]
        sources = Sources(self._tx, self._blobs)
        await whole(sources, [item.key for item in items])
        return [Body(sources.found.items[item.key], item.blob) for item in items]

    async def stop(self, fold: Fold, wants: Sequence[Want]) -> None:
        """The cancel of these tasks was asked for: their child runs stop; without one they are CANCELLED at once."""
        known = await self._known(wants)
        await self._showing.runs(fold, await self._tx.runs(sorted(known.values())) if known else ())
        tasks = [fold.tasks[want.parent] for want in wants if want.parent is not None]
        await self._showing.rows(fold, tasks)
        for task in tasks:
            child = fold.runs[known[task.id]] if task.id in known else None
            if child is None or child.state is not RunState.RUNNING:
                fold.child_cancelled(task, "its cancel was asked for")
            else:
                fold.stop(child)

    async def _known(self, wants: Sequence[Want]) -> dict[int, int]:
        """The child runs of the tasks that these wants are about, by task."""
        tasks = sorted(want.parent for want in wants if want.parent is not None)
        return dict(sorted(map(tuple, await self._tx.rows("children", tasks)))) if tasks else {}  # the newest of each


def _bound(fold: Fold, task: Task, sources: Sources) -> dict[str, msgspec.Raw]:
    graph, place = fold.graph_of(task), task_place(task)
    bind = graph.nodes[task.node].spec.bind
    return {name: msgspec.Raw(body) for name, body in inputs(graph, place, bind, sources.found).items()}


def _result_needs(fold: Fold, run: Run) -> list[Need]:
    graph = fold.graphs[run.version]
    result = graph.spec.result
    return [] if result is None else list(needs(graph, Place(run.id, TRIGGER, b""), result))


def _why(version: Version, error: BadPath | Invalid) -> str:
    if isinstance(error, BadPath):
        return f"the inputs cannot be bound: {error}"
    problems = "; ".join(f"{problem.place}: {problem.message}" for problem in error.problems)
    return f"{version.graph.spec.name!r} does not take this: {problems}"
