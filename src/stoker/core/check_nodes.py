"""The first pass over a graph: what can be said of each node alone."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core import compile_live, edges, gate, key, loops, own, paths
from stoker.core.compiled import TRIGGER, Step, binding_refs
from stoker.core.graph import (
    Binding,
    Each,
    Element,
    GraphSpec,
    Iteration,
    Join,
    KindSpec,
    Limit,
    NodeSpec,
    OnChange,
    Ref,
    RunInput,
    Store,
)
from stoker.core.names import fault
from stoker.core.options import faults
from stoker.errors import Problem

MAX_NODES = 5_000


class NodeChecks:
    """What a compilation knows, and its problems so far."""

    def __init__(
        self, spec: GraphSpec, kinds: Mapping[str, KindSpec], lanes: Mapping[str, int], gates: Mapping[str, int]
    ) -> None:
        self.given = spec
        self.paths = paths.unfolded(spec)
        self.spec = edges.lowered(self.paths.spec)
        self.known = kinds
        found = {node.name: own.kind_of(node, kinds) for node in self.spec.nodes}
        self.kinds = {name: kind for name, kind in found.items() if kind is not None}  # by the name of the node
        self.lanes = lanes
        self.gates = gates
        self.limits: dict[str, NodeSpec] = {}
        self.problems: list[Problem] = []
        self.names: dict[str, int] = {}
        self.order: list[int] = []
        self.parent: list[int] = []
        self.inside: list[int | None] = []  # by node: the innermost loop whose body it is in
        self.ends: dict[int, int] = {}  # by node that ends an iteration: its loop
        self.enter: list[int] = []
        self.leave: list[int] = []
        self.steps: dict[int, tuple[Step, ...]] = {TRIGGER: ()}
        self.feeds: dict[int, frozenset[int]] = {}
        self.touches: dict[int, int] = {}  # as bits: in a layered graph each node reaches most others, on many ways

    def problem(self, code: str, place: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code=code, place=place, message=message, remedy=remedy))

    def check_nodes(self) -> None:
        spec = self.spec
        if wrong := fault(spec.name):
            self.problem("bad_name", "graph", wrong)
        if not spec.nodes and not spec.faults:
            self.problem("empty_graph", "graph", "a graph needs at least one node.")
        if (found := len(self.given.nodes)) > MAX_NODES:
            self.problem("limit", "graph", f"a graph has at most {MAX_NODES} nodes; this one has {found}.")
            return
        for index, node in enumerate(spec.nodes):
            if wrong := fault(node.name):
                self.problem("bad_name", f"nodes[{index}]", wrong)
            if node.name in self.names:
                self.problem("duplicate_node", f"nodes[{index}]", f"the name {node.name!r} is taken by another node.")
            self.names.setdefault(node.name, index)
        for where, names in (("inputs", spec.inputs), ("store", spec.store)):
            self.problems += [
                Problem(code="bad_name", place=where, message=wrong) for wrong in map(fault, names) if wrong
            ]
        for node in self.given.nodes:
            self.problems.extend(edges.problems(node, self.spec.inputs))
        for node in spec.nodes:
            self._check_node(node)
        self.problems += [*paths.problems(self.given), *loops.problems(self.spec)]
        for leaf in binding_refs(spec.result) if spec.result else ():
            self._check_leaf("result", leaf)
        self.problems += compile_live.problems(spec, self.kinds)
        for wrong in faults(spec.defaults):
            self.problem("bad_option", "defaults", wrong)

    def _check_node(self, node: NodeSpec) -> None:
        place = f"node {node.name!r}"
        if node.expand and isinstance(node.fire, Each) and node.fire.way:
            way = node.fire.way
            if way.expand is not None or (way.node in self.names and self.many(self.names[way.node])):
                self.problem("bad_expand", place, "a node with its own expand has a plain way in, of one item.")
        self.problems += own.wrongs(node)
        kind = own.kind_of(node, self.known)
        if kind is None:
            self.problem(
                "unknown_kind",
                place,
                f"no kind {node.kind!r} is registered{_where(node)}.",
                "Push it with the graph, or start a runner that has it."
                if node.namespace is None
                else "Push it there first.",
            )
        if not 0 <= node.priority <= 9:
            self.problem("bad_option", place, f"a priority lies between 0 and 9, not {node.priority}.")
        for wrong in faults(node):
            self.problem("bad_option", place, wrong)
        if node.limit is not None:
            self._check_limit(node, node.limit)
        for name in self._edges_in(node):
            if name not in self.names:
                self.problem("unknown_node", place, f"it comes after {name!r}, which is not a node of this graph.")
        bindings: list[tuple[str, Binding]] = list(node.bind.items())
        if node.expand:
            bindings.append(("expand", node.expand.over))
        for name, binding in bindings:
            if bad := fault(name):
                self.problem("bad_name", f"{place}, bind", bad)
            for leaf in binding_refs(binding):
                self._check_leaf(f"{place}, input {name!r}" if name != "expand" else f"{place}, expand", leaf)
        if kind is not None:
            self._check_inputs(node, kind)

    def _check_limit(self, node: NodeSpec, limit: Limit) -> None:
        place = f"node {node.name!r}, limit"
        if wrong := fault(limit.key):
            self.problem("bad_name", place, wrong)
        if limit.most is None and limit.rate is None:
            self.problem(
                "bad_option", place, "a limit says how many run at once (most), how many start (rate), or both."
            )
        if limit.most is not None and not 1 <= limit.most <= gate.MOST:
            self.problem("bad_option", place, f"most lies between 1 and {gate.MOST}, not {limit.most}.")
        if limit.rate is not None:
            try:
                gate.rate(limit.rate)
            except ValueError as error:
                self.problem("bad_option", place, f"{error}.")
        self.problems += [
            Problem(code="bad_option", place=place, message=wrong, remedy=remedy)
            for wrong, remedy in key.wrongs(node, live=self.spec.mode == "live")
        ]
        first = self.limits.setdefault(key.gate_name(limit), node)
        assert first.limit is not None
        if (first.limit.most, first.limit.rate) != (limit.most, limit.rate):
            self.problem(
                "bad_option",
                place,
                f"the node {first.name!r} gives the limit {limit.key!r} other numbers.",
                "All nodes with one key share one limit; give them the same, or another key.",
            )

    def _check_inputs(self, node: NodeSpec, kind: KindSpec) -> None:
        """Names that the kind does not take, and required ones that are not bound."""
        place = f"node {node.name!r}"
        known = kind.input.get("properties", {})
        if kind.input.get("additionalProperties") is False:
            for name in sorted(node.bind.keys() - known.keys()):
                self.problem("unknown_input", place, f"the kind {node.kind!r} has no input {name!r}.")
        for name in kind.input.get("required", ()):
            if name not in node.bind:
                self.problem("missing_input", place, f"the input {name!r} of kind {node.kind!r} is not bound.")

    def _check_leaf(self, place: str, leaf: Binding) -> None:
        match leaf:
            case Ref(node=name) | Element(of=name) if name not in self.names:
                self.problem("unknown_node", place, f"it refers to {name!r}, which is not a node of this graph.")
            case RunInput(name=name) if name not in self.spec.inputs:
                self.problem("unknown_input", place, f"the graph has no input {name!r}.")
            case Store(name=name) if name not in self.spec.store:
                self.problem(
                    "unknown_input",
                    place,
                    f"the graph declares no key {name!r} of its store.",
                    "Declare it in `store`.",
                )
            case _:
                pass

    @staticmethod
    def _edges_in(node: NodeSpec) -> list[str]:
        match node.fire:
            case Each():
                return [way.node for way in paths.ways(node)]
            case Iteration(of=loop):
                return [loop]
            case Join(anchor=anchor, of=of):
                return ([anchor] if anchor is not None else []) + list(of)
            case OnChange(of=of):
                return list(of)
        raise AssertionError(node.fire)

    def many(self, index: int) -> bool:
        kind = None if index == TRIGGER else self.kinds.get(self.spec.nodes[index].name)
        return kind is not None and kind.items == "many"


def _where(node: NodeSpec) -> str:
    return "" if node.namespace is None else f" in the namespace {node.namespace!r}"
