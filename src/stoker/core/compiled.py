"""A graph as the engine runs it: nodes by index, their steps, kids and joins. Made by `compile.py`, never by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from stoker.core.branch import indexes
from stoker.core.condition import Condition
from stoker.core.graph import (
    Binding,
    GraphSpec,
    KindSpec,
    ListOf,
    NodeSpec,
    ObjectOf,
    Path,
    Ref,
    RunInput,
    Splice,
    Text,
)
from stoker.core.loops import CompiledLoop
from stoker.core.retry import RetryPolicy
from stoker.core.times import Times

TRIGGER = -1


class Step(NamedTuple):
    """One written step of a branch: an item of the producer, an element of an edge out of it, or of its own expand, or
    an iteration of it."""

    producer: int
    role: Literal["item", "element", "own", "loop"]
    path: Path = ()


class Kid(NamedTuple):
    """A node that fires for each item of another. `many`: the item index is a step. `toward`: joins it leads to.

    `brings`: its children are made with what arrives, since a condition looks at it.
    """

    node: int
    expand: Path | None
    many: bool
    toward: tuple[int, ...]
    brings: bool = False


class CompiledNode(msgspec.Struct, frozen=True, kw_only=True):
    """`inline`: nobody claims its tasks; they settle as they are made, or the engine holds them itself (`held`).
    `ends`: the loop whose iterations it ends.

    `parent`: the node whose tasks stand right above (the way in, or a join's anchor); TRIGGER at the top.

    `counted`: it can have several tasks. `feeds`: joins that a task here is a member of. `touches`: every join row that
    its settling may reach.
    `opens`: joins anchored here. `straight`: joins with an edge from here. `of`: the straight parents of a join.
    `must_have`: members whose single item a join cannot do without. `plain`: every straight parent stands once, and
    where all of them SUCCEEDED, so did the `must_have`. `live`: it belongs to a live graph: `of` are the nodes it comes
    after, `must_have` those of them that it cannot do without. `when`: the condition on its way in. `gate`: its limit.
    `template`: its limit instead, if each value has a gate of its own. `home`: the namespace in which its tasks are
    offered, if that is another one than its run's. `copy_of`: the node that it is, on another path. `beyond`: what
    fails each task of it, since no more paths are copied.
    """

    index: int
    spec: NodeSpec
    kind: KindSpec
    inline: bool
    held: bool
    loop: CompiledLoop | None
    ends: int | None
    parent: int
    is_join: bool
    steps: tuple[Step, ...]
    kids: tuple[Kid, ...]
    straight: tuple[int, ...]
    opens: tuple[int, ...]
    feeds: tuple[int, ...]
    touches: tuple[int, ...]
    of: tuple[int, ...]
    all_done: bool
    must_have: tuple[int, ...]
    plain: bool
    retry: RetryPolicy
    times: Times
    max_losses: int
    losses_are_failures: bool
    live: bool = False
    counted: bool = False
    lane: int = 0
    gate: int | None = None
    template: int | None = None
    home: int | None = None
    when: Condition | None = None
    copy_of: str | None = None
    beyond: str = ""

    @property
    def name(self) -> str:
        """As people know it; a copy has the name of the node that it is one of."""
        return self.copy_of or self.spec.name

    @property
    def depth(self) -> int:
        return len(self.steps)


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """`kids`, `opens`: those of the trigger. `row_depth[j]`: how many steps the branch of join j's anchor task has.

    `asks`: whether some condition reads inputs or store of the run.
    """

    spec: GraphSpec
    nodes: tuple[CompiledNode, ...]
    names: dict[str, int]
    kids: tuple[Kid, ...]
    opens: tuple[int, ...]
    row_depth: dict[int, int]
    warnings: tuple[str, ...] = ()
    live: bool = False
    asks: bool = False

    @property
    def tolerated(self) -> list[int]:
        """The nodes whose failures do not fail the run."""
        return [node.index for node in self.nodes if node.spec.tolerated]

    def place(self, name: str) -> CompiledNode:
        return self.nodes[self.names[name]]


def binding_refs(binding: Binding) -> list[Binding]:
    """All leaves of a binding tree, left to right."""
    match binding:
        case ListOf(items=items) | Text(parts=items):
            return [leaf for item in items for leaf in binding_refs(item)]
        case ObjectOf(fields=fields):
            return [leaf for field in fields.values() for leaf in binding_refs(field)]
        case Splice(of=refs):
            return list(refs)
        case RunInput(otherwise=otherwise) if otherwise is not msgspec.UNSET:
            return [binding, *binding_refs(otherwise)]
        case _:
            return [binding]


def mapped(binding: Binding, turn: Callable[[Binding], Binding]) -> Binding:
    """The same tree with other leaves."""
    match binding:
        case ListOf(items=items):
            return ListOf(items=tuple(mapped(item, turn) for item in items))
        case Text(parts=parts):
            return msgspec.structs.replace(binding, parts=tuple(mapped(part, turn) for part in parts))
        case ObjectOf(fields=fields):
            return ObjectOf(fields={name: mapped(field, turn) for name, field in fields.items()})
        case Splice(of=refs):
            return Splice(of=tuple(leaf for ref in refs for leaf in _references(mapped(ref, turn))))
        case RunInput(otherwise=otherwise) if otherwise is not msgspec.UNSET:
            return msgspec.structs.replace(binding, otherwise=mapped(otherwise, turn))
        case _:
            return turn(binding)


def _references(binding: Binding) -> list[Ref]:
    return [leaf for leaf in binding_refs(binding) if isinstance(leaf, Ref)]


def text_of(graph: Compiled, node: int, branch: bytes) -> str:
    """A branch as people read it: `split[3]/page[17]`. One that ended before its own expand lacks the last step."""
    steps = graph.nodes[node].steps
    return "/".join(
        f"{graph.nodes[step.producer].name}#{index}"
        if step.role == "loop"
        else f"{graph.nodes[step.producer].name}[{index}]"
        for step, index in zip(steps, indexes(branch), strict=False)
    )
