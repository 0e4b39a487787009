"""What a manual retry of a run changes: which tasks are made READY again, which joins are opened again.

Joins that were SKIPPED above a retried task open again and are decided anew; one that has fired never fires again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from stoker.core.branch import cut
from stoker.core.compiled import Compiled, text_of
from stoker.core.firing import recount
from stoker.core.model import JoinKey, JoinRow, JoinState, Spread, Task
from stoker.core.spread import standing
from stoker.core.states import TaskState, Verb

RETRIED = frozenset({TaskState.FAILED, TaskState.CANCELLED})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`retry`: tasks to make READY. `spreads`: such rows of tasks still to be made. `withheld`: SUCCEEDED tasks whose
    unlocking a cancel held back.

    `delete`: tasks of joins that open again. `rows`: every join row, counted anew. `fired`: joins that stay so.
    """

    retry: list[Task]
    spreads: list[Spread]
    withheld: list[Task]
    delete: list[Task]
    rows: dict[JoinKey, JoinRow]
    fired: list[str]

    @property
    def empty(self) -> bool:
        return not self.again and not self.withheld

    @property
    def again(self) -> int:
        """How many tasks are offered again."""
        return len(self.retry) + sum(row.tasks for row in self.spreads)


def reopen(
    graph: Compiled, run: int, tasks: Sequence[Task], states: Mapping[JoinKey, int], spreads: Sequence[Spread]
) -> Plan:
    """The plan for all failed and cancelled tasks of a run, and for its spread rows, which its cancel left behind."""
    retry = [task for task in tasks if task.state in RETRIED and _stands(graph, task)]
    withheld = [task for task in tasks if task.withheld]
    unmade = [task for row in spreads for task in standing(_ready(row))]
    opened, fired = _joins_above(graph, [*retry, *withheld, *unmade], states)
    delete = [
        task for task in tasks if task.state is TaskState.SKIPPED and JoinKey(run, task.node, task.branch) in opened
    ]
    after = {**states, **dict.fromkeys(opened, JoinState.OPEN)}
    again = {task.id for task in retry} | {task.id for task in withheld}
    gone = {task.id for task in delete}
    kept = [
        msgspec.structs.replace(task, state=TaskState.READY) if task.id in again else task
        for task in tasks
        if task.id not in gone
    ]
    return Plan(
        retry=retry,
        spreads=list(spreads),
        withheld=withheld,
        delete=delete,
        rows=recount(graph, run, [*kept, *unmade], after),
        fired=sorted(_name(graph, key) for key in fired),
    )


def _ready(row: Spread) -> Spread:
    return msgspec.structs.replace(row, state=TaskState.READY)


def _stands(graph: Compiled, task: Task) -> bool:
    """Whether it can be offered or held: nobody runs inline tasks, what FAILED as it was made would do so again."""
    node = graph.nodes[task.node]
    return (node.held or not node.inline) and task.ended is not Verb.NONE


def _joins_above(
    graph: Compiled, tasks: Sequence[Task], states: Mapping[JoinKey, int]
) -> tuple[set[JoinKey], set[JoinKey]]:
    opened, fired = set(), set()
    for task in tasks:
        for join in graph.nodes[task.node].touches:
            key = JoinKey(task.run, join, cut(task.branch, graph.row_depth[join]))
            if states.get(key) == JoinState.SKIPPED:
                opened.add(key)
            elif states.get(key) == JoinState.FIRED:
                fired.add(key)
    return opened, fired


def _name(graph: Compiled, key: JoinKey) -> str:
    node = graph.nodes[key.join]
    if not key.branch:
        return node.name
    return f"{node.name} at {text_of(graph, node.parent, key.branch)}"
