"""What the runner needs of a node: the port between the worker side and whatever describes the work.

`stoker.authoring` nodes fit it; so does any object with these members.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from stoker.core.graph import KindSpec
from stoker.errors import Invalid, Problem


@runtime_checkable
class Work(Protocol):
    """One kind of work. `call` gives the result, or an awaitable of it if `is_async`."""

    @property
    def kind(self) -> KindSpec: ...
    @property
    def isolation(self) -> bool: ...
    @property
    def is_async(self) -> bool: ...
    @property
    def stop_grace_s(self) -> float:
        """Seconds from the word to stop until an isolated node is killed; others are complained of."""
        ...

    def arguments(self, inputs: dict[str, Any], *, task: Any) -> dict[str, Any]:
        """Check JSON inputs and turn them into what the function takes; raises on bad ones."""
        ...

    def call(self, arguments: dict[str, Any]) -> Any: ...

    def dump(self, result: Any) -> list[bytes]:
        """Return one JSON document per item; raises an error with code `invalid_output`."""
        ...


def flatten(nodes: Iterable[Any]) -> dict[str, Work]:
    """Return the work by kind name. A thing with `.nodes` (a graph) stands for its nodes.

    Raises Invalid when a thing is no node, or two different nodes have one name.
    """
    works: dict[str, Work] = {}
    problems: list[Problem] = []
    for thing in nodes:
        for node in _nodes_of(thing):
            if not isinstance(node, Work):
                problems.append(_not_a_node(node))
            elif works.setdefault(node.kind.name, node) is not node:
                problems.append(_two_of(node.kind.name, (works[node.kind.name], node)))
    if problems:
        raise Invalid("these nodes cannot be served", place="Runner(nodes=…)", problems=problems)
    return works


def _nodes_of(thing: Any) -> list[Any]:
    if isinstance(thing, type) and callable(made := getattr(thing, "node", None)):  # the class form of a node
        return [made()]
    nodes = getattr(thing, "nodes", None)
    if nodes is None:
        return [thing]
    return list(nodes.values()) if isinstance(nodes, dict) else list(nodes)


def _not_a_node(thing: Any) -> Problem:
    return Problem(
        code="not_a_node",
        message=f"{thing!r} is not a node.",
        remedy="Decorate the function with `@stoker.node`, or subclass `stoker.Node`.",
    )


def _two_of(name: str, nodes: tuple[Work, Work]) -> Problem:
    places = [place for node in nodes if (place := getattr(node, "place", ""))]
    return Problem(
        code="duplicate_kind",
        message=f"two nodes are named {name!r}{': ' if places else ''}{', '.join(places)}.",
        remedy="Give one of them `name=`, or pass one.",
    )
