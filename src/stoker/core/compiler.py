"""The compiler of a graph: it is asked to check, pass by pass, and then to build."""

from __future__ import annotations

import msgspec

from stoker.core import compile_live, edges, loops, own
from stoker.core.check_edges import EdgeChecks
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, Kid, binding_refs
from stoker.core.condition import Condition, parse
from stoker.core.doubts import doubts
from stoker.core.graph import INPUT_KIND, Each, Join, NodeSpec, OnChange, Ref
from stoker.core.laned import under
from stoker.core.options import options


class Compiler(EdgeChecks):
    """A graph in which nothing is wrong, once its checks have found no problem."""

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
            warnings=doubts(nodes, self.paths.paths),
            asks=any(node.when is not None and node.when.around for node in nodes),
        )

    def _toward(self, kid: int) -> tuple[int, ...]:
        return tuple(sorted(self.feeds[kid]))

    def _node(self, index: int, after: list[int], touches: tuple[int, ...], opens: list[int]) -> CompiledNode:
        spec = self.spec.nodes[index]
        given = options(spec, self.spec.defaults, self.kinds[spec.name])
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
            lane=self.lanes.get(self.paths.origins.get(spec.name, spec.name), 0),
            **under(spec, self.paths.origins.get(spec.name, spec.name), self.gates),
            when=self._when(spec),
            copy_of=self._copy_of(spec.name),
            beyond=self.paths.beyond.get(spec.name, ""),
        )

    def _copy_of(self, name: str) -> str | None:
        origin = self.paths.origins.get(name, name)
        return origin if origin != name else None

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
