"""The last passes over a graph, on a sound spine: its joins, then its bindings and schemas."""

from __future__ import annotations

from collections.abc import Iterable

from stoker.core import loops
from stoker.core.compiled import Step, binding_refs
from stoker.core.graph import Binding, Each, Edge, Element, Join, ListOf, ObjectOf, OnChange, Ref, Splice, Text
from stoker.core.schemas import mismatch
from stoker.core.spine import Spine


class EdgeChecks(Spine):
    """A graph whose nodes are in order."""

    # --- joins ---

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

    # --- bindings and schemas ---

    def check_bindings(self) -> None:
        for index, node in enumerate(self.spec.nodes):
            place = f"node {node.name!r}"
            for name, binding in node.bind.items():
                self._check_splices(f"{place}, input {name!r}", binding)
                for leaf in binding_refs(binding):
                    self._check_reach(f"{place}, input {name!r}", index, leaf, own=True)
                if wrong := mismatch(self.spec, self.kinds, self.names, node, name):
                    self.problem("schema_mismatch", f"{place}, input {name!r}", wrong)
            for leaf in binding_refs(node.expand.over) if node.expand else ():
                self._check_reach(f"{place}, expand", index, leaf, own=False)
        if self.spec.result:
            self._check_splices("result", self.spec.result)
        for leaf in binding_refs(self.spec.result) if self.spec.result else ():
            self._check_result(leaf)

    def _check_splices(self, place: str, binding: Binding) -> None:
        """What several paths lead to is a list."""
        match binding:
            case ListOf(items=inner) | Text(parts=inner):
                for each in inner:
                    self._check_splices(place, each)
            case ObjectOf(fields=fields):
                for each in fields.values():
                    self._check_splices(place, each)
            case Splice(of=refs):
                for name in sorted({self.paths.origins.get(ref.node, ref.node) for ref in refs if not ref.many}):
                    message = f"{name!r} can have several items here; refer to them with many=true."
                    self.problem("bad_ref", place, message)

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
