"""A graph template in the engine's words: nodes, ways, joins, and what their inputs are bound to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from stoker.api.dialects.exosphere import policies
from stoker.api.dialects.exosphere.checks import Kinds, Registered, is_text
from stoker.api.dialects.exosphere.placeholders import Key, Output, Part, parts
from stoker.api.dialects.exosphere.topology import Sight, Topology
from stoker.api.dialects.exosphere.wire import Node, Upsert
from stoker.core.graph import (
    Binding,
    Defaults,
    Each,
    Edge,
    GraphSpec,
    InputSpec,
    Join,
    NodeSpec,
    Ref,
    RunInput,
    Store,
    Text,
    Value,
)
from stoker.core.values import BadPath, parsed

_POLICIES: Mapping[str, Any] = {"ALL_SUCCESS": "all_success", "ALL_DONE": "all_done"}


def graph(name: str, namespace: str, upsert: Upsert, kinds: Kinds, max_losses: int) -> GraphSpec:
    """The graph of a template in which nothing is wrong. `max_losses`: of nodes, none of which says it itself."""
    return _Translation(namespace, upsert, kinds).graph(name, max_losses)


def accepted(upsert: Upsert, kinds: Kinds) -> set[str]:
    """The inputs that a trigger may give: those of the root's template and of its kind."""
    (root,) = Topology(upsert.nodes).roots()
    node = upsert.nodes[root]
    kind = kinds[node.namespace, node.node_name]
    return {*(_kept(node, kind)), *kind.fields}


class _Translation:
    def __init__(self, namespace: str, upsert: Upsert, kinds: Kinds) -> None:
        self.namespace = namespace
        self.upsert = upsert
        self.kinds = kinds
        self.topology = Topology(upsert.nodes)
        self.sight = Sight(self.topology)

    def graph(self, name: str, max_losses: int) -> GraphSpec:
        upsert, store = self.upsert, self.upsert.store_config
        keys = dict.fromkeys([*store.required_keys, *store.default_values])
        text = {"type": "string"}
        return GraphSpec(
            name=name,
            nodes=tuple(self._node(place, node) for place, node in enumerate(upsert.nodes)),
            inputs={each: InputSpec(required=False) for each in sorted(accepted(upsert, self.kinds))},
            store={
                key: InputSpec(schema=text, required=key in store.required, default=store.default_values.get(key))
                for key in keys
            },
            defaults=Defaults(
                retry=policies.retry(upsert.retry_policy),
                timeout=upsert.timeout or None,
                lease=upsert.lease or None,
                max_losses=max_losses,
            ),
        )

    def _node(self, place: int, node: Node) -> NodeSpec:
        return NodeSpec(
            name=node.identifier,
            kind=node.node_name,
            namespace=None if node.namespace == self.namespace else node.namespace,
            fire=self._fire(place, node),
            bind=dict(self._bind(place, node)),
            timeout=node.timeout or None,
            lease=node.lease or None,
        )

    def _fire(self, place: int, node: Node) -> Each | Join:
        before = [self.upsert.nodes[parent].identifier for parent in self.topology.before[place]]
        if node.unites is not None:
            return Join(anchor=node.unites.identifier, of=tuple(before), policy=_POLICIES[node.unites.strategy])
        if len(before) > 1:
            return Each(ways=tuple(Edge(node=each) for each in before))
        return Each(way=Edge(node=before[0]) if before else None)

    def _bind(self, place: int, node: Node) -> Iterator[tuple[str, Binding]]:
        kind = self.kinds[node.namespace, node.node_name]
        if self.topology.before[place]:
            for name, text in node.inputs.items():
                if name in kind.fields:
                    yield name, self._bound(place, name, text, kind)
            return
        for name in _kept(node, kind):
            yield name, _overridden(name, self._bound(place, name, node.inputs[name], kind), kind)
        for name in kind.fields:
            if name not in node.inputs:
                given = RunInput(name=name, optional=True)
                yield name, Text(parts=(given,), parsed=not _is_text(kind, name))

    def _bound(self, place: int, name: str, text: str, kind: Registered) -> Binding:
        found = [self._part(place, part) for part in parts(text)]
        return _as(tuple(found), text=_is_text(kind, name))

    def _part(self, place: int, part: Part) -> Binding:
        match part:
            case str():
                return Value(value=part)
            case Key(key):
                return Store(name=key)
            case Output(identifier, field):
                return self._output(place, identifier, field)

    def _output(self, place: int, identifier: str, field: str) -> Ref:
        """A field of an ancestor; in a join, of what its anchor gave, or of all tasks between the two."""
        source, reader = self.topology.places[identifier], self.upsert.nodes[place].identifier
        origin = self.upsert.nodes[source]
        ref = Ref(
            node=identifier,
            path=(field,),
            boxed=not self.kinds[origin.namespace, origin.node_name].here,
            says=f"Output field '{field}' not found on current state '{identifier}' for template '{reader}'",
        )
        if source == self.topology.anchors[place]:
            return msgspec.structs.replace(ref, many=True, lone=True, sparse=True)
        if self.sight.is_read_once(source, place):
            return ref
        return msgspec.structs.replace(ref, many=True, sparse=True, says="")


def _kept(node: Node, kind: Registered) -> list[str]:
    """The inputs of the root's template, without those that its kind refuses."""
    strict = kind.spec.input.get("additionalProperties") is False
    return [name for name in node.inputs if not strict or name in kind.fields]


def _is_text(kind: Registered, name: str) -> bool:
    return kind.here or is_text(kind.fields.get(name))


def _as(found: tuple[Binding, ...], *, text: bool) -> Binding:
    """Parts as the text that a worker of this protocol sees; else as JSON: of a lone value, or of what they say."""
    match found:
        case (Value(value=str(literal)),):
            return Value(value=literal) if text else _literal(literal)
        case (single,) if not text:
            return single
        case _:
            return Text(parts=found, parsed=not text)


def _literal(text: str) -> Binding:
    """A literal of the template for a field that is no text. What is not JSON shows where the task is made."""
    try:
        return Value(value=msgspec.json.decode(parsed(text)))
    except BadPath:
        return Text(parts=(Value(value=text),), parsed=True)


def _overridden(name: str, binding: Binding, kind: Registered) -> Binding:
    """An input of the root: what the trigger gives, else what the template says."""
    return Text(parts=(RunInput(name=name, otherwise=binding),), parsed=not _is_text(kind, name))
