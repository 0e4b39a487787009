"""What a manual retry reaches: the joins that retried tasks lead to, and what lies below those."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

import msgspec

from stoker.core.branch import cut
from stoker.core.compiled import TRIGGER, Compiled
from stoker.core.model import JoinKey, JoinRow, JoinState, Task
from stoker.core.states import TaskState

_ENDED = frozenset({TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED})
_replace = msgspec.structs.replace


class Wave:
    """The joins that some tasks lead to: those that open again, that stay fired, that are run again."""

    def __init__(self, graph: Compiled, run: int, rows: Mapping[JoinKey, JoinRow], *, rerun: bool) -> None:
        self.opened: set[JoinKey] = set()
        self.fired: set[JoinKey] = set()
        self.again: set[JoinKey] = set()
        self._seen: set[JoinKey] = set()
        self._graph = graph
        self._run = run
        self._rows = rows
        self._rerun = rerun
        self._over = [list(_joins_over(graph, node.index)) for node in graph.nodes]

    def key(self, join: int, branch: bytes) -> JoinKey:
        return JoinKey(self._run, join, cut(branch, self._graph.row_depth[join]))

    def follow(self, task: Task) -> None:
        """Find every join above a task that opens again, from one to the next, up to those that stay as they are."""
        found = [(task.node, task.branch)]
        while found:
            node, branch = found.pop()
            keys = [self.key(join, branch) for join in self._graph.nodes[node].feeds]
            found += [(key.join, key.branch) for key in keys if key not in self._seen and self._opens(key)]

    def _opens(self, key: JoinKey) -> bool:
        """Put a join where it belongs; whether those behind it are to be looked at."""
        self._seen.add(key)
        state = self._rows[key].state
        if state == JoinState.SKIPPED:
            self.opened.add(key)
        elif state == JoinState.FIRED and self._rerun and self._graph.nodes[key.join].ends is None:
            self.again.add(key)
        elif state == JoinState.FIRED:
            self.fired.add(key)
        return key not in self.fired

    def loops(self, tasks: Sequence[Task]) -> list[Task]:
        """The loops that go on, each followed as a task that is retried; one may keep another going."""
        ended = [task for task in tasks if is_loop(self._graph, task) and task.state in _ENDED]
        ends = self._ends()
        going: dict[int, Task] = {}
        while found := [task for task in ended if task.id not in going and self._goes_on(task, ends)]:
            going.update({task.id: task for task in found})
            for task in found:
                self.follow(task)
        return list(going.values())

    def _ends(self) -> Mapping[tuple[int, bytes], Sequence[JoinKey]]:
        """By the place of a loop's task, the joins that end its iterations."""
        found: dict[tuple[int, bytes], list[JoinKey]] = defaultdict(list)
        for key in self._rows:
            loop = self._graph.nodes[key.join].ends
            if loop is not None:
                found[loop, cut(key.branch, self._graph.nodes[loop].depth)].append(key)
        return found

    def _goes_on(self, task: Task, ends: Mapping[tuple[int, bytes], Sequence[JoinKey]]) -> bool:
        """Whether a loop that has ended goes on: one of its iterations does, or ended while the run was stopping."""
        rows = ((key, self._rows[key]) for key in ends.get((task.node, task.branch), ()))
        return any(
            row.state != JoinState.FIRED
            and (key in self._seen or (row.state == JoinState.OPEN and task.cancel_at is None))
            for key, row in rows
        )

    def replaces(self, node: int, branch: bytes) -> bool:
        """Whether what stands there was made by a join that is decided anew, or lies below it."""
        return bool(self.again) and node != TRIGGER and any(self.key(j, branch) in self.again for j in self._over[node])

    def decided(self, generation: int, gone: Container[JoinKey]) -> dict[JoinKey, JoinRow]:
        """The rows that stay, open where they open again."""
        found = {key: row for key, row in self._rows.items() if key not in gone}
        found |= {key: _replace(found[key], state=JoinState.OPEN) for key in self.opened if key in found}
        again = {"state": JoinState.OPEN, "generation": generation}
        return found | {key: _replace(found[key], **again) for key in self.again if key in found}


def _joins_over(graph: Compiled, node: int) -> Iterator[int]:
    """The joins at and above a node on its branch."""
    while node != TRIGGER:
        if graph.nodes[node].is_join:
            yield node
        node = graph.nodes[node].parent


def is_loop(graph: Compiled, task: Task) -> bool:
    """Whether it is the task of a loop: it is not retried by itself, but goes on with what is retried in it."""
    return graph.nodes[task.node].loop is not None
