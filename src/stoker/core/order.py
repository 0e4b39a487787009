"""The order of a graph's nodes, each after all that it waits for; and the rings of those that have none."""

from __future__ import annotations

from collections.abc import Sequence


def ordered(before: Sequence[Sequence[int]]) -> list[int]:
    """The nodes that wait for no ring, in order. `before`: what each comes straight after."""
    waits = [len(set(others)) for others in before]
    after: list[list[int]] = [[] for _ in before]
    for node, others in enumerate(before):
        for other in set(others):
            after[other].append(node)
    order = [node for node, count in enumerate(waits) if not count]
    for node in order:  # grows meanwhile
        for later in after[node]:
            waits[later] -= 1
            if not waits[later]:
                order.append(later)
    return order


def rings(before: Sequence[Sequence[int]], order: Sequence[int]) -> list[list[int]]:
    """Rings of the nodes that have no place in the order, none of which share a node, each along its ways."""
    placed = set(order)
    back = {
        node: next(one for one in before[node] if one not in placed)
        for node in range(len(before))
        if node not in placed
    }
    found, seen = [], set[int]()
    for start in back:
        walk: dict[int, None] = {}
        node = start
        while node not in seen:
            seen.add(node)
            walk[node] = None
            node = back[node]
        if node in walk:
            walked = list(walk)
            found.append(walked[walked.index(node) :][::-1])
    return found
