"""What a graph says, read off its spec by walking it. It shares nothing with the compiler, so it can contradict it."""

from __future__ import annotations

from stoker.core.graph import Each, Edge, GraphSpec, Iteration, Join, NodeSpec

TOP = ""  # the trigger, among names


def way_in(node: NodeSpec) -> str:
    """The node right above: the way in, or a join's anchor."""
    match node.fire:
        case Each(way=Edge(node=name)):
            return name
        case Iteration(of=name):
            return name
        case Join(anchor=str() as name):
            return name
    return TOP


class Shape:
    """`line`: all that lies strictly above a node. `reach`: every join it leads to. `feeds`: its memberships."""

    def __init__(self, spec: GraphSpec) -> None:
        self.spec = {node.name: node for node in spec.nodes}
        self.after: dict[str, set[str]] = {name: set() for name in self.spec}
        for node in spec.nodes:
            for name in self._straight(node):
                self.after[name].add(node.name)
        self.line = {name: self._line(name) for name in self.spec}
        self.joins = {node.name for node in spec.nodes if isinstance(node.fire, Join)}
        self.reach = {name: self._walk(name, frozenset()) & self.joins for name in self.spec}
        self.feeds = {name: self._feeds(name) for name in self.spec}

    @staticmethod
    def _straight(node: NodeSpec) -> set[str]:
        match node.fire:
            case Each(way=Edge(node=name)):
                return {name}
            case Join(of=of):
                return set(of)
        return set()

    def _line(self, name: str) -> frozenset[str]:
        found = {TOP}
        while name := way_in(self.spec[name]):
            found.add(name)
        return frozenset(found)

    def anchor(self, join: str) -> str:
        return way_in(self.spec[join])

    def _walk(self, start: str, walls: frozenset[str]) -> set[str]:
        """Everything that `start` leads to without passing a wall; walls that are met count as found."""
        found: set[str] = set()
        waiting = list(self.after[start])
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            if name not in walls:
                waiting.extend(self.after[name])
        return found

    def _feeds(self, name: str) -> frozenset[str]:
        above = frozenset(join for join in self.joins if self.anchor(join) in self.line[name])
        return frozenset(self._walk(name, above) & above)
