"""What a secret may be called and hold, and what its ciphertext is bound to."""

from __future__ import annotations

import msgspec

from stoker.core import names
from stoker.core.words import counted

MAX_VALUE = 64 * 1024  # bytes
SHORTEST = 4  # characters; a shorter value would be found, and hidden, everywhere
MISSING = "missing_secret"  # the code of a task that was claimed without one that it needs


def name_fault(name: object) -> str | None:
    """What is wrong with the name of a secret; None if nothing is."""
    if wrong := names.fault(name):
        return wrong
    return f"the name {name!r} holds a slash, which paths are made of" if "/" in str(name) else None


def value_fault(value: str) -> str | None:
    """What is wrong with a value; None if nothing is. The value itself is never said."""
    if len(value) < SHORTEST:
        return f"it has {counted(len(value), 'character')}; what is shorter than {SHORTEST} cannot be hidden in logs"
    return size_fault(value)


def size_fault(value: str) -> str | None:
    """The same of a value that may be too short to be hidden."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return f"it has {size} bytes; the limit is {MAX_VALUE}" if size > MAX_VALUE else None


def bound(namespace: str, name: str) -> bytes:
    """What is authenticated with a ciphertext: moved to another namespace or name, it opens no more."""
    return msgspec.json.encode(["stoker secret", namespace, name])


def bound_to_graph(namespace: str, graph: str, name: str) -> bytes:
    """The same for a secret that belongs to one graph."""
    return msgspec.json.encode(["stoker secret of a graph", namespace, graph, name])
