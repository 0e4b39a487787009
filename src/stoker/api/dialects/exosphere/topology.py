"""The shape of a graph template: what leads where, what lies above what, over how many paths.

Sets of nodes are bits of a number: a graph may have thousands of nodes, each with thousands above it.
"""

from __future__ import annotations

from collections.abc import Sequence

from stoker.api.dialects.exosphere.wire import Node
from stoker.core.order import ordered


class Topology:
    """Nodes by their place in the template; identifiers are unique, and what they lead to is there."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.places = {node.identifier: place for place, node in enumerate(nodes)}
        self.before: list[list[int]] = [[] for _ in nodes]
        for place, node in enumerate(nodes):
            for following in node.next_nodes:
                self.before[self.places[following]].append(place)
        self.anchors = [self.places.get(node.unites.identifier) if node.unites else None for node in nodes]

    def roots(self) -> list[int]:
        """The nodes that nothing leads to and that wait for none."""
        return [place for place, node in enumerate(self.nodes) if not self.before[place] and node.unites is None]

    def reached(self, root: int) -> set[int]:
        seen, stack = {root}, [root]
        while stack:
            for name in self.nodes[stack.pop()].next_nodes:
                following = self.places[name]
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        return seen

    def order(self) -> list[int]:
        """Each node after all that lead to it; without those in cycles, and behind."""
        return ordered(self.before)


class Sight:
    """What each node of a graph without cycles has above it.

    `above`: on every way to it: a task of it stands below one of theirs. `read`: those of which it may read one item;
    behind a join, not its anchor. `ahead`: on some way. `paths`: over how many ways it is reached, each of which makes
    tasks of it.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        size = len(topology.nodes)
        self.above, self.read, self.ahead, self.paths = [0] * size, [0] * size, [0] * size, [1] * size
        for place in topology.order():
            self._look(place)

    def _look(self, place: int) -> None:
        before, anchor = self.topology.before[place], self.topology.anchors[place]
        for parent in before:
            self.ahead[place] |= self.ahead[parent] | 1 << parent
        if anchor is not None:
            self.above[place], self.read[place] = self.above[anchor] | 1 << anchor, self.read[anchor]
            self.paths[place] = self.paths[anchor]
        elif before:
            for upper in (self.above, self.read):
                upper[place] = upper[before[0]] | 1 << before[0]
                for parent in before[1:]:
                    upper[place] &= upper[parent] | 1 << parent
            self.paths[place] = sum(self.paths[parent] for parent in before)

    def is_read_once(self, upper: int, lower: int) -> bool:
        return bool(self.read[lower] >> upper & 1)

    def is_above(self, upper: int, lower: int) -> bool:
        return bool(self.above[lower] >> upper & 1)

    def between(self, anchor: int, join: int) -> int:
        """The nodes below the anchor that lead to the join, as bits."""
        found, left = 0, self.ahead[join]
        for place in range(len(self.topology.nodes)):
            if left >> place & 1 and self.is_above(anchor, place):
                found |= 1 << place
        return found

    def readable(self, place: int) -> int:
        """The nodes whose outputs a node may be bound to, as bits."""
        anchor = self.topology.anchors[place]
        if anchor is None:
            return self.read[place]
        return self.read[place] | 1 << anchor | self.between(anchor, place)
