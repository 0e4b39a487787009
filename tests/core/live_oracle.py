"""What a live run must do, in the words of its rules and in a few lines: whole values, no bookkeeping, no numbers.

It is told what happens, in order, and says what every node should be like. It knows nothing of how that is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Inputs = dict[str, int]  # by parent: the value that is read of it


@dataclass
class Open:
    """The task of a node that is offered or being run. `old`: what an attempt that was lost had read, and was dirty."""

    inputs: Inputs
    leased: bool = False
    dirty: bool = False
    old: tuple[Inputs, bool] | None = None


@dataclass
class Node:
    parents: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    is_input: bool = False
    settled: bool = False
    current: int | None = None
    firings: int = 0
    outputs: int = 0
    open: Open | None = None
    said: list[int] = field(default_factory=list)
    read: Inputs | None = None  # by the attempt that ended last


class LiveOracle:
    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        for node in nodes.values():
            if not node.parents and not node.is_input:
                self._fire(node)

    # --- what happens ---

    def publish(self, name: str, value: int) -> None:
        self.nodes[name].outputs += 1
        self._settles(name, value)

    def announce(self, name: str) -> None:
        self._settles(name, None)

    def fire(self, name: str) -> None:
        node = self.nodes[name]
        if node.open is None:
            self._fire(node)
        else:
            self._stale(node, node.open)

    def claim(self, name: str) -> Inputs:
        open_ = self._open(name)
        open_.leased, open_.dirty, open_.old = True, False, None
        self.nodes[name].said = []
        return open_.inputs

    def say(self, name: str, value: int) -> None:
        self.nodes[name].said.append(value)
        self.nodes[name].outputs += 1

    def complete(self, name: str, value: int | None) -> None:
        """With a value, with what was said before, or with neither."""
        node = self.nodes[name]
        node.outputs += value is not None
        given = [*node.said, *([] if value is None else [value])]
        self._ends(name, given[-1] if given else None)

    def fail(self, name: str) -> None:
        """For good."""
        self._ends(name, None)

    def again(self, name: str) -> None:
        """A retry, a requeue, a release: offered again, with what is current now."""
        node = self.nodes[name]
        node.open = Open(self._currents(node))

    def lose(self, name: str) -> None:
        open_ = self._open(name)
        self.again(name)
        self._open(name).old = (open_.inputs, open_.dirty)

    def revive(self, name: str) -> None:
        open_ = self._open(name)
        assert open_.old is not None
        inputs, dirty = open_.old
        self.nodes[name].open = Open(inputs, leased=True, dirty=dirty)

    # --- what follows ---

    def may_fire(self, name: str) -> bool:
        node = self.nodes[name]
        parents = [self.nodes[parent] for parent in node.parents]
        there = self._currents(node)
        return all(parent.settled for parent in parents) and bool(there) and node.needs <= there.keys()

    def currents(self, name: str) -> Inputs:
        return self._currents(self.nodes[name])

    def _ends(self, name: str, value: int | None) -> None:
        node, open_ = self.nodes[name], self._open(name)
        node.open, node.read = None, open_.inputs
        self._settles(name, value)
        if open_.dirty:
            self._fire(node)

    def _settles(self, name: str, value: int | None) -> None:
        node = self.nodes[name]
        first, node.settled = not node.settled, True
        if value is not None:
            node.current = value
        if first or value is not None:
            for child, below in self.nodes.items():
                if name in below.parents:
                    self._changed(child)

    def _changed(self, name: str) -> None:
        node = self.nodes[name]
        if node.open is not None:
            self._stale(node, node.open)
        elif self.may_fire(name):
            self._fire(node)

    def _stale(self, node: Node, open_: Open) -> None:
        if open_.leased:
            open_.dirty = True
            return
        open_.inputs = self._currents(node)
        if open_.old is not None:
            open_.old = (open_.old[0], True)

    def _fire(self, node: Node) -> None:
        node.firings += 1
        node.open = Open(self._currents(node))

    def _currents(self, node: Node) -> Inputs:
        found = {parent: self.nodes[parent].current for parent in node.parents}
        return {parent: value for parent, value in found.items() if value is not None}

    def _open(self, name: str) -> Open:
        open_ = self.nodes[name].open
        assert open_ is not None
        return open_
