"""The evidence of one run, with what several rules need of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from stoker.core.compiled import CompiledNode, text_of
from stoker.core.graph import ITEM_KIND
from stoker.core.model import ItemKey, Task
from stoker.core.spread import standing
from stoker.selftest.evidence import Evidence
from stoker.selftest.plain import PLAIN, PLAINS


class Look:
    def __init__(self, evidence: Evidence) -> None:
        self.of = evidence
        self.run = evidence.run
        self.graph = evidence.graph
        self.stopped = evidence.run.cancel_at is not None

    @cached_property
    def tasks(self) -> list[Task]:
        """Those too that spread rows stand for."""
        return self.of.tasks + [task for row in self.of.spreads for task in standing(row)]

    @cached_property
    def items(self) -> dict[tuple[int, bytes], list[ItemKey]]:
        """The items of each task's place, in order."""
        found: dict[tuple[int, bytes], list[ItemKey]] = defaultdict(list)
        for key in sorted(self.of.bodies):
            found[key.node, key.branch].append(key)
        return found

    @cached_property
    def made(self) -> Counter[tuple[int, int | None]]:
        """How many tasks of a node have a task as their parent."""
        return Counter((task.node, task.parent) for task in self.tasks)

    def node(self, task: Task) -> CompiledNode:
        return self.graph.nodes[task.node]

    def tells(self, task: Task) -> bool:
        """Whether its items tell whose they are, and what they were given."""
        return self.node(task).spec.kind not in (ITEM_KIND, PLAIN, PLAINS)

    def name(self, task: Task) -> str:
        place = text_of(self.graph, task.node, task.branch)
        return f"task {task.id} ({self.node(task).name}{' at ' + place if place else ''}, {task.state.name})"

    def document(self, key: ItemKey) -> Any:
        """What an item says; None if its bytes are gone or are no JSON."""
        body = self.of.bodies[key]
        try:
            return None if body is None else msgspec.json.decode(body)
        except msgspec.DecodeError:
            return None


Rule = Callable[[Look], Iterator[str]]
