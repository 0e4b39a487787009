"""The engine's own kinds, which no runner runs: what a node of one takes and gives, which options mean nothing there.

`stoker.item` settles as soon as it is made, `stoker.input` is an input of a live graph. The others are *held*: their
task is LEASED by the engine itself (attempt 1, no session), never claimed and never lost, until what it stands for
comes to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from stoker.core.away import kind_key
from stoker.core.duration import Micros, micros
from stoker.core.graph import (
    INPUT_KIND,
    ITEM_KIND,
    LOOP_KIND,
    SUBGRAPH_KIND,
    WAIT_KIND,
    KindSpec,
    NodeSpec,
    Subgraph,
    Wait,
)
from stoker.core.values import encode, too_deep
from stoker.errors import Problem

HELD = frozenset({WAIT_KIND, SUBGRAPH_KIND, LOOP_KIND})
OWN = HELD | {INPUT_KIND, ITEM_KIND}
_FOR_RUNNERS = (
    "limit",
    "namespace",
    "retry",
    "timeout",
    "task_timeout",
    "queue_timeout",
    "lease",
    "max_losses",
    "losses_are_failures",
    "requires",
)
_STATE = {"properties": {"state": {}}, "required": ["state"], "additionalProperties": False}
_PLAIN = NodeSpec(name="", kind="")


def kind_of(node: NodeSpec, kinds: Mapping[str, KindSpec]) -> KindSpec | None:
    """What a node takes and gives; None if nobody knows its kind."""
    match node.kind:
        case "stoker.item" | "stoker.input":
            return KindSpec(name=node.kind)
        case "stoker.wait":
            return KindSpec(name=WAIT_KIND, output=(node.wait or Wait()).schema)
        case "stoker.loop":
            return KindSpec(name=LOOP_KIND, input=_STATE)
        case "stoker.subgraph":
            return kinds.get(as_kind(node.subgraph)) if node.subgraph is not None else None
        case _:
            return kinds.get(kind_key(node))


def as_kind(inner: Subgraph) -> str:
    """What the version of a graph that runs as a child is called among the kinds of the graph around it."""
    return f"{SUBGRAPH_KIND}:{inner.graph}@{inner.version}"


def held_for(node: NodeSpec) -> Micros | None:
    """How long the engine holds a task of this node at most; None: until its end."""
    return micros(node.wait.expires) if node.wait is not None and node.wait.expires is not None else None


def wrongs(node: NodeSpec) -> Iterator[Problem]:
    """What a node says that its kind makes no sense of."""
    for option in _FOR_RUNNERS if node.kind in HELD else _FOR_RUNNERS[:2] if node.kind == ITEM_KIND else ():
        if getattr(node, option) != getattr(_PLAIN, option):
            yield _wrong(node, f"no runner runs a node of this kind, so there is no use for {option}.")
    if (node.subgraph is None) == (node.kind == SUBGRAPH_KIND):
        yield _wrong(node, f"a node has `subgraph` if it is of the kind {SUBGRAPH_KIND!r}, and only then.")
    if node.wait is not None:
        yield from _wrong_wait(node, node.wait)


def _wrong_wait(node: NodeSpec, wait: Wait) -> Iterator[Problem]:
    if node.kind != WAIT_KIND:
        yield _wrong(node, f"only a node of the kind {WAIT_KIND!r} is a wait, not one of the kind {node.kind!r}.")
    try:
        if held_for(node) == 0:
            yield _wrong(node, "a wait expires later than at once.")
    except ValueError as error:
        yield _wrong(node, f"{error}.")
    if wait.default is not msgspec.UNSET and wait.expires is None:
        yield _wrong(node, "the default of a wait is what it settles with when it expires, and it never does.")
    if wait.default is not msgspec.UNSET and too_deep(encode(wait.default)):
        yield _wrong(node, "its default nests too deep.")


def _wrong(node: NodeSpec, message: str) -> Problem:
    return Problem(code="bad_option", place=f"node {node.name!r}", message=message)
