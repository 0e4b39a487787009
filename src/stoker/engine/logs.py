"""What tasks print and log, as people read it: by page, from a cursor on; or as it comes, until nothing more can."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from stoker.core.compiled import Compiled
from stoker.core.duration import Micros
from stoker.core.filter import Sort, moment
from stoker.core.states import LIVE, RunState
from stoker.core.views import Hint, LogPage, LogView
from stoker.engine.catalog import when
from stoker.engine.events import Hub
from stoker.engine.found import Named, run_of, task_of
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import limited
from stoker.engine.ports import Clock, Reader, Row, Store
from stoker.engine.shown import branch_of
from stoker.engine.versions import Versions
from stoker.errors import Invalid, NotFound

PAGE_BYTES = 4 * 1024 * 1024  # after so much a page ends, however many chunks were asked for
SLICE = 64  # chunks read at once: 4 MiB at most
UNHEARD_S = 5.0  # between two looks at a run that may be worked on through another server
EVERY = -1  # node
GATHER_S = 0.1  # what comes first waits a moment for what follows, so that a busy log is not asked for all the time


class Target(NamedTuple):
    """Whose log it is. `over`: nothing more comes."""

    run: int
    task: int | None
    graph: Compiled
    over: bool

    @property
    def query(self) -> tuple[str, int]:
        return ("run_logs", self.run) if self.task is None else ("task_logs", self.task)


class _Wanted(NamedTuple):
    """Which chunks, and how many at most."""

    node: int
    stream: str
    since: Micros
    limit: int


class Logs:
    """`page` waits for something to show, if it is told to."""

    def __init__(self, store: Store, namespaces: Namespaces, versions: Versions, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._hub = hub
        self._clock = clock

    async def page(
        self,
        namespace: str,
        *,
        run: int | None,
        task: int | None,
        node: str | None = None,
        stream: str | None = None,
        since: str | None = None,
        limit: int,
        after: int,
        wait_s: float = 0.0,
    ) -> LogPage:
        """Chunks behind `after`, of a run or a task (of that run, if both are named), in the order of their arrival.

        `wait_s`: how long to wait for one, or for the end. Invalid for an unknown node, or a time that is none.
        """
        named = namespace, await self._namespaces.existing(namespace)
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_s
        target = await self._store.peek(partial(self._target, named=named, run=run, task=task))
        wanted = _filtered(target.graph, node, stream, since, limit, self._clock.now())
        with self._hub.listening(target.run) as hints:  # listen before looking, so that nothing is missed
            while True:
                found = await self._store.read(
                    partial(self._page, named=named, target=target, wanted=wanted, after=after)
                )
                left = ends - loop.time()
                if found.items or found.ended or left <= 0:
                    return found
                after = found.after
                await _news(hints, target.task, min(left, UNHEARD_S) if self._store.shared else left)

    async def _page(self, reader: Reader, named: Named, target: Target, wanted: _Wanted, after: int) -> LogPage:
        """First whether it is over, then what there is: so the last page misses nothing."""
        target = await self._target(reader, named, target.run, target.task)
        ((end,),) = await reader.rows("log_end", target.run)
        items: list[LogView] = []
        size = 0
        while len(items) < wanted.limit and size < PAGE_BYTES:
            most = min(SLICE, wanted.limit - len(items))
            rows = await reader.rows(*target.query, after, end or 0, wanted.since, wanted.stream, wanted.node, most)
            items += [_view(target.graph, row) for row in rows]
            if len(rows) < most:  # what the filter leaves out is passed by, too
                return LogPage(items=items, after=max(after, end or 0), ended=target.over)
            after = items[-1].cursor
            size += sum(len(row[-1]) for row in rows)
        return LogPage(items=items, after=after, ended=False)

    async def _target(self, reader: Reader, named: Named, run: int | None, task: int | None) -> Target:
        if task is None:
            assert run is not None
            found, version = await run_of(reader, self._versions, named, run)
            return Target(run, None, version.graph, found.state is not RunState.RUNNING)
        at, of, version = await task_of(reader, self._versions, named, task)
        if run not in (None, of.id):
            raise NotFound(
                f"run {run} has no task {task}.", code="no_task", place="task", remedy=f"It is of run {of.id}."
            )
        return Target(of.id, task, version.graph, at.state not in LIVE)


def _filtered(
    graph: Compiled, node: str | None, stream: str | None, since: str | None, limit: int, now: Micros
) -> _Wanted:
    return _Wanted(EVERY if node is None else _node(graph, node), stream or "", _instant(since, now), limited(limit))


def _node(graph: Compiled, name: str) -> int:
    if name not in graph.names:
        known = ", ".join(repr(node) for node in list(graph.names)[:10])
        raise Invalid(f"the graph has no node {name!r}.", code="no_node", place="node", remedy=f"Its nodes: {known}.")
    return graph.names[name]


def _instant(since: str | None, now: Micros) -> Micros:
    if since is None:
        return 0
    found = moment(since)
    if found is None:
        raise Invalid(f"{since!r} is no time.", code="bad_time", place="since", remedy=f"Give {Sort.TIME.value}.")
    return found.at(now)


async def _news(hints: asyncio.Queue[Hint | None], task: int | None, seconds: float) -> None:
    """Return when there may be something new to show, or the time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not _concerns(await hints.get(), task):
                pass
            await asyncio.sleep(GATHER_S)


def _concerns(hint: Hint | None, task: int | None) -> bool:
    if hint is None or hint.kind == "run":
        return True
    if hint.kind == "log":
        return task in (None, hint.task)
    return hint.kind == "task" and hint.task == task


def _view(graph: Compiled, row: Row) -> LogView:
    cursor, task, node, branch, attempt, stream, at, text = row
    return LogView(
        cursor=cursor,
        task=task,
        node=graph.nodes[node].name,
        branch=branch_of(graph, node, branch),
        attempt=attempt,
        stream=stream,
        at=when(at),
        text=text,
    )
