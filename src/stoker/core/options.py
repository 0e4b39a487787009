"""What a node says of its attempts, or else its graph for all of its nodes: retries, times, losses."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stoker.core import own
from stoker.core.duration import Micros, micros
from stoker.core.graph import Defaults, Duration, KindSpec, NodeSpec
from stoker.core.retry import RetryPolicy, policy
from stoker.core.times import Times

MAX_LOSSES = 3  # where neither says it
_TIMES = ("timeout", "task_timeout", "queue_timeout", "lease")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one node, read."""

    retry: RetryPolicy
    times: Times
    max_losses: int
    losses_are_failures: bool


def options(node: NodeSpec, defaults: Defaults, kind: KindSpec) -> Options:
    """What the node says, else the graph, else what is usual; of a lease, the kind before that."""
    said = filled(node, defaults)
    return Options(
        retry=policy(said.retry),
        times=Times(total=own.held_for(node)) if node.kind in own.HELD else _times(said, kind),
        max_losses=MAX_LOSSES if said.max_losses is None else said.max_losses,
        losses_are_failures=bool(said.losses_are_failures),
    )


def _times(said: NodeSpec, kind: KindSpec) -> Times:
    return Times(
        attempt=_length(said.timeout),
        lease=_length(kind.lease if said.lease is None else said.lease),
        queue=_length(said.queue_timeout),
        total=_length(said.task_timeout),
    )


def filled(node: NodeSpec, defaults: Defaults) -> NodeSpec:
    """The node, with what it does not say itself taken from the defaults."""
    unsaid = {name: getattr(defaults, name) for name in Defaults.__struct_fields__ if getattr(node, name) is None}
    return msgspec.structs.replace(node, **unsaid)


def faults(said: NodeSpec | Defaults) -> Iterator[str]:
    """What is wrong with the options that a node or a graph gives."""
    if said.max_losses is not None and said.max_losses < 1:
        yield f"max_losses is at least 1, not {said.max_losses}."
    try:
        policy(said.retry)
        for name in _TIMES:
            if _length(getattr(said, name)) == 0:
                yield f"a {name} is longer than 0."
    except ValueError as error:
        yield f"{error}."


def kind_faults(kind: KindSpec) -> Iterator[str]:
    """What is wrong with what a kind says of its tasks, besides schemas and secrets."""
    if kind.namespace is not None:
        yield "a kind is of the namespace that it is pushed to; a node says from which one it takes its kind."
    try:
        if _length(kind.lease) == 0:
            yield "a lease is longer than 0."
    except ValueError as error:
        yield f"{error}."


def _length(duration: Duration | None) -> Micros | None:
    return None if duration is None else micros(duration)
