"""What is particular about compiling a live graph: its inputs are nodes, and what cannot be live is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from stoker.core import own
from stoker.core.compiled import binding_refs
from stoker.core.graph import (
    INPUT_KIND,
    Binding,
    Each,
    Element,
    GraphSpec,
    Join,
    KindSpec,
    NodeSpec,
    OnChange,
    Ref,
    RunInput,
)
from stoker.errors import Problem


def with_inputs(spec: GraphSpec) -> GraphSpec:
    """The graph with a node for each of its inputs, behind its own nodes."""
    taken = {node.name for node in spec.nodes}
    inputs = tuple(NodeSpec(name=name, kind=INPUT_KIND) for name in spec.inputs if name not in taken)
    return msgspec.structs.replace(spec, nodes=spec.nodes + inputs)


def problems(spec: GraphSpec, kinds: Mapping[str, KindSpec]) -> Iterator[Problem]:
    """What may not stand in a graph of this mode (`kinds`: by node). A live one has its inputs as nodes."""
    if spec.mode == "once":
        for node in spec.nodes:
            if node.kind == INPUT_KIND:
                yield _problem("unknown_kind", node, f"only graphs of mode live have nodes of the kind {INPUT_KIND!r}.")
            if isinstance(node.fire, OnChange):
                yield _problem("bad_fire", node, "it fires on change, which only nodes of a live graph do.", _LIVE)
        return
    if spec.result is not None:
        yield Problem(
            code="bad_live",
            place="result",
            message="a live run never ends, so it has no result.",
            remedy="Return nothing; read the outputs of its nodes.",
        )
    if spec.on_failure == "stop":
        yield Problem(
            code="bad_live",
            place="on_failure",
            message="a live run ends only by a cancel, not by a failure.",
            remedy="Leave it out; a node that failed fires again when what it comes after changes.",
        )
    for index, node in enumerate(spec.nodes):
        if node.kind == INPUT_KIND and node.name in spec.inputs:
            continue
        if node.kind in own.OWN:
            remedy = (
                _INPUTS if node.kind == INPUT_KIND else "Make it an input of the graph, and publish what it is to give."
            )
            yield _problem("bad_live", node, f"nodes of a live graph do not have the kind {node.kind!r}.", remedy)
        if node.name in spec.inputs:
            yield Problem(
                code="duplicate_node", place=f"nodes[{index}]", message=f"{node.name!r} is an input of the graph."
            )
        yield from _of_node(node, kinds)


_LIVE = 'Give the graph "mode": "live".'
_INPUTS = "Name the input in the graph's `inputs`; it is a node by itself."


def _of_node(node: NodeSpec, kinds: Mapping[str, KindSpec]) -> Iterator[Problem]:
    match node.fire:
        case Join():
            yield _problem("bad_live", node, "a live graph has no joins: each change passes on by itself.", _ON_CHANGE)
        case Each(way=way, ways=ways) if way is not None or ways:
            yield _problem("bad_live", node, "nodes of a live graph do not fire for each item.", _ON_CHANGE)
        case OnChange(of=of):
            yield from _of_parents(node, of, kinds)
        case _:
            pass
    if node.expand is not None:
        yield _problem("bad_live", node, "nothing expands in a live graph: a node has one task at a time.")
    for name, binding in node.bind.items():
        yield from _of_binding(node, name, binding)


_ON_CHANGE = 'Use {"type": "on_change", "of": […]}.'


def _of_parents(node: NodeSpec, of: tuple[str, ...], kinds: Mapping[str, KindSpec]) -> Iterator[Problem]:
    for name in of:
        kind = kinds.get(name)
        if kind is not None and kind.items == "many":
            message = f"{name!r} settles with several items, which no edge of a live graph carries."
            yield _problem("bad_live", node, message, "Give its kind one item, such as a list.")


def _of_binding(node: NodeSpec, name: str, binding: Binding) -> Iterator[Problem]:
    after = node.fire.of if isinstance(node.fire, OnChange) else ()
    for leaf in binding_refs(binding):
        if isinstance(leaf, Element) or (isinstance(leaf, Ref) and leaf.many):
            message = f"its input {name!r} needs a fan-out, and there is none in a live graph."
            yield _problem("bad_live", node, message, "Refer to the current output of a node.")
        elif isinstance(leaf, Ref | RunInput) and parent(leaf) not in after:
            message = f"its input {name!r} comes from {parent(leaf)!r}, whose changes it does not wait for."
            yield _problem("bad_live", node, message, f"Name {parent(leaf)!r} in its `of`.")


def _problem(code: str, node: NodeSpec, message: str, remedy: str = "") -> Problem:
    return Problem(code=code, place=f"node {node.name!r}", message=message, remedy=remedy)


def parent(leaf: Ref | RunInput) -> str:
    """The node whose current output a leaf means; in a live graph an input is one."""
    return leaf.node if isinstance(leaf, Ref) else leaf.name


def must_have(node: NodeSpec, names: Mapping[str, int]) -> tuple[int, ...]:
    """Those of the nodes it comes after without whose output it never fires."""
    if isinstance(node.fire, OnChange) and node.fire.require_all:
        return tuple(sorted({names[name] for name in node.fire.of}))
    leaves = [leaf for binding in node.bind.values() for leaf in binding_refs(binding)]
    needed = {
        parent(leaf)
        for leaf in leaves
        if isinstance(leaf, RunInput) or (isinstance(leaf, Ref) and leaf.spared is msgspec.UNSET)
    }
    return tuple(sorted(names[name] for name in needed))
