"""What may stand for a value in a graph besides handles: `stoker.optional`, `stoker.text`, `stoker.store`."""

from __future__ import annotations

from typing import Any

from stoker.authoring.dump import plain
from stoker.authoring.handle import Handle, Several, Spared, Words
from stoker.authoring.misuse import misuse
from stoker.authoring.program import Stored
from stoker.authoring.trace import current
from stoker.core.graph import InputSpec

_REQUIRED: Any = object()


def optional(handle: Any, default: Any = None) -> Any:
    """A handle that may have no value, since a condition was false or its task was pruned: the node runs all the same.

    `default` is what it gets then. If nothing at all arrives at a node it is skipped, unless it is `join="all_done"`.
    """
    if isinstance(handle, Handle):
        return Spared(handle, default)
    raise misuse(f"optional() takes a handle, not {handle!r}.", "Pass what calling a node gave.")


def text(*parts: Any) -> Any:
    """A text of parts: `stoker.text("s3://", bucket, "/x")`. A value that is no text stands as its JSON."""
    for part in parts:
        if isinstance(part, Several):
            raise misuse(f"text() cannot go over {part!r}.", "Map a node over it that makes the text.")
    return Words(parts)


def store(name: str, default: Any = _REQUIRED) -> Any:
    """A value of the run's store, given when it is triggered: `client.trigger(graph, store={"bucket": "x"})`.

    Without a default a run must be given it.
    """
    trace = current()
    if trace is None:
        raise misuse(
            f"store({name!r}) stands outside of a graph.", "Use it in a function decorated with @stoker.graph."
        )
    spec = InputSpec() if default is _REQUIRED else InputSpec(required=False, default=plain(default))
    if trace.store.setdefault(name, spec) != spec:
        raise misuse(f"store({name!r}) has another default here than before.", "Give it one default, in one place.")
    return Handle(Stored(name), f"store({name!r})", trace)
