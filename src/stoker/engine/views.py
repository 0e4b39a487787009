"""What people ask about runs, tasks and runners: read-only, paged by key."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from stoker.core.compiled import Compiled
from stoker.core.protocol import RunnerInfo
from stoker.core.states import LIVE
from stoker.core.views import (
    AttemptView,
    Cause,
    Explanation,
    ForkedFrom,
    Page,
    RunnerView,
    RunView,
    TaskView,
)
from stoker.engine import livestate
from stoker.engine.catalog import when
from stoker.engine.found import run_of, task_of
from stoker.engine.namespaces import Namespaces
from stoker.engine.past import past_page, unfiltered
from stoker.engine.ports import Clock, Keyring, Reader, Row, Store
from stoker.engine.sessions import Sessions, runner_names
from stoker.engine.shown import branch_of, maybe, run_view, schedules_of, tags_of, task_runners, task_view
from stoker.engine.tally import node_counts
from stoker.engine.versions import Versions

if TYPE_CHECKING:
    from stoker.engine.explain.explaining import Explaining
    from stoker.engine.lists import Lists

MOST_CAUSES = 10


class Views:
    """Answers from the readers' connections; never waits for a writer."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        versions: Versions,
        sessions: Sessions,
        clock: Clock,
        keys: Keyring,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._sessions = sessions
        self._clock = clock
        self._keys = keys

    @cached_property
    def _lists(self) -> Lists:
        from stoker.engine.lists import Lists  # as below

        return Lists(self._store, self._clock)

    @cached_property
    def _explaining(self) -> Explaining:
        from stoker.engine.explain.explaining import Explaining  # few ask, and it is much

        return Explaining(self._sessions, self._clock, self._keys)

    async def run(self, namespace: str, run: int) -> RunView:
        """One run with the counts of its nodes and the first causes of its failure."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> RunView:
            found, version = await run_of(reader, self._versions, (namespace, number), run)
            keys, forks = await reader.rows("run_key_of", run), await reader.rows("fork_of", run)
            imported = await reader.rows("imported", found.root or run)
            tags = (await tags_of(reader, [run])).get(run, {})
            schedule = (await schedules_of(reader, [found])).get(found.schedule or 0)
            view = run_view(namespace, found, version.graph.spec.name, version.number, tags, schedule)
            tolerated = version.graph.tolerated
            causes = await reader.rows("run_causes", run, tolerated, MOST_CAUSES) if found.failed else []
            return msgspec.structs.replace(
                view,
                idempotency_key=keys[0][0] if keys else None,
                imported=imported[0][0] if imported else None,
                fork=next((ForkedFrom(run=of, node=node, branch=at) for of, node, at in forks), None),
                nodes=await node_counts(reader, found, version.graph),
                causes=[_cause(version.graph, row) for row in causes],
                live=await livestate.nodes(reader, run, version.graph) if version.graph.live else [],
            )

        return await self._store.read(find)

    async def runs(
        self,
        namespace: str,
        *,
        limit: int,
        after: str | None,
        state: str | None = None,
        graph: str | None = None,
        filter: str = "",  # noqa: A002  the word of the API
    ) -> Page[RunView]:
        """Runs that a filter asks for, newest first. `state` and `graph` are further terms of it."""
        number = await self._namespaces.existing(namespace)
        terms = self._lists.run_terms(filter, state=state, graph=graph)
        return await self._lists.run_views(namespace, number, terms, limit, after)

    async def tasks(
        self,
        namespace: str,
        run: int,
        *,
        limit: int,
        after: str | None,
        state: str | None = None,
        node: str | None = None,
        filter: str = "",  # noqa: A002  as above
        past: bool = False,
    ) -> Page[TaskView]:
        """The tasks of a run that a filter asks for, by node and branch. `state` and `node` are further terms of it.

        `past`: those that a re-run has replaced, which have no filter.
        """
        if past:
            unfiltered(filter)
        number = await self._namespaces.existing(namespace)
        terms = self._lists.task_terms(filter, state=state, node=node)

        async def find(reader: Reader) -> Page[TaskView]:
            _, version = await run_of(reader, self._versions, (namespace, number), run)
            if past:
                return await past_page(reader, run, version.graph, state, node, limit, after)
            return await self._lists.task_views(reader, run, version.graph, terms, limit, after)

        return await self._store.read(find)

    async def task(self, namespace: str, task: int) -> TaskView:
        """One task, with its progress and how its last bad attempt ended."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> TaskView:
            found, run, version = await task_of(reader, self._versions, (namespace, number), task)
            past = not await reader.tasks([task])
            view = task_view(version.graph, found, await task_runners(reader, [found]), past=past)
            view = msgspec.structs.replace(
                view,
                source_hash=version.graph.nodes[found.node].kind.source_hash,
                cancel_requested=found.state in LIVE and (bool(run.stopping) or found.cancel_at is not None),
            )
            for _, child in await reader.rows("children", [task]):
                view = msgspec.structs.replace(view, child=child)
            for row in await reader.rows("last_attempt", task):
                view = msgspec.structs.replace(view, code=row[2], message=row[3])
            for attempt, fraction, message in await reader.rows("task_progress", task):
                if attempt == found.attempt:
                    view = msgspec.structs.replace(view, progress=fraction, progress_message=message)
            return view

        return await self._store.read(find)

    async def attempts(self, namespace: str, task: int) -> list[AttemptView]:
        """The attempts that did not settle their task well, oldest first."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> list[AttemptView]:
            await task_of(reader, self._versions, (namespace, number), task)
            rows = await reader.rows("attempts", task)
            runners = await runner_names(reader, {row[6] for row in rows if row[6] is not None})
            return [
                AttemptView(
                    attempt=attempt,
                    outcome=outcome,
                    code=code,
                    message=message,
                    type=type_,
                    traceback=traceback,
                    runner=runners.get(session, ""),
                    started_at=maybe(started),
                    ended_at=when(ended),
                )
                for attempt, outcome, code, message, type_, traceback, session, started, ended in rows
            ]

        return await self._store.read(find)

    async def explain_run(self, namespace: str, run: int) -> Explanation:
        """Why a run stands where it stands."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Explanation:
            found, version = await run_of(reader, self._versions, (namespace, number), run)
            return await self._explaining.run(reader, namespace, found, version.graph)

        return await self._store.read(find)

    async def explain_task(self, namespace: str, task: int) -> Explanation:
        """Why a task stands where it stands."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Explanation:
            found, run, version = await task_of(reader, self._versions, (namespace, number), task)
            answer = await self._explaining.task(reader, namespace, found, run, version.graph)
            if await reader.tasks([task]):
                return answer
            because = ["a re-run of what comes before it has replaced it", *answer.because]
            return msgspec.structs.replace(answer, because=because, remedy="")

        return await self._store.read(find)

    async def runners(self, namespace: str) -> list[RunnerView]:
        """The runners that are connected or hold leases."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> list[RunnerView]:
            connected = (await self._sessions.present(reader, number)).keys()
            rows = await reader.rows("sessions", number)
            return [_runner_view(row, connected) for row in rows if row[0] in connected or row[4]]

        return await self._store.read(find)


def _cause(graph: Compiled, row: Row) -> Cause:
    id_, node, branch, attempt, code, kept, message, type_, traceback, _ = row
    return Cause(
        task=id_,
        node=graph.nodes[node].name,
        branch=branch_of(graph, node, branch),
        attempt=attempt,
        code=kept or code,
        message=message or "",
        type=type_ or "",
        traceback=traceback or "",
    )


def _runner_view(row: Row, connected: Container[int]) -> RunnerView:
    id_, body, started, until, leases = row
    info = msgspec.json.decode(body, type=RunnerInfo)
    return RunnerView(
        session=id_,
        name=info.name,
        kinds=info.kinds,
        labels=info.labels,
        capacity=info.capacity,
        leases=leases,
        connected=id_ in connected,
        started_at=when(started),
        lease_until=when(until) if leases else None,
        version=info.version,
    )
