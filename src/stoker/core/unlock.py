"""What a settled task unlocks: it opens joins, makes the tasks after it, and leaves the joins it is a member of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stoker.core.branch import indexes, step
from stoker.core.compiled import Compiled, CompiledNode, Kid
from stoker.core.condition import Around, Untold
from stoker.core.duration import Micros
from stoker.core.graph import Each
from stoker.core.living import Living
from stoker.core.model import (
    CHILDREN,
    MAX_ITEMS,
    MAX_TASKS,
    SLICE,
    ItemKey,
    JoinKey,
    JoinRow,
    NewItem,
    Run,
    Spread,
    Task,
)
from stoker.core.picture import Body, Want
from stoker.core.protocol import ErrorInfo
from stoker.core.spread import Place, carried, packed
from stoker.core.states import TaskState, Verb
from stoker.core.values import BadPath, elements

_NOTHING = Around()
_replace = msgspec.structs.replace

Child = tuple[int, int, bytes | None]  # item number, element number, element


class Unlocking(Living):
    """A picture in which tasks are made and joins are counted."""

    __slots__ = ()

    @staticmethod
    def _wrong_items(node: CompiledNode, found: int) -> str | None:
        if node.kind.items == "one" and found != 1:
            return f"the kind {node.kind.name!r} settles with exactly one item, not {found}"
        return None

    @staticmethod
    def _family(kid: Kid, bodies: Sequence[Body]) -> list[Child]:
        """The children of one kid: (item number, element number, element)."""
        if kid.expand is None:
            return [(number, 0, body.json if kid.brings else None) for number, body in enumerate(bodies)]
        return [
            (number, index, element)
            for number, body in enumerate(bodies)
            for index, element in enumerate(elements(body.json, kid.expand))
        ]

    def _unlock(self, task: Task, node: CompiledNode, families: list[tuple[Kid, list[Child]]]) -> None:
        run = self.runs[task.run]
        graph = self.graphs[run.version]
        self._open_joins(run, graph, node.opens, task.branch, task.generation)
        for kid, family in families:
            self._fire(run, graph, kid, task.id, task.branch, family)
        for join in node.straight:
            self._row(run, graph, join, task.branch).arrived += 1
        self._leave(task)

    def _open_joins(self, run: Run, graph: Compiled, opens: Sequence[int], branch: bytes, generation: int = 0) -> None:
        """Open a row per join anchored here; an open join is a member of the joins after it."""
        for join in opens:
            key = JoinKey(run.id, join, branch)
            self.rows[key] = JoinRow(generation=generation)
            self._touch(key)
        for join in opens:
            self._enter(run, graph, graph.nodes[join].feeds, branch, 1)

    def _fire(
        self,
        run: Run,
        graph: Compiled,
        kid: Kid,
        parent: int | None,
        branch: bytes,
        family: list[Child],
    ) -> None:
        """Make the tasks of one kid. A node with its own expand waits for its list first."""
        node = graph.nodes[kid.node]
        if parent is not None and not family:
            for join in kid.toward:
                self._row(run, graph, join, branch).empty += 1
            return
        if node.spec.expand:
            for join in node.feeds:
                self._row(run, graph, join, branch).open += 1
            generation = 0 if parent is None else self.tasks[parent].generation
            self.wants.append(Want("expand", run.id, kid.node, branch, parent, generation))
            return
        if parent is None:
            self._create(run, graph, node, branch, [(b"", None)], None)
            return
        self._create(run, graph, node, branch, places_of_family(kid, family), parent, self.tasks[parent].generation)

    def _create(
        self,
        run: Run,
        graph: Compiled,
        node: CompiledNode,
        branch: bytes,
        places: list[Place],
        parent: int | None,
        generation: int = 0,
        *,
        members: bool = True,
    ) -> None:
        """READY tasks at these places below a branch: all of them count at once, the first SLICE are made at once."""
        if members and node.feeds:
            self._enter(run, graph, node.feeds, branch, len(places))
        run.open += len(places)
        run.tasks += len(places)
        self.changed_runs.add(run.id)
        if node.counted:
            self._counter(run.id, node.index)[0] += len(places)
        size = SLICE if node.spec.subgraph is None else min(SLICE, CHILDREN)
        for at in range(size, len(places), size):
            self._put_off(run, node, branch, places[at : at + size], parent, generation)
        expires_at = node.times.expires_at(self.now)
        self._make(run, node, branch, places[:size], parent, generation, self.now, expires_at)

    def _put_off(
        self, run: Run, node: CompiledNode, branch: bytes, places: list[Place], parent: int | None, generation: int
    ) -> None:
        row = Spread(
            id=self.next_id(),
            run=run.id,
            node=node.index,
            branch=branch,
            parent=parent,
            tasks=len(places),
            created_at=self.now,
            places=packed(places, whole=node.inline or node.when is not None),
            expires_at=node.times.expires_at(self.now),
            generation=generation,
        )
        self.spreads[row.id] = row

    def _make(
        self,
        run: Run,
        node: CompiledNode,
        branch: bytes,
        places: list[Place],
        parent: int | None,
        generation: int,
        created_at: Micros,
        expires_at: Micros | None,
    ) -> None:
        """The tasks at these places, which have been counted already; inline ones settle at once."""
        if node.when is not None:
            places = self._let_through(run, node, branch, places, parent, generation, created_at)
        deadline = node.times.of_offer(self.now, expires_at)
        priority = self._priority(run, node)
        made = [
            Task(
                id=self.next_id(),
                run=run.id,
                node=node.index,
                branch=branch + place,
                generation=generation,
                state=TaskState.READY,
                priority=priority,
                lane=node.lane,
                order_at=self._order(run, priority),
                parent=parent,
                element=carried(element),
                deadline=deadline,
                created_at=created_at,
                gate=node.gate,
                expires_at=expires_at,
            )
            for place, element in places
        ]
        for task in made:
            self.tasks[task.id] = task
        if not node.inline:
            self._offer(node.lane, len(made))
            if node.template is not None:
                self._ask_keys(made)
            return
        if node.held:
            for task in made:
                self._hold(task)
            return
        outermost = not self._inline
        self._inline.extend((task, element or b"null") for task, (_, element) in zip(made, places, strict=True))
        if outermost:
            self._settle_inline()

    def _let_through(
        self,
        run: Run,
        node: CompiledNode,
        branch: bytes,
        places: list[Place],
        parent: int | None,
        generation: int,
        created_at: Micros,
    ) -> list[Place]:
        """The places where the condition holds. At the others the task stands SKIPPED, or FAILED where it is untold."""
        assert node.when is not None
        assert isinstance(node.spec.fire, Each)
        assert node.spec.fire.way
        around = self.around[run.id] if node.when.around else _NOTHING
        way, held = node.spec.fire.way, []
        keeps = node.inline or way.expand is not None
        for place, item in places:
            wrong = node.beyond
            try:
                if not wrong and node.when.holds(item, _last_index(branch + place), around):
                    held.append((place, item if keeps else None))
                    continue
            except Untold as error:
                wrong = f"the condition {way.when!r} on the edge from {way.node!r} cannot be told: {error}"
            self._turn_away(run, node, branch + place, parent, generation, created_at, wrong)
        return held

    def _turn_away(
        self,
        run: Run,
        node: CompiledNode,
        branch: bytes,
        parent: int | None,
        generation: int,
        created_at: Micros,
        wrong: str,
    ) -> None:
        """A task that was counted as READY never becomes so. `wrong`: what failed it."""
        task = Task(
            id=self.next_id(),
            run=run.id,
            node=node.index,
            branch=branch,
            generation=generation,
            attempt=1,
            parent=parent,
            code="limit" if node.beyond else "condition",
            created_at=created_at,
        )
        task = self._settle(task, TaskState.FAILED if wrong else TaskState.SKIPPED, Verb.NONE)
        if wrong:
            self._remember(task, "failed", ErrorInfo(code=task.code, message=wrong))
        self._leave(task, failed=bool(wrong))

    def _ask_keys(self, tasks: Sequence[Task]) -> None:
        """Which gates these tasks stand under depends on their values."""
        self.wants.extend(Want("key", task.run, task.node, task.branch, task.id) for task in tasks)

    def keyed(self, task: Task, gate: int) -> None:
        """The gate of a task's value is known."""
        if task.id in self.loaded and task.gate != gate:
            self.regated[task.id] = gate
        self._note_template(task, gate)
        self.tasks[task.id] = _replace(task, gate=gate)

    def unkeyed(self, task: Task, message: str) -> None:
        """A task has no value that its limit could be by: it FAILS as it is made. In a stopping run it is swept."""
        if not self.runs[task.run].stopping:
            self._give_up(_replace(task, attempt=task.attempt + 1), message, "binding", Verb.NONE)

    def _hold(self, task: Task) -> None:
        """The engine leases a task itself: nobody claims it, nobody can lose it."""
        self._put(
            _replace(
                task,
                state=TaskState.LEASED,
                attempt=task.attempt + 1,
                claimed_at=self.now,
                deadline=task.expires_at,
                due_at=None,
                ended=Verb.NONE,
            )
        )
        if self.node_of(task).loop is not None and not task.attempt:
            self.wants.append(Want("loop", task.run, task.node, task.branch, task.id))
        if self.node_of(task).spec.subgraph is not None:
            self.wants.append(Want("again" if task.attempt else "child", task.run, task.node, task.branch, task.id))

    def _settle_inline(self) -> None:
        """Settle inline tasks and those that follow from them; a loop, since a chain of them may be long."""
        while self._inline:
            task, element = self._inline[0]
            self._succeed(_replace(task, attempt=1), Body(element))
            self._inline.popleft()

    def _succeed(self, task: Task, body: Body) -> None:
        """A task of the engine's own SUCCEEDS with an item, or FAILS where that does not fit what follows."""
        node, run = self.node_of(task), self.runs[task.run]
        families, (code, wrong) = self._followers(run, node, body)
        if wrong:
            self._give_up(task, wrong, code)
            return
        task = _replace(task, withheld=True) if run.stopping else task
        task = self._settle(task, TaskState.SUCCEEDED, Verb.COMPLETE)
        key = ItemKey(task.run, task.node, task.branch, 0)
        self.items.append(NewItem(key=key, body=body.json, blob=body.blob))
        if not run.stopping:
            self._unlock(task, node, families)

    def _followers(
        self, run: Run, node: CompiledNode, body: Body
    ) -> tuple[list[tuple[Kid, list[Child]]], tuple[str, str]]:
        """What an item would make, and (code, message) why it may not; empty texts if it may."""
        try:
            families = [(kid, self._family(kid, [body])) for kid in node.kids]
        except BadPath as error:
            return [], ("invalid_output", f"what follows {node.name!r} expands its element, but {error}")
        made = sum(len(family) for _, family in families)
        if made > MAX_ITEMS:
            return [], ("limit", f"it would make {made} tasks at once; the limit is {MAX_ITEMS}")
        if run.tasks + made > MAX_TASKS:
            return [], ("limit", f"the run would have more than {MAX_TASKS} tasks")
        return families, ("", "")

    def _give_up(self, task: Task, message: str, code: str, verb: Verb = Verb.FAIL) -> None:
        """A task of the engine's own FAILS for good."""
        self._remember(task, "failed", ErrorInfo(code=code, message=message))
        self._leave(self._settle(_replace(task, code=code), TaskState.FAILED, verb), failed=True)

    def _stillborn(
        self,
        run: Run,
        node: CompiledNode,
        branch: bytes,
        state: TaskState,
        code: str,
        parent: int | None = None,
        generation: int = 0,
    ) -> Task:
        task = Task(
            id=self.next_id(),
            run=run.id,
            node=node.index,
            branch=branch,
            generation=generation,
            state=state,
            attempt=1,
            parent=parent,
            code=code,
            created_at=self.now,
            settled_at=self.now,
        )
        self.tasks[task.id] = task
        run.tasks += 1
        self.changed_runs.add(run.id)
        if node.counted:
            self._counter(run.id, node.index)[0] += 1
        self._count(run, task, state, 1)
        return task

    def _leave(self, task: Task, *, failed: bool = False) -> None:
        """A settled task leaves the joins it is a member of; in a live run it passes on that it has settled."""
        run = self.runs[task.run]
        graph = self.graphs[run.version]
        node = graph.nodes[task.node]
        if node.live:
            self._passed(task, node)
        bad = failed and not node.spec.tolerated
        for join in node.feeds:
            row = self._row(run, graph, join, task.branch)
            row.open -= 1
            row.failed += bad


def places_of_family(kid: Kid, family: Sequence[Child]) -> list[Place]:
    """Where the children of one kid stand, below the branch of their parent."""
    places: list[Place] = []
    for number, index, element in family:
        place = b""
        if kid.many:
            place += step(number)
        if kid.expand is not None:
            place += step(index)
        places.append((place, element))
    return places


def _last_index(branch: bytes) -> int:
    """The number of the element or item that a branch goes through last."""
    return indexes(branch)[-1] if branch else 0
