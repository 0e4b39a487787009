"""Turns a `GraphSpec` into a `Compiled` graph, or says everything that is wrong with it, each problem with its place.

Three passes: what can be said of each node alone; the order and the spine (which node's task stands right above
which); then, on a sound spine, joins, bindings and schemas. A pass that found problems ends the compilation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stoker.core import compile_live, edges, gate, key, loops, own
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, Kid, Step, binding_refs
from stoker.core.condition import Condition, parse
from stoker.core.doubts import doubts
from stoker.core.graph import (
    INPUT_KIND,
    Binding,
    Each,
    Edge,
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
from stoker.core.options import faults, options
from stoker.core.order import ordered, rings
from stoker.core.schemas import mismatch
from stoker.core.words import counted
from stoker.errors import Invalid, Problem

MAX_NODES = 5_000


def compile_graph(
    spec: GraphSpec,
    kinds: Mapping[str, KindSpec],
    lanes: Mapping[str, int] | None = None,
    gates: Mapping[str, int] | None = None,
) -> Compiled:
    """The compiled graph. Raises Invalid with all problems at once.

    `lanes`: the queue of each node, by its name; `gates`: the limit of each that has one.
    """
    compiler = _Compiler(
        compile_live.with_inputs(spec) if spec.mode == "live" else spec, kinds, lanes or {}, gates or {}
    )
    for check in (compiler.check_nodes, compiler.find_spine, compiler.check_joins, compiler.check_bindings):
        check()
        if compiler.problems:
            raise Invalid(
                f"the graph {spec.name!r} has {counted(len(compiler.problems), 'problem')}",
                code="invalid_graph",
                problems=compiler.problems,
            )
    return compiler.build()


class _Compiler:
    def __init__(
        self, spec: GraphSpec, kinds: Mapping[str, KindSpec], lanes: Mapping[str, int], gates: Mapping[str, int]
    ) -> None:
        self.given = spec
        self.spec = edges.lowered(spec)
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

    # --- pass 1: each node alone ---

    def check_nodes(self) -> None:
        spec = self.spec
        if wrong := fault(spec.name):
            self.problem("bad_name", "graph", wrong)
        if not spec.nodes:
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
        self.problems += loops.problems(self.spec)
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
                f"no kind {node.kind!r} is registered.",
                "Push it with the graph, or start a runner that has it.",
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
            case Each(way=None):
                return []
            case Each(way=Edge(node=name)):
                return [name]
            case Iteration(of=loop):
                return [loop]
            case Join(anchor=anchor, of=of):
                return ([anchor] if anchor is not None else []) + list(of)
            case OnChange(of=of):
                return list(of)
        raise AssertionError(node.fire)

    # --- pass 2: order and spine ---

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

    def many(self, index: int) -> bool:
        kind = None if index == TRIGGER else self.kinds.get(self.spec.nodes[index].name)
        return kind is not None and kind.items == "many"

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

    # --- pass 3: joins ---

    def joins(self) -> Iterable[tuple[int, Join]]:
        for index, node in enumerate(self.spec.nodes):
            if isinstance(node.fire, Join):
                yield index, node.fire

    def check_joins(self) -> None:
        for index, join in self.joins():
            place = f"node {self.spec.nodes[index].name!r}"
            anchor = self.parent[index]
            if not join.of:
                self.problem("bad_join", place, "a join needs at least one node with an edge into it.")
            for name in join.of:
                parent = self.names[name]
                if self.inside[parent] != self.inside[index]:
                    message = f"{name!r} is in the body of a loop, out of which no edge leads."
                    self.problem("bad_loop", place, message, "Lead an edge from the loop.")
                elif parent != anchor and not self.above(anchor, parent):
                    self.problem(
                        "bad_anchor",
                        place,
                        f"its anchor {join.anchor!r} does not lie above {name!r}, which leads into it.",
                        "The anchor of a join lies on every way to it.",
                    )
        if not self.problems:
            self._find_feeds()

    def _find_feeds(self) -> None:
        """Members, backwards from the last node: the first joins in sight whose anchor lies strictly above."""
        after = self._edges_out()
        for index in reversed(self.order):
            found: set[int] = set()
            seen: set[int] = set()
            stack = list(after[index])
            while stack:
                node = stack.pop()
                if node in seen:
                    continue
                seen.add(node)
                if isinstance(self.spec.nodes[node].fire, Join) and self.above(self.parent[node], index):
                    found.add(node)
                else:
                    stack.extend(self.feeds[node])
            self.feeds[index] = frozenset(found)
            self.touches[index] = 0
            for join in found:
                self.touches[index] |= self.touches[join] | 1 << join

    def _edges_out(self) -> list[list[int]]:
        after: list[list[int]] = [[] for _ in self.spec.nodes]
        for index, node in enumerate(self.spec.nodes):
            match node.fire:
                case Each(way=Edge(node=name)):
                    after[self.names[name]].append(index)
                case Join(of=of) | OnChange(of=of):
                    for name in set(of):
                        after[self.names[name]].append(index)
                case _:
                    pass
        return after

    # --- pass 4: bindings and schemas ---

    def check_bindings(self) -> None:
        for index, node in enumerate(self.spec.nodes):
            place = f"node {node.name!r}"
            for name, binding in node.bind.items():
                for leaf in binding_refs(binding):
                    self._check_reach(f"{place}, input {name!r}", index, leaf, own=True)
                if wrong := mismatch(self.spec, self.kinds, self.names, node, name):
                    self.problem("schema_mismatch", f"{place}, input {name!r}", wrong)
            for leaf in binding_refs(node.expand.over) if node.expand else ():
                self._check_reach(f"{place}, expand", index, leaf, own=False)
        for leaf in binding_refs(self.spec.result) if self.spec.result else ():
            self._check_result(leaf)

    def _check_reach(self, place: str, index: int, leaf: Binding, *, own: bool) -> None:
        match leaf:
            case Ref() if self.spec.mode == "live":  # checked with its node
                pass
            case Ref(node=name) if not self._sees(place, index, self.names[name]):
                pass
            case Ref(node=name, many=True):
                self._check_gather(place, index, self.names[name])
            case Ref(node=name):
                self._check_one(place, index, self.names[name])
            case Element(of=name):
                steps = self.steps[index] if own else self.steps[self.parent[index]]
                if not any(step.producer == self.names[name] and step.role in ("element", "own") for step in steps):
                    self.problem("bad_element", place, f"no expansion of {name!r} lies above it.")
            case _:
                pass

    def _sees(self, place: str, index: int | None, source: int) -> bool:
        if loops.seen(self.inside, source, index):
            return True
        self.problem(
            "bad_loop",
            place,
            f"{self.spec.nodes[source].name!r} cannot be read here: a loop gives its last state, at its end.",
            "Put what is needed into the state.",
        )
        return False

    def _check_gather(self, place: str, index: int, source: int) -> None:
        name, is_join = self.spec.nodes[source].name, isinstance(self.spec.nodes[index].fire, Join)
        if not is_join or not (source == self.parent[index] or self.above(self.parent[index], source)):
            self.problem("bad_ref", place, f"only a join whose anchor lies above {name!r} can gather its items.")
        elif source != self.parent[index] and not self.touches[source] >> index & 1:
            self._not_awaited(place, name)

    def _not_awaited(self, place: str, name: str) -> None:
        self.problem("bad_ref", place, f"nothing leads from {name!r} into this join.", "Add an edge, so that it waits.")

    def _check_one(self, place: str, index: int, source: int) -> None:
        name, steps = self.spec.nodes[source].name, self.steps[index]
        if self.above(source, index):
            depth = len(self.steps[source])
            if self.many(source) and not (depth < len(steps) and steps[depth] == Step(source, "item")):
                self.problem("bad_ref", place, f"{name!r} has many items; refer to them with many=true.")
            return
        anchor = self.parent[index]
        is_member = isinstance(self.spec.nodes[index].fire, Join) and self.above(anchor, source)
        if not is_member:
            self.problem("bad_ref", place, f"{name!r} does not lie above it, nor between its anchor and itself.")
        elif not self.touches[source] >> index & 1:
            self._not_awaited(place, name)
        elif self.steps[source] != self.steps[anchor] or self.many(source):
            self.problem("bad_ref", place, f"{name!r} can have several items here; refer to them with many=true.")

    def _check_result(self, leaf: Binding) -> None:
        match leaf:
            case Ref(node=name) if not self._sees("result", None, self.names[name]):
                pass
            case Ref(node=name, many=False):
                source = self.names[name]
                if self.steps[source] or self.many(source):
                    self.problem("bad_ref", "result", f"{name!r} can have several items; refer to them with many=true.")
            case Element():
                self.problem("bad_element", "result", "a result has no element.")
            case _:
                pass

    # --- the compiled graph ---

    def build(self) -> Compiled:
        after = self._edges_out()
        opens: dict[int, list[int]] = {}
        for index, _ in self.joins():
            opens.setdefault(self.parent[index], []).append(index)
        touched = {bits: _ones(bits) for bits in set(self.touches.values())}
        nodes = tuple(
            self._node(index, after[index], touched[self.touches[index]], opens.get(index, []))
            for index in range(len(self.parent))
        )
        return Compiled(
            spec=self.spec,
            nodes=nodes,
            names=self.names,
            kids=tuple(
                Kid(index, None, False, self._toward(index))
                for index, node in enumerate(self.spec.nodes)
                if not self._edges_in(node) and node.kind != INPUT_KIND
            ),
            opens=tuple(opens.get(TRIGGER, ())),
            row_depth={index: len(self.steps[self.parent[index]]) for index, _ in self.joins()},
            live=self.spec.mode == "live",
            warnings=doubts(nodes),
            asks=any(node.when is not None and node.when.around for node in nodes),
        )

    def _toward(self, kid: int) -> tuple[int, ...]:
        return tuple(sorted(self.feeds[kid]))

    def _node(self, index: int, after: list[int], touches: tuple[int, ...], opens: list[int]) -> CompiledNode:
        spec = self.spec.nodes[index]
        given = options(spec, self.spec.defaults)
        join = spec.fire if isinstance(spec.fire, Join) else None
        live = self.spec.mode == "live"
        kids, straight = [], []
        for node in after:
            fire = self.spec.nodes[node].fire
            if isinstance(fire, OnChange):
                kids.append(Kid(node, None, False, ()))
            elif isinstance(fire, Each) and fire.way:
                brings = fire.way.when is not None
                kids.append(Kid(node, fire.way.expand, self.many(index), self._toward(node), brings))
            else:
                straight.append(node)
        return CompiledNode(
            index=index,
            spec=spec,
            kind=self.kinds[spec.name],
            inline=spec.kind in own.OWN,
            held=spec.kind in own.HELD,
            loop=loops.compiled(spec, self.spec, self.names),
            ends=self.ends.get(index),
            parent=self.parent[index],
            is_join=join is not None,
            steps=self.steps[index],
            kids=tuple(kids),
            straight=tuple(straight),
            opens=tuple(opens),
            feeds=tuple(sorted(self.feeds[index])),
            touches=touches,
            of=tuple(self.names[name] for name in dict.fromkeys(spec.fire.of))
            if isinstance(spec.fire, Join | OnChange)
            else (),
            all_done=join is not None and join.policy == "all_done",
            must_have=()
            if index in self.ends
            else self._must_have(index)
            if not live
            else compile_live.must_have(spec, self.names),
            plain=self._plain(index, join),
            retry=given.retry,
            times=given.times,
            max_losses=given.max_losses,
            losses_are_failures=given.losses_are_failures,
            live=live,
            counted=live or bool(self.steps[index]),
            lane=self.lanes.get(spec.name, 0),
            **_under(spec, self.gates),
            when=self._when(spec),
        )

    @staticmethod
    def _when(node: NodeSpec) -> Condition | None:
        """The condition on the way in; those on other edges have been lowered to such ones."""
        return next((parse(when) for _, when in edges.conditions(node)), None)

    def _must_have(self, index: int) -> tuple[int, ...]:
        """Members of a join whose single item it is bound to and cannot do without."""
        node = self.spec.nodes[index]
        bindings = [*node.bind.values(), *([node.expand.over] if node.expand else [])]
        leaves = [leaf for binding in bindings for leaf in binding_refs(binding)]
        return tuple(
            sorted(
                {
                    self.names[leaf.node]
                    for leaf in leaves
                    if isinstance(leaf, Ref) and not leaf.many and leaf.spared is msgspec.UNSET
                    if not self.above(self.names[leaf.node], index)
                }
            )
        )

    def _plain(self, index: int, join: Join | None) -> bool:
        if join is None:
            return False
        steps, straight = self.steps[self.parent[index]], [self.names[name] for name in join.of]
        return all(self.steps[name] == steps and not self.many(name) for name in straight) and all(
            any(source == name or self.above(source, name) for name in straight) for source in self._must_have(index)
        )


def _ones(bits: int) -> tuple[int, ...]:
    """Which bits are set, from the lowest."""
    return tuple(at for at, bit in enumerate(reversed(f"{bits:b}")) if bit == "1")


def _under(node: NodeSpec, gates: Mapping[str, int]) -> dict[str, int | None]:
    """The limit of a node, as a compiled one has it."""
    by_value = node.limit is not None and bool(node.limit.by)
    return {"template" if by_value else "gate": gates.get(node.name)}


def with_lanes(graph: Compiled, lanes: Mapping[str, int], gates: Mapping[str, int] | None = None) -> Compiled:
    """The same graph, each node in its queue and under its limit."""
    limits = gates or {}
    nodes = tuple(
        msgspec.structs.replace(node, lane=lanes.get(node.name, 0), **_under(node.spec, limits)) for node in graph.nodes
    )
    return msgspec.structs.replace(graph, nodes=nodes)
