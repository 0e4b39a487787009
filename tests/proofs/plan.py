"""A graph as the oracle sees it: what each node promises, looked up by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from core import graphs
from stoker.core.compile import compile_graph
from stoker.core.compiled import Compiled
from stoker.core.duration import SECOND, Micros
from stoker.core.graph import ITEM_KIND, Each, GraphSpec, Limit, NodeSpec

GATED, MOST = "two", 2  # the limit that some nodes are under, and how many tasks it lets run at once
OUTPUT = {"type": ["object", "array"]}
KINDS = tuple(msgspec.structs.replace(kind, output=OUTPUT) for kind in graphs.KINDS.values())


class Plan:
    """One version of a graph."""

    def __init__(self, spec: GraphSpec) -> None:
        self.spec = spec
        self.compiled: Compiled = compile_graph(spec, {kind.name: kind for kind in KINDS})
        self.nodes = {node.name: node.spec for node in self.compiled.nodes}  # those of conditions too

    def name(self, index: int) -> str:
        return self.compiled.nodes[index].name

    def kind(self, node: str) -> str:
        return self.nodes[node].kind

    def inline(self, node: str) -> bool:
        return self.compiled.place(node).inline

    def limited(self, node: str) -> bool:
        return self.nodes[node].limit is not None

    def tolerated(self, node: str) -> bool:
        return self.nodes[node].tolerated

    def _said(self, node: str, option: str) -> Any:
        """What the node says, or else its graph for all nodes."""
        own = getattr(self.nodes[node], option)
        return getattr(self.spec.defaults, option) if own is None else own

    def max_losses(self, node: str) -> int:
        return 3 if (said := self._said(node, "max_losses")) is None else int(said)

    def losses_are_failures(self, node: str) -> bool:
        return bool(self._said(node, "losses_are_failures"))

    def max_attempts(self, node: str) -> int | None:
        return next((kind.max_attempts for kind in KINDS if kind.name == self.kind(node)), None)

    def time(self, node: str, option: str) -> Micros | None:
        """What `timeout`, `queue_timeout` or `task_timeout` allows."""
        said = self._said(node, option)
        return None if said is None else int(said.removesuffix("s")) * SECOND

    @property
    def stops(self) -> bool:
        """Whether a run stops at its first failure."""
        return self.spec.on_failure == "stop"

    def pause(self, node: str, failures: int) -> Micros | None:
        """How long after so many failures the next attempt may begin; None: there is none."""
        retry = self._said(node, "retry")
        if retry is None or failures >= retry.attempts:
            return None
        return 2 ** (failures - 1) * SECOND if retry.base == "1s" else 0

    def fits(self, node: str, items: Sequence[bytes]) -> bool:
        """Whether a node may settle with these items: their number, their schema, what edges expand of them."""
        values = [json.loads(item) for item in items]
        if self.kind(node) == "one" and len(values) != 1:
            return False
        return all(isinstance(value, dict | list) and self._expands(node, value) for value in values)

    def _expands(self, node: str, value: Any) -> bool:
        for path in self.expansions(node):
            found = value
            for step in path:
                found = found.get(step) if isinstance(found, dict) else None
            if not isinstance(found, list):
                return False
        return True

    def expansions(self, node: str) -> list[tuple[str | int, ...]]:
        """What the edges out of a node expand of its items."""
        ways = [each.fire.way for each in self.spec.nodes if isinstance(each.fire, Each) and each.fire.way is not None]
        return [way.expand for way in ways if way.node == node and way.expand is not None]


def drawn(seed: int) -> Plan:
    """A random graph, some nodes of which stand under one limit."""
    dice = Random(seed)
    spec = graphs.random_graph(dice)
    return Plan(msgspec.structs.replace(spec, nodes=tuple(_limited(node, dice) for node in spec.nodes)))


def _limited(node: NodeSpec, dice: Random) -> NodeSpec:
    if node.kind == ITEM_KIND or dice.random() > 0.15:
        return node
    return msgspec.structs.replace(node, limit=Limit(key=GATED, most=MOST))
