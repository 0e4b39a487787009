"""Limits by a value: the name of the gate that a task with this value stands under."""

from __future__ import annotations

from collections.abc import Iterator

from stoker.core.compiled import binding_refs
from stoker.core.graph import Binding, Limit, NodeSpec, Ref
from stoker.core.names import fault
from stoker.core.values import BadPath, decoded, pick, show

SEPARATOR = "\x1f"  # which no name holds, so that no other limit has the name of such a gate


def gate_name(limit: Limit, value: str = "") -> str:
    """What the gate of a limit is called, or that of one value."""
    return f"{limit.key}{SEPARATOR}{value}" if limit.by else limit.key


def title(name: str) -> str:
    """A gate as people read it: `tenant:42`, and `tenant` for all of them."""
    return name.rstrip(SEPARATOR).replace(SEPARATOR, ":")


def binding(node: NodeSpec) -> Binding:
    """What a node's limit is by: where the input comes from that it names."""
    assert node.limit is not None
    return node.bind[str(node.limit.by[0])]


def wrongs(node: NodeSpec, *, live: bool) -> Iterator[tuple[str, str]]:
    """What keeps a node's limit from being by its value, each with a remedy."""
    limit = node.limit
    if limit is None or not limit.by:
        return
    if limit.by[0] not in node.bind:
        remedy = f"It has {', '.join(map(repr, node.bind))}." if node.bind else "Bind it, or leave `by` out."
        yield f"the limit is by {limit.by[0]!r}, which is no input of the node.", remedy
    elif any(isinstance(leaf, Ref) and leaf.many for leaf in binding_refs(binding(node))):
        yield f"the limit is by the input {limit.by[0]!r}, which gathers a list.", "Name one that has a single value."
    if live:
        yield "a limit of a live graph is not by a value: the inputs of a task change.", "Leave `by` out."


def value_of(limit: Limit, found: bytes) -> str:
    """The value that a limit is by, of what its input is bound to: a text as it is, or a number or boolean as JSON.

    BadPath where it is none that a key can be made of.
    """
    where = f"the limit {limit.key!r} is by {_shown(limit)}"
    try:
        body = pick(found, limit.by[1:])
    except BadPath as error:
        raise BadPath(f"{where}, but {error}") from None
    value = decoded(body)
    if value is None or isinstance(value, list | dict):
        sort = "null" if value is None else "a list" if isinstance(value, list) else "an object"
        raise BadPath(f"{where}, which is {sort}; it must be a text, a number or a boolean")
    text = value if isinstance(value, str) else body.decode().strip()
    if wrong := fault(text):
        raise BadPath(f"{where}, of which no key can be made: {wrong}")
    return text


def _shown(limit: Limit) -> str:
    name, *path = limit.by
    return f"the input {str(name)!r}" + (f" at {show(tuple(path))}" if path else "")
