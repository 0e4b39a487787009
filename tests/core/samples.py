"""Small graphs and the words to write them briefly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.memory import Memory
from stoker.core.compile import compile_graph
from stoker.core.compiled import Compiled
from stoker.core.graph import Each, Edge, GraphSpec, Join, KindSpec, NodeSpec, Path
from stoker.core.model import Task
from stoker.core.picture import Body
from stoker.core.protocol import ErrorInfo, Receipt
from stoker.core.values import encode
from stoker.errors import Invalid, Problem

KINDS = {"one": KindSpec(name="one"), "many": KindSpec(name="many", items="many")}


def node(name: str, fire: Each | Join | None = None, kind: str = "one", **options: Any) -> NodeSpec:
    return NodeSpec(name=name, kind=kind, fire=fire or Each(), **options)


def after(name: str, expand: Path | None = None) -> Each:
    return Each(way=Edge(node=name, expand=expand))


def join(*of: str, anchor: str | None = None, policy: Any = "all_success") -> Join:
    return Join(anchor=anchor, of=of, policy=policy)


def graph(*nodes: NodeSpec, **options: Any) -> GraphSpec:
    return GraphSpec(name="sample", nodes=nodes, **options)


def compiled(*nodes: NodeSpec, **options: Any) -> Compiled:
    return compile_graph(graph(*nodes, **options), KINDS)


def problems(spec: GraphSpec, kinds: dict[str, KindSpec] | None = None) -> tuple[Problem, ...]:
    """What is wrong with a graph; nothing if it compiles."""
    try:
        compile_graph(spec, kinds or KINDS)
    except Invalid as error:
        return error.problems if error.code == "invalid_graph" else ()
    return ()


class Desk:
    """One run, worked at by hand, one report a batch. Names are `node` or `node` and a number in branch order."""

    def __init__(self, *nodes: NodeSpec, **options: Any) -> None:
        self.memory = Memory(compiled(*nodes, **options))
        self.memory.trigger()

    def task(self, name: str, number: int = 0) -> Task:
        return self.memory.named(name)[number]

    def states(self, name: str) -> list[str]:
        return [task.state.name for task in self.memory.named(name)]

    def claim(self, name: str, number: int = 0, session: int = 1) -> Task:
        task = self.task(name, number)
        self.memory.batch([task.id], lambda fold: fold.claim(fold.tasks[task.id], session, 1))
        return self.task(name, number)

    def complete(
        self, name: str, number: int = 0, *, items: Sequence[object] | None = None, value: object = 1
    ) -> Receipt:
        """Claim and complete. `items` None: one item, `value`."""
        task = self.claim(name, number)
        bodies = [Body(encode(item)) for item in ([value] if items is None else items)]
        return self.report("complete", task, bodies)

    def fail(self, name: str, number: int = 0, *, retryable: bool = True) -> Receipt:
        task = self.claim(name, number)
        return self.report("fail", task, ErrorInfo(message="no"), retryable=retryable)

    def prune(self, name: str, number: int = 0) -> Receipt:
        return self.report("prune", self.claim(name, number), "")

    def report(self, verb: str, held: Task, *args: Any, **options: Any) -> Receipt:
        """Report on a task as its holder knew it when claiming it."""
        receipts: list[Receipt] = []
        self.memory.batch(
            [held.id],
            lambda fold: receipts.append(getattr(fold, verb)(held.id, held.attempt, held.session, *args, **options)),
        )
        return receipts[0]

    def tick(self, verb: str, name: str, number: int = 0) -> Task:
        """What the engine does to a task by itself: lose, expire, due, sweep, refuse."""
        task = self.task(name, number)
        self.memory.batch([task.id], lambda fold: getattr(fold, verb)(fold.tasks[task.id]))
        return self.task(name, number)

    def stop(self) -> None:
        task = next(iter(self.memory.tasks))
        self.memory.batch([task], lambda fold: fold.stop(fold.runs[1]))

    @property
    def run_state(self) -> str:
        return self.memory.runs[1].state.name
