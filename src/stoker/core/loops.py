"""Loops as they are compiled: a held node, an inline one that starts an iteration, an inline join that ends it.

What lies between the two is the body. Its tasks stand at a step `loop#k`, so that no iteration meets another; they are
members of no join outside, for which the loop's own task stands until it settles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from stoker.core.condition import Around, BadCondition, Condition, parse
from stoker.core.graph import ITEM_KIND, LOOP_KIND, GraphSpec, Iteration, Join, Loop, NodeSpec
from stoker.errors import Problem

MOST = 100_000  # iterations
NEXT = "state"  # the input of the last node of an iteration that is the next state
_NOTHING = Around()


class CompiledLoop(msgspec.Struct, frozen=True, kw_only=True):
    """`start`: the node that stands for the state of an iteration."""

    start: int
    condition: Condition
    until: bool
    most: int

    def goes_on(self, state: bytes, iteration: int) -> bool:
        """Whether another iteration follows this one, which ended with a state. Untold if that cannot be said."""
        return self.condition.holds(state, iteration, _NOTHING) is not self.until and iteration < self.most


def compiled(node: NodeSpec, spec: GraphSpec, names: Mapping[str, int]) -> CompiledLoop | None:
    """The loop that a node of a sound graph is."""
    if node.loop is None:
        return None
    return CompiledLoop(
        start=names[_starts(spec)[node.name][0].name],
        condition=parse(node.loop.until or node.loop.while_ or ""),
        until=node.loop.until is not None,
        most=node.loop.max_iterations,
    )


def ends(spec: GraphSpec) -> dict[str, str]:
    """By the node that ends an iteration, its loop."""
    return {node.loop.next: node.name for node in spec.nodes if node.loop is not None}


def _starts(spec: GraphSpec) -> dict[str, list[NodeSpec]]:
    found: dict[str, list[NodeSpec]] = {}
    for node in spec.nodes:
        if isinstance(node.fire, Iteration):
            found.setdefault(node.fire.of, []).append(node)
    return found


def problems(spec: GraphSpec) -> Iterator[Problem]:
    """Loops that lack a part, or have one that is none."""
    by_name = {node.name: node for node in spec.nodes}
    starts = _starts(spec)
    for node in spec.nodes:
        if (node.loop is None) == (node.kind == LOOP_KIND):
            yield _problem(node, f"a node has `loop` if it is of the kind {LOOP_KIND!r}, and only then.")
        if isinstance(node.fire, Iteration):
            loop = by_name.get(node.fire.of)
            if loop is not None and loop.loop is None:
                yield _problem(node, f"it is an iteration of {node.fire.of!r}, which is not a loop.")
            if node.kind != ITEM_KIND or node.expand is not None:
                yield _problem(node, f"what starts an iteration has the kind {ITEM_KIND!r} and no expand.")
        if node.loop is not None:
            yield from _of_loop(node, node.loop, starts.get(node.name, []), by_name)
    if len(ends(spec)) < sum(node.loop is not None for node in spec.nodes):
        yield Problem(code="bad_loop", place="graph", message="two loops name one node as their `next`.")


def _of_loop(
    node: NodeSpec, loop: Loop, starts: Sequence[NodeSpec], by_name: Mapping[str, NodeSpec]
) -> Iterator[Problem]:
    if len(starts) != 1:
        yield _problem(node, f"one node fires for each iteration of a loop; of this one {len(starts)} do.")
    last = by_name.get(loop.next)
    anchor = starts[0].name if starts else None
    if last is None or not isinstance(last.fire, Join) or (last.fire.anchor, last.fire.policy) != (anchor, "all_done"):
        yield _problem(node, f"{loop.next!r} is no join with the policy all_done, anchored where an iteration starts.")
    elif last.kind != ITEM_KIND or last.expand is not None or set(last.bind) != {NEXT}:
        yield _problem(node, f"{loop.next!r} has the kind {ITEM_KIND!r}, no expand, and one input, {NEXT!r}.")
    if not 1 <= loop.max_iterations <= MOST:
        yield _problem(node, f"max_iterations lies between 1 and {MOST}, not {loop.max_iterations}.")
    if (loop.until is None) == (loop.while_ is None):
        yield _problem(node, "a loop says until when it goes on, or while what: one of the two.")
        return
    source = loop.until or loop.while_ or ""
    try:
        if parse(source).around:
            yield _problem(
                node, f"the condition {source!r} reads more than `item` (the state) and `index` (the iteration)."
            )
    except BadCondition as error:
        yield _problem(node, f"the condition {source[:200]!r} cannot be used: {error}.")


def insides(spec: GraphSpec, names: Mapping[str, int], order: Sequence[int], parent: Sequence[int]) -> list[int | None]:
    """By node, the innermost loop whose body it is in."""
    found: list[int | None] = [None] * len(spec.nodes)
    for index in order:
        fire = spec.nodes[index].fire
        if isinstance(fire, Iteration):
            found[index] = names[fire.of]
        elif parent[index] >= 0:
            found[index] = found[parent[index]]
    return found


def seen(inside: Sequence[int | None], source: int, reader: int | None) -> bool:
    """Whether a node may read another one's items: not those of a body it is not in, nor of a loop that it is in."""
    around = [] if reader is None else list(_around(inside, reader))
    return (inside[source] is None or inside[source] in around) and source not in around


def _around(inside: Sequence[int | None], node: int) -> Iterator[int]:
    loop = inside[node]
    while loop is not None:
        yield loop
        loop = inside[loop]


def _problem(node: NodeSpec, message: str) -> Problem:
    return Problem(code="bad_loop", place=f"node {node.name!r}", message=message)
