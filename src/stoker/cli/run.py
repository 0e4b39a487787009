"""`stoker run FILE:graph`: push, trigger, wait, print the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stoker.cli import exits, inputs, load, numbers, terminal
from stoker.cli.ending import end
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Reached, reached
from stoker.errors import Unavailable

if TYPE_CHECKING:
    from stoker.core.views import RunView

STEP_S = 0.25  # between two looks at a run that is watched
LONG_S = 30.0
GRACE = "1s"  # for tasks that still run when this command is over
AGAIN_S = 1.0  # until a server that is away is asked again

Seen = Callable[["RunView"], None]


def run(
    target: str,
    /,
    *,
    input: Annotated[list[str] | None, Parameter(name=("--input", "-i"), negative=())] = None,  # noqa: A002  its flag
    watch: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    timeout: str | None = None,
    tag: Annotated[list[str] | None, Parameter(negative=())] = None,
    priority: int = 5,
    weight: int = 1,
    store: Annotated[list[str] | None, Parameter(negative=())] = None,
    where: Where = HERE,
) -> int:
    """Run a graph of a file and print its result as JSON.

    On a server if one is configured or alive, where runners do the work; else here, in this process, with the data
    folder as its memory. Ctrl-C cancels the run.

    Exit codes: 0 succeeded, 1 failed, 2 not understood, 3 cancelled, 4 succeeded without a result, 5 still running
    when --timeout was over, 130 Ctrl-C.

    Parameters
    ----------
    target: str
        FILE:graph, such as `pipeline.py:words`. `:graph` may be left out if the file has one.
    input: list[str] | None
        An input, k=v: JSON, or text where the graph takes text. k=@PATH uploads a file, or reads JSON from it.
    watch: bool
        Show the nodes of the run while it goes on.
    timeout: str | None
        How long to wait for the end, such as 90s or 5m. The run itself goes on.
    tag: list[str] | None
        A tag, name=value, by which `stoker runs list tag.name=value` finds the run.
    priority: int
        From 0 to 9: tasks of a run of higher priority go first.
    weight: int
        From 1 to 100: so many of its tasks are claimed for one of a run of weight 1, where both have many.
    store: list[str] | None
        A value of the run's store, k=v: JSON, or text.
    """
    wait_s = numbers.seconds(timeout, "--timeout")
    tags = numbers.pairs(tag or [], "--tag")
    stored = {key: inputs.loose(value) for key, value in numbers.pairs(store or [], "--store").items()}
    graph, loaded = load.graph_of(target)
    spec = load.checked(graph).graph
    values = inputs.parse(input or [], spec.inputs, live=spec.mode == "live")
    with ExitStack() as stack:
        here = stack.enter_context(reached(where))
        if here.embedded is not None:
            stack.enter_context(_runner(here, [*loaded.nodes, graph]))
        name = here.client.push(graph).name
        unserved = [] if here.embedded is not None else _unserved(here, graph)
        handle = here.client.trigger_many(name, [values], tags, stored, priority=priority, weight=weight)[0]
        try:
            _tell(here, handle.id, graph, unserved)
            if spec.mode == "live" and here.embedded is None and not watch:
                terminal.note(
                    f"it is live: `stoker runs publish {handle.id} NODE VALUE`, `stoker runs cancel {handle.id}`"
                )
                return exits.OK
            view = _watched(here, handle.id, wait_s) if watch else wait(here, handle.id, wait_s, LONG_S)
        except KeyboardInterrupt:
            _cancel(here, handle.id)
            return exits.INTERRUPTED
        return end(here.client, view, where)


def wait(here: Reached, run: int, wait_s: float | None, step_s: float, seen: Seen = lambda _: None) -> RunView:
    """The run once it has ended, or the time is over. A server that is away is asked again: the run outlives that."""
    ends = None if wait_s is None else time.monotonic() + wait_s
    away = False
    while True:
        left = step_s if ends is None else min(step_s, max(0.0, ends - time.monotonic()))
        try:
            view = here.client.call(here.client.api.run(run, left))
        except Unavailable as error:
            if here.embedded is not None or (ends is not None and time.monotonic() >= ends):
                raise
            if not away:
                terminal.note(f"{error.message} The run is kept; asking again until the server is back.")
            away = True
            time.sleep(AGAIN_S)
            continue
        away = False
        seen(view)
        if view.state != "RUNNING" or (ends is not None and time.monotonic() >= ends):
            return view


def _watched(here: Reached, run: int, wait_s: float | None) -> RunView:
    from stoker.cli.watch import watching

    with watching() as seen:
        return wait(here, run, wait_s, STEP_S, seen)


def _runner(here: Reached, nodes: list[Any]) -> Any:
    assert here.embedded is not None
    return here.embedded.runner(nodes, namespace=here.settings.namespace, grace=GRACE)


def _unserved(here: Reached, graph: Any) -> list[str]:
    """The kinds of a graph that no runner offers. Asked before the trigger: a runner that is given a task is away.

    Asked twice before it is believed: between two claims of a runner there is a moment in which it is not connected.
    """
    missing = _missing(here, graph)
    if missing:
        time.sleep(STEP_S)
        missing &= _missing(here, graph)
    return sorted(missing)


def _missing(here: Reached, graph: Any) -> set[str]:
    views = here.client.call(here.client.api.runners())
    return {work.name for work in graph.nodes} - {
        kind for one in views if one.connected or one.leases for kind in one.kinds
    }


def _tell(here: Reached, run: int, graph: Any, unserved: list[str]) -> None:
    """Say where the run is, and whether anybody there can do its work."""
    if here.embedded is not None:
        terminal.note(f"run {run} of {graph.name!r}, in this process; data in {terminal.home(here.settings.data)}")
        return
    url = here.client.api.wire.url
    terminal.note(f"run {run} of {graph.name!r} on {url}")
    if unserved:
        terminal.note(
            f"no connected runner offers {', '.join(map(repr, unserved))}; the run waits until one does.\n"
            f"  remedy: In another terminal: stoker runner start {terminal.home(_file_of(graph))}"
        )


def _file_of(graph: Any) -> str:
    return str(graph.place).rpartition(":")[0]


def _cancel(here: Reached, run: int) -> None:
    terminal.note(f"\ncancelling run {run} (Ctrl-C again: leave at once)")
    here.client.call(here.client.api.cancel(run))
    view = wait(here, run, None, LONG_S)
    terminal.note(f"run {run} is {view.state}")
