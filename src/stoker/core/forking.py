"""Makes a run out of the plan of a fork: tasks are taken over with new ids, and what starts is unlocked once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from stoker.core.compiled import Compiled, Kid
from stoker.core.condition import Around
from stoker.core.ends import Ending
from stoker.core.firing import is_bad
from stoker.core.model import MAX_ITEMS, MAX_TASKS, JoinKey, JoinState, Run, Task
from stoker.core.picture import Body
from stoker.core.spread import Place
from stoker.core.unlock import Child, places_of_family
from stoker.core.values import BadPath
from stoker.errors import Invalid

if TYPE_CHECKING:
    from stoker.core.fork import Forking, Way

_replace = msgspec.structs.replace
Family = tuple["Way", Kid, list[Child]]


class Forks(Ending):
    """A picture in which a run begins in its middle."""

    __slots__ = ()

    def fork(
        self,
        run: Run,
        graph: Compiled,
        plan: Forking,
        bodies: Callable[[Task], Sequence[Body]],
        inputs: bytes,
        store: bytes,
        *,
        reread: bool,
    ) -> dict[int, int]:
        """Begin a run as a copy of another one; gives the new ids of the tasks by the old ones.

        `bodies`: what a task gave, as the copy has it. `reread`: elements are read anew, since what they were read from
        may have changed. Invalid, before anything was changed: what starts cannot be made of that.
        """
        families = [_family(self, graph, way, bodies) for way in plan.ways]
        _check(graph, plan, families)
        self.show_run(run, graph)
        if graph.asks:
            self.show_around(run.id, Around(inputs, store))
        self.new_runs.add(run.id)
        self.changed_runs.add(run.id)
        self.new_inputs.update({run.id: inputs} if inputs else {})
        self.new_stores.update({run.id: store} if store else {})
        ids = {task.id: self.next_id() for task in plan.kept}
        for task in plan.kept:
            self._take_over(run, graph, task, ids)
        for key, row in plan.rows.items():
            copy = JoinKey(run.id, key.join, key.branch)
            self.rows[copy] = row
            self.changed_rows.add(copy)
            if row.state == JoinState.OPEN:
                self._touch(copy)
        for family in families:
            self._go(run, graph, family, ids, reread=reread)
        return ids

    def _take_over(self, run: Run, graph: Compiled, task: Task, ids: Mapping[int, int]) -> None:
        node = graph.nodes[task.node]
        copy = _replace(
            task,
            id=ids[task.id],
            run=run.id,
            lane=node.lane,  # where it is offered when it is retried: one that was imported has none
            gate=node.gate if node.template is None else task.gate,
            withheld=False,
            parent=None if task.parent is None else ids.get(task.parent),
        )
        self.tasks[copy.id] = copy
        run.tasks += 1
        run.failed += is_bad(task, tolerated=node.spec.tolerated)
        if node.counted:
            self._counter(run.id, task.node)[0] += 1
        self._count(run, copy, task.state, 1)

    def _go(self, run: Run, graph: Compiled, family: Family, ids: Mapping[int, int], *, reread: bool) -> None:
        way, kid, children = family
        parent = None if way.parent is None else ids[way.parent.id]
        branch = b"" if way.parent is None else way.parent.branch
        if way.at is None:
            self._fire(run, graph, kid, parent, branch, children)
            return
        node = graph.nodes[way.node]
        place: Place = (b"", None if reread else way.at.element)
        if node.spec.expand is None and way.parent is not None:
            place = next(each for each in places_of_family(kid, children) if branch + each[0] == way.at.branch)
            place = (b"", place[1])
        self._create(run, graph, node, way.at.branch, [place], parent, way.at.generation)


def _family(fold: Forks, graph: Compiled, way: Way, bodies: Callable[[Task], Sequence[Body]]) -> Family:
    if graph.nodes[way.node].is_join:
        return way, Kid(way.node, None, many=False, toward=()), []
    kids = graph.kids if way.parent is None else graph.nodes[way.parent.node].kids
    kid = next(kid for kid in kids if kid.node == way.node)
    if way.parent is None:
        return way, kid, []
    try:
        return way, kid, fold._family(kid, bodies(way.parent))
    except BadPath as error:
        raise Invalid(
            f"{graph.nodes[way.node].name!r} expands an item of {graph.nodes[way.parent.node].name!r}, but {error}.",
            code="bad_edit",
            place="edits",
        ) from None


def _check(graph: Compiled, plan: Forking, families: Sequence[Family]) -> None:
    for way, kid, children in families:
        if len(children) > MAX_ITEMS:
            raise Invalid(f"it would make {len(children)} tasks at once; the limit is {MAX_ITEMS}.", code="limit")
        if way.at is None or way.parent is None or graph.nodes[way.node].spec.expand is not None:
            continue
        if all(way.parent.branch + place != way.at.branch for place, _ in places_of_family(kid, children)):
            raise Invalid(
                f"what {graph.nodes[way.node].name!r} is made of has no such element any more.",
                code="bad_edit",
                place="edits",
                remedy="Fork from the whole node.",
            )
    if len(plan.kept) + sum(len(children) for _, _, children in families) > MAX_TASKS:
        raise Invalid(f"the run would have more than {MAX_TASKS} tasks.", code="limit")
