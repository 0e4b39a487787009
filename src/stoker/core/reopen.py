"""What a manual retry changes: which tasks are made READY again, which joins open again, what is run anew below them.

Joins that were SKIPPED above a retried task open again and are decided anew. One that has fired stays as it is, or, for
a re-run below, is decided anew in the next generation: its tasks and all below them then belong to the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from stoker.core.branch import indexes
from stoker.core.compiled import Compiled, text_of
from stoker.core.firing import recount
from stoker.core.model import JoinKey, JoinRow, JoinState, Spread, Task
from stoker.core.spread import standing
from stoker.core.states import LIVE, TaskState, Verb
from stoker.core.wave import Wave, is_loop

RETRIED = frozenset({TaskState.FAILED, TaskState.CANCELLED})

_replace = msgspec.structs.replace


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`retry`: tasks to make READY. `spreads`: such rows of tasks still to be made. `withheld`: SUCCEEDED tasks whose
    unlocking a cancel held back. `expand`: tasks that FAILED where a list was to be had; it is looked up again.

    `delete`: tasks of joins that open again. `past`: tasks that are replaced, those of `expand` among them;
    `past_spreads`, `past_rows`: with what stood for such tasks, or was anchored at one.
    `rows`: every other join row, counted anew; `changed`: those that are not what they were, or are to be decided.
    `fired`: joins that stay so. `rerun`: those that are decided anew, in this `generation`.
    `busy`: a task below such a join that is not settled, so that nothing can be done.
    """

    retry: list[Task]
    spreads: list[Spread]
    withheld: list[Task]
    expand: list[Task]
    delete: list[Task]
    past: list[Task]
    past_spreads: list[Spread]
    past_rows: list[JoinKey]
    rows: dict[JoinKey, JoinRow]
    changed: list[JoinKey]
    fired: list[JoinKey]
    rerun: list[str]
    generation: int
    busy: Task | None

    @property
    def empty(self) -> bool:
        return not self.again and not self.withheld and not any(_is_due(row) for row in self.rows.values())

    @property
    def again(self) -> int:
        """How many tasks are offered again."""
        return len(self.retry) + len(self.expand) + sum(row.tasks for row in self.spreads)


def retryable(graph: Compiled, tasks: Sequence[Task]) -> list[Task]:
    """What a retry of a whole run makes READY again."""
    return [
        task
        for task in tasks
        if task.state in RETRIED and may_stand(graph, task) and not spent(graph, task) and not is_loop(graph, task)
    ]


def may_stand(graph: Compiled, task: Task) -> bool:
    """Whether it can be offered or held, or its list looked up: nobody runs inline tasks; what FAILED as it was made
    would do so again."""
    node = graph.nodes[task.node]
    return (node.held or not node.inline) and (task.ended is not Verb.NONE or _lacks_its_step(graph, task))


def spent(graph: Compiled, task: Task) -> bool:
    """Whether it has had all the attempts that its kind allows."""
    most = graph.nodes[task.node].kind.max_attempts
    return most is not None and task.attempt >= most


def reopen(
    graph: Compiled,
    run: int,
    tasks: Sequence[Task],
    rows: Mapping[JoinKey, JoinRow],
    spreads: Sequence[Spread],
    chosen: Sequence[Task],
    *,
    rerun: bool = False,
) -> Plan:
    """The plan to retry these tasks of a run, and what a cancel of the run left behind: withheld tasks, spread rows."""
    withheld = [task for task in tasks if task.withheld]
    wave = Wave(graph, run, rows, rerun=rerun)
    for task in (*chosen, *withheld, *(next(standing(row)) for row in spreads if row.state is TaskState.CANCELLED)):
        wave.follow(task)
    chosen = [*chosen, *wave.loops(tasks)]
    replaced = [task for task in tasks if wave.replaces(task.node, task.branch)]
    past_spreads = [row for row in spreads if wave.replaces(row.node, row.branch)]
    past_rows = {key for key in rows if wave.replaces(graph.nodes[key.join].parent, key.branch)}
    old = {each.generation for each in replaced} | {rows[key].generation for key in wave.again | past_rows}
    generation = 1 + max(old, default=0)
    chosen = [task for task in chosen if not wave.replaces(task.node, task.branch)]
    withheld = [task for task in withheld if not wave.replaces(task.node, task.branch)]
    expand = [task for task in chosen if _lacks_its_step(graph, task)]
    delete = [task for task in tasks if task.state is TaskState.SKIPPED and _key(task) in wave.opened - past_rows]
    gone = {task.id for task in (*replaced, *delete)} | {row.id for row in past_spreads}
    again = {task.id for task in (*chosen, *withheld)}
    left = [_ready(task) if task.id in again else task for task in tasks if task.id not in gone]
    unmade = [task for row in spreads if row.id not in gone for task in standing(_ready(row))]
    counted = recount(graph, run, [*left, *unmade], wave.decided(generation, past_rows))
    for task in expand:  # counted as READY, but it is none: its list is still to come, and its members with that
        for join in graph.nodes[task.node].feeds:
            counted[wave.key(join, task.branch)].members -= 1
    return Plan(
        retry=[task for task in chosen if not _lacks_its_step(graph, task)],
        spreads=[row for row in spreads if row.state is TaskState.CANCELLED and row.id not in gone],
        withheld=withheld,
        expand=expand,
        delete=delete,
        past=[*replaced, *expand],
        past_spreads=past_spreads,
        past_rows=sorted(past_rows),
        rows=counted,
        changed=[key for key, row in counted.items() if row != rows[key] or _is_due(row)],
        fired=sorted(wave.fired),
        rerun=sorted(named(graph, key) for key in wave.again - past_rows),
        generation=generation,
        busy=_busy(replaced, past_spreads),
    )


def _key(task: Task) -> JoinKey:
    return JoinKey(task.run, task.node, task.branch)


Standing = TypeVar("Standing", Task, Spread)


def _ready(of: Standing) -> Standing:
    return _replace(of, state=TaskState.READY)


def _is_due(row: JoinRow) -> bool:
    """Whether it is to be decided; a cancel may have kept it from that."""
    return row.state == JoinState.OPEN and not row.open


def _busy(tasks: Sequence[Task], spreads: Sequence[Spread]) -> Task | None:
    """One that is not settled."""
    unmade = (next(standing(row)) for row in spreads)
    return next((task for task in (*tasks, *unmade) if task.state in LIVE), None)


def _lacks_its_step(graph: Compiled, task: Task) -> bool:
    """Whether it stands for tasks that were never made, since the list of their node could not be had."""
    node = graph.nodes[task.node]
    return node.spec.expand is not None and len(indexes(task.branch)) < node.depth


def named(graph: Compiled, key: JoinKey) -> str:
    """A join row as people read it: `total at page[3]`."""
    node = graph.nodes[key.join]
    if not key.branch:
        return node.name
    return f"{node.name} at {text_of(graph, node.parent, key.branch)}"
