"""What can be said of two JSON Schemas without data: only a plain contradiction of types is a mismatch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stoker.core.graph import (
    ITEM_KIND,
    Each,
    Edge,
    Element,
    GraphSpec,
    KindSpec,
    NodeSpec,
    Path,
    Ref,
    RunInput,
    Store,
    Text,
    Value,
)

_OF_VALUE: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
_NUMBERS = {"number", "integer"}  # to JSON Schema 1.0 is an integer


def mismatch(
    spec: GraphSpec, kinds: Mapping[str, KindSpec], names: Mapping[str, int], node: NodeSpec, name: str
) -> str | None:
    """Why the value bound to an input can never fit it; None where it may. `kinds`: by the name of the node."""
    wanted = _below(kinds[node.name].input, (name,))
    match node.bind[name]:
        case Value(value=float() as value) if _types(wanted) == {"integer"} and not value.is_integer():
            return f"the literal {value} is not an integer."
        case Value(value=value):
            given: Mapping[str, Any] = {"type": _OF_VALUE.get(type(value))}
            source = "the literal"
        case Text(parsed=True) | Ref(lone=True):
            return None
        case Text():
            given, source = {"type": "string"}, "the text"
        case Store(name=key, path=()):
            given, source = spec.store[key].schema, f"the store's {key!r}"
        case RunInput(name=run_input, path=(), otherwise=msgspec.UNSET):
            given, source = spec.inputs[run_input].schema, f"the run's input {run_input!r}"
        case Ref(node=other, path=path, many=many):
            maker = kinds[_maker(spec, names, other).name]
            output = {} if maker.loose else _below(maker.output, path)
            given = {"type": "array", "items": output} if many else output
            source = f"{other!r}"
        case Element(of=other, path=()):
            given, source = _element(kinds, node, other), f"an element of {other!r}"
        case _:
            return None
    return _contradiction(given, wanted, source)


def _maker(spec: GraphSpec, names: Mapping[str, int], name: str) -> NodeSpec:
    """The node whose items are read: an inline node behind a condition passes on what arrives."""
    node = spec.nodes[names[name]]
    match node:
        case NodeSpec(kind=kind, fire=Each(way=Edge(node=before, expand=None, when=str()))) if kind == ITEM_KIND:
            return _maker(spec, names, before)
        case _:
            return node


def _element(kinds: Mapping[str, KindSpec], node: NodeSpec, other: str) -> Mapping[str, Any]:
    match node.fire:
        case Each(way=Edge(node=parent, expand=path)) if parent == other and path is not None:
            return _below(kinds[other].output, (*path, 0))
        case _:
            return {}


def _below(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    for key in path:
        match key:
            case str():
                properties = schema.get("properties")
                found = properties.get(key) if isinstance(properties, dict) else None
            case int():
                found = schema.get("items")
        if not isinstance(found, dict):  # absent, or a schema that is true or false
            return {}
        schema = found
    return schema


def _contradiction(given: Mapping[str, Any], wanted: Mapping[str, Any], source: str) -> str | None:
    has, needs = _types(given), _types(wanted)
    if not has or not needs or has & needs or (has & _NUMBERS and needs & _NUMBERS):
        return None if not (has == needs == {"array"}) else _items(given, wanted, source)
    return f"{source} gives {_words(has)}, where {_words(needs)} is wanted."


def _items(given: Mapping[str, Any], wanted: Mapping[str, Any], source: str) -> str | None:
    inner, outer = given.get("items", {}), wanted.get("items", {})
    if isinstance(inner, dict) and isinstance(outer, dict):
        return _contradiction(inner, outer, f"each element of {source}")
    return None


def _types(schema: Mapping[str, Any]) -> set[str]:
    kinds = schema.get("type")
    return {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else set()


def _words(types: set[str]) -> str:
    return " or ".join(sorted(types))
