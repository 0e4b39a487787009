"""Stoker: a durable runtime for graphs of compute nodes. The public names, loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stoker.authoring import (
        Cancelled,
        File,
        Graph,
        Items,
        Limit,
        Node,
        NotRetryable,
        Prune,
        Requeue,
        Requirements,
        Retry,
        Task,
        current_task,
        each,
        graph,
        loop,
        node,
        optional,
        store,
        subgraph,
        text,
        wait,
    )
    from stoker.bootstrap.embedded import embedded, run
    from stoker.errors import (
        NoResult,
        Rejected,
        RunCancelled,
        RunFailed,
        StokerError,
        Unavailable,
    )
    from stoker.runner.client import Client
    from stoker.runner.handle import RunHandle
    from stoker.runner.runner import Runner

_HOMES = {
    "stoker.authoring": (
        "Cancelled", "File", "Graph", "Items", "Limit", "Node", "NotRetryable", "Prune", "Requeue", "Requirements",
        "Retry", "Task", "current_task", "each", "graph", "loop", "node", "optional", "store", "subgraph",
        "text", "wait",
    ),
    "stoker.bootstrap.embedded": ("embedded", "run"),
    "stoker.errors": ("NoResult", "Rejected", "RunCancelled", "RunFailed", "StokerError", "Unavailable"),
    "stoker.runner.client": ("Client",),
    "stoker.runner.handle": ("RunHandle",),
    "stoker.runner.runner": ("Runner",),
}  # fmt: skip
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Cancelled",
    "Client",
    "File",
    "Graph",
    "Items",
    "Limit",
    "NoResult",
    "Node",
    "NotRetryable",
    "Prune",
    "Rejected",
    "Requeue",
    "Requirements",
    "Retry",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "Runner",
    "StokerError",
    "Task",
    "Unavailable",
    "current_task",
    "each",
    "embedded",
    "graph",
    "loop",
    "node",
    "optional",
    "run",
    "store",
    "subgraph",
    "testing",
    "text",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name == "testing":  # not imported above: it stands higher than what is
        from importlib import import_module

        return import_module("stoker.testing")
    if name not in _WHERE:
        raise AttributeError(f"module 'stoker' has no attribute {name!r}")
    from importlib import import_module

    try:
        found = getattr(import_module(_WHERE[name]), name)
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("stoker"):
            raise ImportError(
                f"stoker.{name} needs the package {error.name!r}, which is not installed: pip install 'stoker[server]'"
            ) from error
        raise
    globals()[name] = found
    return found
