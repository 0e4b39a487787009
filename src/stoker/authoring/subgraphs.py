"""`stoker.subgraph(g)`: a graph inside of a graph as a run of its own, instead of inlined."""

from __future__ import annotations

from typing import Any

from stoker.authoring.graphs import Graph
from stoker.authoring.handle import Handle
from stoker.authoring.misuse import misuse
from stoker.authoring.program import Policy
from stoker.authoring.trace import current
from stoker.core import graph as core


class Subgraph:
    """A graph as a node: call it, or `.map` it; each task of it is a child run, whose result is its output."""

    def __init__(self, graph: Graph[..., Any] | str, template: core.NodeSpec, policy: Policy) -> None:
        self._graph = graph
        self._template = template
        self._policy = policy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._place(args, kwargs, mapped=False)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """One child run per element of `each(...)`, or per task of a handle that was mapped."""
        return self._place(args, kwargs, mapped=True)

    def _place(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, mapped: bool) -> Handle:
        trace = current()
        if trace is None:
            raise misuse(
                f"{self._template.name!r} is called as a subgraph outside of a graph.",
                "Do it in a function decorated with @stoker.graph; outside, trigger the graph.",
            )
        if isinstance(self._graph, str):
            if args:
                raise misuse(f"the inputs of the graph {self._graph!r} are given by name.", "Write name=value.")
        else:
            kwargs = self._graph.bind(*args, **kwargs)
            trace.contain(self._graph, self._graph.nodes)
        return trace.place(self._template, kwargs, mapped=mapped, policy=self._policy)


def subgraph(
    graph: Any, /, *, name: str | None = None, tolerated: bool = False, join: Policy = "all_success"
) -> Subgraph:
    """A graph, or the name of one that was pushed, to be run as a child run: `stoker.subgraph(g)(x=handle)`.

    It is pinned to the version that is the newest when the graph around it is pushed; a graph given as an object is
    pushed along, first. A child run has tasks, logs and a result of its own; it is cancelled and retried with the run
    around it.
    """
    if not isinstance(graph, Graph | str):
        raise misuse(f"{graph!r} is neither a graph nor the name of one.", "Decorate the function with @stoker.graph.")
    called = graph if isinstance(graph, str) else graph.name
    inner = core.Subgraph(graph=called)
    template = core.NodeSpec(name=name or called, kind=core.SUBGRAPH_KIND, subgraph=inner, tolerated=tolerated)
    return Subgraph(graph, template, join)
