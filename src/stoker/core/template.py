"""Inputs from bindings: first what must be read (`needs`), then the JSON put together from it (`render`).

A place is where a task stands; its branch says which item of each node above is meant. Values are spliced as the bytes
they were received as; nothing is scanned for placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from msgspec import UNSET

from stoker.core.branch import cut, index_at, indexes
from stoker.core.compile_live import parent
from stoker.core.compiled import TRIGGER, Compiled, Step
from stoker.core.graph import Binding, Element, ListOf, ObjectOf, Ref, RunInput, Splice, Store, Text, Value
from stoker.core.live import Bound
from stoker.core.model import ItemKey
from stoker.core.values import NULL, BadPath, as_list, as_object, as_text, elements, encode, parsed, pick


class Place(NamedTuple):
    """Where a task stands, or (node TRIGGER) the run itself. `element`: the element it carries, if it does.

    `bound`: in a live run, by node, the number of the output that is read.
    """

    run: int
    node: int
    branch: bytes
    element: bytes | None = None
    bound: Bound | None = None


class Below(NamedTuple):
    """All items of a node whose branch begins so."""

    run: int
    node: int
    prefix: bytes


class StoreOf(NamedTuple):
    """The store of a run."""

    run: int


class Found(NamedTuple):
    """What was read. An item that does not exist is not there. `keys`: of the items below, in the same order."""

    items: Mapping[ItemKey, bytes]
    below: Mapping[Below, list[bytes]]
    run_inputs: Mapping[int, Mapping[str, bytes]]
    stores: Mapping[StoreOf, Mapping[str, bytes]] = MappingProxyType({})
    keys: Mapping[Below, Sequence[ItemKey]] = MappingProxyType({})


Need = ItemKey | Below | StoreOf | int  # int: the inputs of this run


def needs(graph: Compiled, place: Place, binding: Binding) -> Iterator[Need]:
    """What a binding is made of, at a place."""
    match binding:
        case Ref() | RunInput() if place.bound is not None:
            key = _bound(graph, place, binding)
            if key is not None:
                yield key
        case ListOf(items=items) | Text(parts=items) | Splice(of=items):
            for item in items:
                yield from needs(graph, place, item)
        case ObjectOf(fields=fields):
            for field in fields.values():
                yield from needs(graph, place, field)
        case Ref():
            yield source(graph, place, binding)
        case RunInput(otherwise=otherwise):
            yield place.run
            if otherwise is not UNSET:
                yield from needs(graph, place, otherwise)
        case Store():
            yield StoreOf(place.run)
        case Element(of=name):
            at, step = _step(graph, place, name)
            if not _carried(graph, place, at):
                yield from needs(graph, *_expansion(graph, place, at, step))
        case Value():
            pass


class LeftOut(Exception):
    """The run was not given an input that may be left out; so is what is bound to it."""


def inputs(graph: Compiled, place: Place, bind: Mapping[str, Binding], found: Found) -> dict[str, bytes]:
    """The JSON of each input, without those that are left out. BadPath where a value has no such part."""
    bound = {}
    for name, binding in bind.items():
        with suppress(LeftOut):
            bound[name] = render(graph, place, binding, found)
    return bound


def render(graph: Compiled, place: Place, binding: Binding, found: Found) -> bytes:
    """The JSON of a binding. BadPath where a value has no such part; LeftOut: there is none to be."""
    match binding:
        case Value(value=value):
            return encode(value)
        case ListOf(items=items):
            return as_list(render(graph, place, item, found) for item in items)
        case Text(parts=parts):
            text = "".join(as_text(render(graph, place, part, found)) for part in parts)
            return parsed(text) if binding.parsed else encode(text)
        case ObjectOf(fields=fields):
            return as_object({name: render(graph, place, field, found) for name, field in fields.items()})
        case Splice(of=refs):
            return spliced(graph, place, refs, found)
        case Ref(path=path) | RunInput(path=path) if place.bound is not None:
            output = _bound(graph, place, binding)
            if output is not None:
                return pick(found.items[output], path)
            return encode(binding.spared) if isinstance(binding, Ref) and binding.spared is not UNSET else NULL
        case RunInput():
            return _given(graph, place, binding, found)
        case Store(name=name, path=path):
            return pick(_stored(found.stores.get(StoreOf(place.run), {}), name), path)
        case Ref():
            key = source(graph, place, binding)
            if isinstance(key, Below):
                return gathered(binding, found.below[key])
            body = found.items.get(key)
            if body is not None:
                return part(binding, body)
            if binding.spared is UNSET:
                raise BadPath(f"{binding.node!r} has no item here")
            return encode(binding.spared)
        case Element(of=name, path=path):
            return pick(_element(graph, place, name, found), path)
    raise AssertionError(binding)


def part(ref: Ref, body: bytes) -> bytes:
    """What a reference takes of an item. BadPath where there is nothing, in its own words if it has some."""
    path = ref.path
    if ref.boxed and path[:1] == ("value",) and not body.lstrip().startswith(b"{"):
        path = path[1:]
    try:
        return pick(body, path)
    except BadPath as error:
        raise BadPath(ref.says or str(error)) from None


def among(ref: Ref, body: bytes) -> bytes:
    """The same, of one item of many."""
    try:
        return part(ref, body)
    except BadPath:
        if ref.sparse:
            return NULL
        raise


def gathered(ref: Ref, bodies: Sequence[bytes]) -> bytes:
    """What a reference takes of many items."""
    if ref.lone and len(bodies) == 1:
        return part(ref, bodies[0])
    return as_list(among(ref, body) for body in bodies)


def spliced(graph: Compiled, place: Place, refs: Sequence[Ref], found: Found) -> bytes:
    """What several references gather, in branch order."""
    ranked = []
    for ref in refs:
        below = source(graph, place, ref)
        assert isinstance(below, Below)
        rank = _ranking(graph, below.node)
        items = zip(found.keys[below], found.below[below], strict=True)
        ranked += [(rank(key), among(ref, body)) for key, body in items]
    return as_list(body for _, body in sorted(ranked, key=itemgetter(0)))


def _ranking(graph: Compiled, node: int) -> Callable[[ItemKey], tuple[tuple[int, ...], ...]]:
    """Where an item stands among those of all paths: by node and index, step by step from the trigger down."""
    steps, chain = graph.nodes[node].steps, []
    at = node
    while at != TRIGGER:
        written = [position for position, step in enumerate(steps) if step.producer == at]
        chain.append((graph.names[graph.nodes[at].name], written))
        at = graph.nodes[at].parent
    chain.reverse()

    def rank(key: ItemKey) -> tuple[tuple[int, ...], ...]:
        index = indexes(key.branch)
        return (*((name, *(index[each] for each in written)) for name, written in chain), (key.item,))

    return rank


def _given(graph: Compiled, place: Place, leaf: RunInput, found: Found) -> bytes:
    body = found.run_inputs.get(place.run, {}).get(leaf.name, NULL)
    if body != NULL:
        return pick(body, leaf.path)
    if leaf.otherwise is not UNSET:
        return render(graph, place, leaf.otherwise, found)
    if leaf.optional:
        raise LeftOut
    return pick(body, leaf.path)


def _stored(store: Mapping[str, bytes], name: str) -> bytes:
    if name not in store:
        raise BadPath(f"the run's store has no {name!r}")
    return store[name]


def _bound(graph: Compiled, place: Place, leaf: Ref | RunInput) -> ItemKey | None:
    """The output that a task of a live run reads; None: there was none when its inputs were bound."""
    node = graph.names[parent(leaf)]
    number = (place.bound or {}).get(node)
    return None if number is None else ItemKey(place.run, node, b"", number)


def source(graph: Compiled, place: Place, ref: Ref) -> ItemKey | Below:
    """The item, or the items, that a reference means at a place."""
    node = graph.names[ref.node]
    if ref.many:
        depth = 0 if place.node == TRIGGER else graph.row_depth[place.node]
        return Below(place.run, node, cut(place.branch, depth))
    depth = graph.nodes[node].depth
    branch = cut(place.branch, depth)
    steps = () if place.node == TRIGGER else graph.nodes[place.node].steps
    if len(steps) > depth and steps[depth] == Step(node, "item"):
        return ItemKey(place.run, node, branch, index_at(place.branch, depth))
    return ItemKey(place.run, node, branch, 0)


def _step(graph: Compiled, place: Place, name: str) -> tuple[int, Step]:
    """The lowest step of this branch that expands `name`, and its position."""
    node = graph.names[name]
    steps = graph.nodes[place.node].steps
    for at in range(len(steps) - 1, -1, -1):
        if steps[at].producer == node and steps[at].role in ("element", "own"):
            return at, steps[at]
    raise AssertionError(f"no expansion of {name!r} above {graph.nodes[place.node].name!r}")


def _carried(graph: Compiled, place: Place, at: int) -> bool:
    return place.element is not None and at == graph.nodes[place.node].depth - 1


def _element(graph: Compiled, place: Place, name: str, found: Found) -> bytes:
    at, step = _step(graph, place, name)
    if _carried(graph, place, at):
        assert place.element is not None
        return place.element
    upper, binding = _expansion(graph, place, at, step)
    index = index_at(place.branch, at)
    found_elements = elements(render(graph, upper, binding, found))
    if index >= len(found_elements):
        raise BadPath(f"the expansion of {name!r} has no element {index}")
    return found_elements[index]


def _expansion(graph: Compiled, place: Place, at: int, step: Step) -> tuple[Place, Binding]:
    """Where the list stands that a step counts through, and the binding that gives it."""
    branch = cut(place.branch, at)
    producer = graph.nodes[step.producer]
    if step.role == "own":
        assert producer.spec.expand is not None
        return Place(place.run, step.producer, branch), producer.spec.expand.over
    return Place(place.run, place.node, branch), Ref(node=producer.name, path=step.path)
