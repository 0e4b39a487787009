"""What is wrong with a graph template as a whole: what refuses it, what makes it INVALID, what deserves a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from stoker.api.dialects.exosphere.placeholders import BadPlaceholder, Key, Output, parts
from stoker.api.dialects.exosphere.topology import Sight, Topology
from stoker.api.dialects.exosphere.wire import Node, Upsert, set_text
from stoker.core.graph import KindSpec
from stoker.core.order import rings

MOST_NODES = 5_000
_MOST_PATHS = 10**18  # that are worth an exact number


class Registered(NamedTuple):
    """A kind of a namespace. `here`: it was registered over this protocol, whose fields are texts."""

    spec: KindSpec
    here: bool = True

    @property
    def fields(self) -> Mapping[str, Any]:
        """The schemas of its inputs, by name."""
        return _properties(self.spec.input)

    @property
    def required(self) -> list[str]:
        return [name for name in self.spec.input.get("required", ()) if isinstance(name, str)]


Kinds = Mapping[tuple[str, str], Registered]  # by namespace and name


def refusals(name: str, namespace: str, upsert: Upsert) -> list[str]:
    """Why a template cannot be kept: all messages of the first group that has some."""
    if len(upsert.nodes) > MOST_NODES:
        return [f"Graph has {len(upsert.nodes)} nodes, the limit is {MOST_NODES}"]
    groups: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _names(name, namespace),
        lambda: _duplicates(upsert.nodes),
        lambda: _unknown(upsert.nodes),
        lambda: _anchors(upsert.nodes),
        lambda: _shape(Topology(upsert.nodes)),
        lambda: _inputs(upsert),
    )
    found = next((messages for group in groups if (messages := list(group()))), [])
    return ["Error validating graph template: " + "\n".join(found)] if found else []


def _names(name: str, namespace: str) -> Iterator[str]:
    if not name.strip():
        yield "Name cannot be empty"
    if not namespace.strip():
        yield "Namespace cannot be empty"


def _duplicates(nodes: list[Node]) -> Iterator[str]:
    seen: set[str] = set()
    for node in nodes:
        if node.identifier in seen:
            yield f"Node identifier {node.identifier} is not unique"
        seen.add(node.identifier)


def _unknown(nodes: list[Node]) -> Iterator[str]:
    known = {node.identifier for node in nodes}
    for node in nodes:
        for name in node.next_nodes:
            if name not in known:
                yield f"Node identifier {name} does not exist in the graph"


def _anchors(nodes: list[Node]) -> Iterator[str]:
    known = {node.identifier for node in nodes}
    for node in nodes:
        if node.unites is None:
            continue
        about = f"Node {node.identifier} has an unites target {node.unites.identifier} that"
        if node.unites.identifier not in known:
            yield f"{about} does not exist"
        elif node.unites.identifier == node.identifier:
            yield f"{about} is the same as the node itself"


def _shape(topology: Topology) -> Iterator[str]:
    """One root, everything reached from it, no cycle: the first of these that does not hold."""
    nodes, roots = topology.nodes, topology.roots()
    if len(roots) != 1:
        names = [nodes[place].identifier for place in roots]
        yield (
            "There should be exactly one root node in the graph but found "
            f"{len(roots)} nodes with zero in-degree: {names}"
        )
        return
    reached = topology.reached(roots[0])
    adrift = {
        nodes[place].identifier
        for place, anchor in enumerate(topology.anchors)
        if anchor is not None and anchor not in reached
    }
    if adrift:
        yield f"Error building dependency graph: Graph is disconnected at: {set_text(adrift)}"
    elif len(reached) < len(nodes):
        for place in sorted({*range(len(nodes))} - reached):
            yield f"Node {nodes[place].identifier} is not connected to the root node"
    else:
        for ring in rings(topology.before, topology.order()):
            yield from (f"Node {nodes[place].identifier} is not acyclic" for place in sorted(ring))


def _inputs(upsert: Upsert) -> Iterator[str]:
    topology = Topology(upsert.nodes)
    sight = Sight(topology)
    keys = {*upsert.store_config.required_keys, *upsert.store_config.default_values}
    for place, node in enumerate(upsert.nodes):
        readable = sight.readable(place) if node.inputs else 0
        for text in node.inputs.values():
            if not isinstance(text, str):
                yield f"Input {text} is not a string"
                continue
            try:
                found = parts(text)
            except BadPlaceholder as error:
                yield f"Error creating dependent string for input {text} check syntax string: {error}"
                continue
            for part in found:
                if isinstance(part, Key) and part.key not in keys:
                    yield f"Input {text} depends on {part.key} but {part.key} is not a required key or a default value"
                elif isinstance(part, Output):
                    source = topology.places.get(part.identifier)
                    if source is None or not readable >> source & 1:
                        about = f"{part.identifier} but {part.identifier} is not a parent of {node.identifier}"
                        yield f"Input {text} depends on {about}"


def faults(upsert: Upsert, kinds: Kinds) -> list[str]:
    """What makes a template, which nothing refuses, INVALID. Each is told once."""
    found = [*_unregistered(upsert.nodes, kinds), *_lacking(upsert, kinds)]
    topology = Topology(upsert.nodes)
    for node in upsert.nodes:
        if kind := kinds.get((node.namespace, node.node_name)):
            found += _wrong_inputs(node, kind)
        found += _wrong_fields(node, topology, kinds)
    return list(dict.fromkeys([*found, *_wrong_joins(Sight(topology))]))


def _unregistered(nodes: list[Node], kinds: Kinds) -> Iterator[str]:
    for node in nodes:
        if (node.namespace, node.node_name) not in kinds:
            yield f"Node {node.node_name} in namespace {node.namespace} does not exist"


def _lacking(upsert: Upsert, kinds: Kinds) -> Iterator[str]:
    for node in upsert.nodes:
        kind = kinds.get((node.namespace, node.node_name))
        for secret in kind.spec.secrets if kind else ():
            if secret not in upsert.secrets:
                yield f"Secret {secret} is required but not present in the graph template"


def _wrong_inputs(node: Node, kind: Registered) -> Iterator[str]:
    about = f"in node {node.node_name} in namespace {node.namespace} is not"
    for name in dict.fromkeys([*kind.required, *(name for name in node.inputs if name in kind.fields)]):
        if kind.here and not is_text(kind.fields.get(name)):
            yield f"Input {name} {about} a string"
        if name not in node.inputs:
            yield f"Input {name} {about} present in the graph template"


def _wrong_fields(node: Node, topology: Topology, kinds: Kinds) -> Iterator[str]:
    """Outputs that are read and that their kind does not give, as far as its schema tells."""
    for text in node.inputs.values():
        for part in parts(text):
            if not isinstance(part, Output):
                continue
            source = topology.nodes[topology.places[part.identifier]]
            kind = kinds.get((source.namespace, source.node_name))
            if kind is None or not kind.here:
                continue
            about = f"Field {part.field} in node {source.node_name} in namespace {source.namespace}"
            given = _properties(kind.spec.output)
            if part.field not in given:
                yield f"{about} does not exist"
            elif not is_text(given[part.field]):
                yield f"{about} is not a string"


def _wrong_joins(sight: Sight) -> Iterator[str]:
    nodes = sight.topology.nodes
    for place, anchor in enumerate(sight.topology.anchors):
        if anchor is None:
            continue
        name, upper = nodes[place].identifier, nodes[anchor].identifier
        if not sight.ahead[place] >> anchor & 1:
            yield f"Node {name} unites {upper} but {upper} is not an ancestor of {name}"
            continue
        for parent in sight.topology.before[place]:
            if parent != anchor and not sight.is_above(anchor, parent):
                yield f"Node {nodes[parent].identifier} leads to {name} but is not below {upper}"


def warnings(upsert: Upsert) -> list[str]:
    """Nodes that several ways lead to and that do not unite them."""
    sight = Sight(Topology(upsert.nodes))
    return [
        f"Node {node.identifier} is reached over {_paths(sight.paths[place])} paths and runs once per path"
        for place, node in enumerate(upsert.nodes)
        if node.unites is None and len(sight.topology.before[place]) > 1
    ]


def _paths(count: int) -> str:
    return str(count) if count <= _MOST_PATHS else f"more than {_MOST_PATHS}"


def is_text(schema: object) -> bool:
    """Whether the schema of a field says that it is a text."""
    return isinstance(schema, dict) and schema.get("type") == "string"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}
