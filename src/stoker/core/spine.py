"""The second pass over a graph: the order of its nodes, and its spine: which node's task stands right above which."""

from __future__ import annotations

from stoker.core import loops
from stoker.core.check_nodes import NodeChecks
from stoker.core.compiled import TRIGGER, Step
from stoker.core.graph import (
    Each,
    Edge,
    Iteration,
    Join,
    NodeSpec,
)
from stoker.core.order import ordered, rings


class Spine(NodeChecks):
    """A graph whose nodes are sound each alone."""

    def find_spine(self) -> None:
        before = [[self.names[name] for name in self._edges_in(node)] for node in self.spec.nodes]
        self.order = ordered(before)
        if len(self.order) < len(before):
            self._check_rings(before)
            return
        self.parent = [self._parent(node) for node in self.spec.nodes]
        self._number_spine()
        self.inside = loops.insides(self.spec, self.names, self.order, self.parent)
        self.ends = {self.names[last]: self.names[loop] for last, loop in loops.ends(self.spec).items()}
        for index in self.order:
            self.steps[index] = self._steps_of(index)

    def _check_rings(self, before: list[list[int]]) -> None:
        """Say which nodes wait for each other, and which can never be reached behind them."""
        found = rings(before, self.order)
        for ring in found:
            names = " → ".join(self.spec.nodes[index].name for index in [*ring, ring[0]])
            self.problem("cycle", "graph", f"the nodes {names} wait for each other.", "A graph has no cycles.")
        lost = {*range(len(before))}.difference(self.order, *found)
        for index in sorted(lost):
            place = f"node {self.spec.nodes[index].name!r}"
            self.problem("unreachable", place, "it comes after nodes that wait for each other, so it can never run.")

    def _parent(self, node: NodeSpec) -> int:
        match node.fire:
            case Each(way=Edge(node=name)):
                return self.names[name]
            case Iteration(of=name):
                return self.names[name]
            case Join(anchor=str() as anchor):
                return self.names[anchor]
        return TRIGGER

    def _number_spine(self) -> None:
        """Euler numbers of the spine tree, so that `above` is one comparison."""
        below: dict[int, list[int]] = {}
        for index, parent in enumerate(self.parent):
            below.setdefault(parent, []).append(index)
        self.enter, self.leave = [0] * len(self.parent), [0] * len(self.parent)
        clock, stack = 0, [(index, False) for index in below.get(TRIGGER, ())]
        while stack:
            index, done = stack.pop()
            clock += 1
            if done:
                self.leave[index] = clock
                continue
            self.enter[index] = clock
            stack.append((index, True))
            stack.extend((kid, False) for kid in below.get(index, ()))

    def above(self, upper: int, lower: int) -> bool:
        """Whether `upper` (a node or the trigger) lies strictly above `lower` on its branch."""
        if upper == TRIGGER:
            return True
        return self.enter[upper] < self.enter[lower] and self.leave[lower] < self.leave[upper]

    def _steps_of(self, index: int) -> tuple[Step, ...]:
        node, parent = self.spec.nodes[index], self.parent[index]
        steps = self.steps[parent]
        if isinstance(node.fire, Each) and node.fire.way:
            if self.many(parent):
                steps += (Step(parent, "item"),)
            if node.fire.way.expand is not None:
                steps += (Step(parent, "element", node.fire.way.expand),)
        if isinstance(node.fire, Iteration):
            steps += (Step(parent, "loop"),)
        if node.expand:
            steps += (Step(index, "own"),)
        return steps
