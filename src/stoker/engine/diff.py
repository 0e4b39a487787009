"""Where two runs part: both are read side by side, node by node in the order of the graph, and branch by branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from stoker.core.compiled import Compiled
from stoker.core.manifest import Entry, Head
from stoker.core.manifest_views import DiffAnswer, Parting, Side, Why
from stoker.core.model import Task
from stoker.core.states import TaskState
from stoker.core.topology import reads, sequence
from stoker.engine.manifest import Ended, Manifests

Pair = tuple[Task | None, Task | None]
_BAD = (TaskState.FAILED.name, TaskState.CANCELLED.name)


class Differing:
    """Compares runs that have ended, by what is in their values: the same files are the same, whatever their ids."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests

    async def diff(self, namespace: str, left: int, right: int) -> DiffAnswer:
        """The first difference that none before it explains, and how many there are."""
        both = await self._manifests.ended(namespace, left), await self._manifests.ended(namespace, right)
        heads = await self._manifests.head(both[0]), await self._manifests.head(both[1])
        inputs = _unlike(heads)
        parted: Counter[str] = Counter()
        at: set[str] = set()  # nodes where some task parts
        first: Parting | None = None
        tasks = 0
        for name in _names(both):
            behind, made = bool(at & _before(both, name)), all(_made(of.graph, name) for of in both)
            async for pair in self._pairs(both, name):
                tasks += 1
                parting = await self._parting(both, heads, pair, behind=behind or (made and not inputs))
                if parting is None:
                    continue
                parted[parting.why] += 1
                at.add(name)
                if first is None or (first.why == "parents" and parting.why != "parents"):
                    first = parting
        graphs = (heads[0].graph, heads[0].graph_hash) == (heads[1].graph, heads[1].graph_hash)
        return DiffAnswer(
            left=left,
            right=right,
            same=first is None and graphs and not inputs,
            graphs=graphs,
            inputs=inputs,
            tasks=tasks,
            parted=dict(parted),
            first=first,
        )

    async def _pairs(self, both: tuple[Ended, Ended], name: str) -> AsyncIterator[Pair]:
        """The tasks of a node in both, side by side in branch order; None where there is none."""
        left, right = (self._of_node(of, name) for of in both)
        one, other = await anext(left, None), await anext(right, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.branch < other.branch):
                yield one, None
                one = await anext(left, None)
            elif one is None or other.branch < one.branch:
                yield None, other
                other = await anext(right, None)
            else:
                yield one, other
                one, other = await anext(left, None), await anext(right, None)

    async def _of_node(self, of: Ended, name: str) -> AsyncIterator[Task]:
        if name in of.graph.names:
            async for task in self._manifests.tasks(of.run.id, of.graph.names[name]):
                yield task

    async def _parting(
        self, both: tuple[Ended, Ended], heads: tuple[Head, Head], pair: Pair, *, behind: bool
    ) -> Parting | None:
        one, other = [
            None if task is None else await self._manifests.entry(of, task) for of, task in zip(both, pair, strict=True)
        ]
        some = one or other
        assert some is not None
        if one is not None and other is not None and _end(one) == _end(other):
            return None
        why = _why(heads, one, other, behind=behind)
        return Parting(node=some.node, branch=some.branch, why=why, left=_side(one), right=_side(other))


def _why(heads: tuple[Head, Head], one: Entry | None, other: Entry | None, *, behind: bool) -> Why:
    if one is None or other is None:
        return "parents" if behind else "inputs"
    if _source(heads[0], one.kind) != _source(heads[1], other.kind):
        return "code"
    if _given(one) != _given(other):
        return "parents" if behind else "inputs"
    if (one.state in _BAD) != (other.state in _BAD):
        return "failure"
    return "parents" if behind and not (one.input or other.input) else "nondeterminism"


def _end(entry: Entry) -> tuple[str, list[str]]:
    return entry.state, [item.content for item in entry.items]


def _given(entry: Entry) -> str:
    return "" if entry.input is None else entry.input.content


def _source(head: Head, kind: str) -> str:
    return next((each.source_hash for each in head.kinds if each.name == kind), "")


def _side(entry: Entry | None) -> Side | None:
    if entry is None:
        return None
    last = next((each for each in reversed(entry.attempts) if each.attempt == entry.attempt), None)
    return Side(
        task=entry.task,
        state=entry.state,
        attempt=entry.attempt,
        code=entry.code or (last.code if last else ""),
        message=last.message if last else "",
        input=_given(entry),
        items=[item.content for item in entry.items],
    )


def _unlike(heads: tuple[Head, Head]) -> list[str]:
    """The inputs, and keys of the store, that differ."""
    one, other = (
        {
            f"{what}{each.name}": each.value.content
            for what, all_ in (("", of.inputs), ("store.", of.store))
            for each in all_
        }
        for of in heads
    )
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _names(both: tuple[Ended, Ended]) -> list[str]:
    """The nodes of both graphs, in the order of the first."""
    left, right = ([_name(of.graph, node) for node in sequence(of.graph)] for of in both)
    return left + [name for name in right if name not in both[0].graph.names]


def _name(graph: Compiled, node: int) -> str:
    return graph.nodes[node].name


def _before(both: tuple[Ended, Ended], name: str) -> set[str]:
    """The nodes that a node comes right after, in either."""
    return {
        _name(of.graph, node)
        for of in both
        if name in of.graph.names
        for node in _right_before(of.graph, of.graph.names[name])
    }


def _made(graph: Compiled, name: str) -> bool:
    """Whether a node's tasks follow from what is before them alone: no code runs, and nobody is asked."""
    return name not in graph.names or (graph.place(name).inline and not graph.place(name).held)


def _right_before(graph: Compiled, node: int) -> set[int]:
    found = reads(graph, node)
    return found | {each.index for each in graph.nodes if each.ends == node}
