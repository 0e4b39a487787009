"""`stoker.loop`: a node or graph again and again, each time with what it returned the last time."""

from __future__ import annotations

from typing import Any

from stoker.authoring.misuse import misuse
from stoker.authoring.trace import current
from stoker.core import graph
from stoker.core.condition import BadCondition, parse

MOST = 1_000  # iterations, unless it is said


def loop(
    body: Any,
    /,
    state: Any,
    *,
    until: str | None = None,
    while_: str | None = None,
    max_iterations: int = MOST,
    name: str | None = None,
    tolerated: bool = False,
) -> Any:
    """Call `body`, a node or graph of one parameter, with the state, then with what it returned, and so on.

    `until` or `while_`: a condition in CEL over `item`, what it returned, and `index`, which iteration that was. The
    last state is the output. A failure in the body fails the loop; what is bound from outside must lie above the loop.
    """
    trace = current()
    if trace is None:
        raise misuse("stoker.loop stands outside of a graph.", "Put it into a function decorated with @stoker.graph.")
    if not callable(body) or not isinstance(getattr(body, "name", None), str):
        raise misuse(f"{body!r} is neither a node nor a graph.", "Pass a node or a graph of one parameter.")
    _check(until, while_, max_iterations)
    how = graph.Loop(next="", until=until, while_=while_, max_iterations=max_iterations)
    template = graph.NodeSpec(name=name or body.name, kind=graph.LOOP_KIND, loop=how, tolerated=tolerated)
    with trace.looping(template, state) as (given, ended):
        return ended(body(given))


def _check(until: str | None, while_: str | None, max_iterations: int) -> None:
    if (until is None) == (while_ is None):
        raise misuse(
            "a loop has until= or while_=, one of the two.", 'Write until="item.error < 0.01", item being the state.'
        )
    try:
        around = parse(until or while_ or "").around
    except BadCondition as error:
        raise misuse(f"the condition {until or while_!r} cannot be used: {error}.") from None
    if around:
        raise misuse("the condition of a loop reads `item` (the state) and `index`.", "Put the rest into the state.")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
        raise misuse(f"max_iterations= is an integer from 1, not {max_iterations!r}.")
