"""Finds the gates of tasks whose limit is by a value, in the middle of a transaction: as they are made or retried."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.decide import Fold
from stoker.core.key import binding, gate_name, value_of
from stoker.core.model import Task
from stoker.core.picture import Want
from stoker.core.template import needs, render
from stoker.core.values import BadPath
from stoker.engine.inputs import Sources, task_place, whole
from stoker.engine.known import GateName, MissingGates
from stoker.engine.ports import Tx
from stoker.engine.showing import Showing
from stoker.engine.tools import Tools


class Keying:
    """Answers what a fold wants of values."""

    def __init__(self, tools: Tools, tx: Tx, blobs: dict[str, bytes], showing: Showing) -> None:
        self._tools = tools
        self._tx = tx
        self._blobs = blobs
        self._showing = showing

    async def answer(self, fold: Fold, wants: Sequence[Want]) -> None:
        """A gate for each of these tasks, or why it has none. MissingGates if some must be made first."""
        tasks = [fold.tasks[want.parent] for want in wants if want.parent is not None]
        tasks = [task for task in tasks if not fold.runs[task.run].stopping]  # else they are swept
        sources = Sources(self._tx, self._blobs)
        sources.show(fold.new_inputs, fold.new_stores)
        places = [(fold.graph_of(task), task_place(task), binding(fold.node_of(task).spec)) for task in tasks]
        await whole(sources, {need for place in places for need in needs(*place)})
        named: dict[int, GateName] = {}
        wrong: dict[int, str] = {}
        for task, place in zip(tasks, places, strict=True):
            try:
                named[task.id] = _name(fold, task, render(*place, sources.found))
            except BadPath as error:
                wrong[task.id] = str(error)
        self._let(fold, named)
        await self._showing.rows(fold, [fold.tasks[id_] for id_ in wrong])
        for id_, message in wrong.items():
            fold.unkeyed(fold.tasks[id_], message)

    def _let(self, fold: Fold, named: dict[int, GateName]) -> None:
        gates = {name: self._tools.keys.gate(name) for name in set(named.values())}
        missing = {name for name, gate in gates.items() if gate is None}
        if missing:
            raise MissingGates(missing)
        for id_, name in named.items():
            gate = gates[name]
            assert gate is not None
            fold.keyed(fold.tasks[id_], gate)


def _name(fold: Fold, task: Task, found: bytes) -> GateName:
    node = fold.node_of(task)
    assert node.template is not None
    assert node.spec.limit is not None
    value = value_of(node.spec.limit, found)
    return GateName(fold.runs[task.run].namespace, node.template, gate_name(node.spec.limit, value))
