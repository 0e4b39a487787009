"""What people ask about runs, tasks, logs and runners: read-only, paged by key."""

from __future__ import annotations

import base64
from collections.abc import Container
from typing import Any

import msgspec

from stoker.core.compiled import Compiled, text_of
from stoker.core.duration import Micros
from stoker.core.model import Run, Task
from stoker.core.protocol import RunnerInfo
from stoker.core.states import LIVE, RunState, TaskState
from stoker.core.views import (
    AttemptView,
    Cause,
    Explanation,
    LogView,
    NodeCounts,
    Page,
    RunnerView,
    RunView,
    TaskView,
)
from stoker.engine import livestate
from stoker.engine.catalog import when
from stoker.engine.explain import Explaining
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import cursor, key, limited
from stoker.engine.ports import Clock, Reader, Row, Store
from stoker.engine.sessions import Sessions, runner_names
from stoker.engine.versions import Version, Versions
from stoker.errors import Invalid, NotFound

MOST_CAUSES = 10
_END_OF_TIME = 2**62


class Views:
    """Answers from the readers' connections; never waits for a writer."""

    def __init__(
        self, store: Store, namespaces: Namespaces, versions: Versions, sessions: Sessions, clock: Clock
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._sessions = sessions
        self._explaining = Explaining(sessions, clock)

    async def run(self, namespace: str, run: int) -> RunView:
        """One run with the counts of its nodes and the first causes of its failure."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> RunView:
            found, version = await self._run(reader, namespace, number, run)
            keys = await reader.rows("run_key_of", run)
            tags = (await _tags(reader, [run])).get(run, {})
            view = _run_view(namespace, found, version.graph.spec.name, version.number, tags)
            tolerated = version.graph.tolerated
            causes = await reader.rows("run_causes", run, tolerated, MOST_CAUSES) if found.failed else []
            return msgspec.structs.replace(
                view,
                idempotency_key=keys[0][0] if keys else None,
                nodes=await _counts(reader, found, version.graph),
                causes=[_cause(version.graph, row) for row in causes],
                live=await livestate.nodes(reader, run, version.graph) if version.graph.live else [],
            )

        return await self._store.read(find)

    async def runs(
        self, namespace: str, *, state: str | None, graph: str | None, limit: int, after: str | None
    ) -> Page[RunView]:
        """Runs, newest first."""
        number = await self._namespaces.existing(namespace)
        before = cursor(after, (int, int)) if after else (_END_OF_TIME, _END_OF_TIME)
        wanted = None if state is None else int(_state(RunState, state))
        limit = limited(limit)

        async def find(reader: Reader) -> Page[RunView]:
            found = await reader.run_rows("run_page", number, *before, wanted, graph, limit + 1)
            ids = list({run.version for run in found})
            names = {id_: (name, version) for id_, name, version in await reader.rows("version_names", ids)}
            last = found[limit - 1] if len(found) > limit else None
            tags = await _tags(reader, [run.id for run in found])
            return Page(
                items=[_run_view(namespace, run, *names[run.version], tags.get(run.id, {})) for run in found[:limit]],
                after=key(last.created_at, last.id) if last else None,
            )

        return await self._store.read(find)

    async def tasks(
        self, namespace: str, run: int, *, state: str | None, node: str | None, limit: int, after: str | None
    ) -> Page[TaskView]:
        """The tasks of a run, by node and branch."""
        number = await self._namespaces.existing(namespace)
        wanted = None if state is None else int(_state(TaskState, state))
        limit = limited(limit)

        async def find(reader: Reader) -> Page[TaskView]:
            _, version = await self._run(reader, namespace, number, run)
            graph = version.graph
            if node is not None and node not in graph.names:
                raise NotFound(f"the graph of run {run} has no node {node!r}.", code="no_node", place="node")
            at = None if node is None else graph.names[node]
            start = cursor(after, (int, str, int)) if after else (-1, "", 0)
            branch = base64.urlsafe_b64decode(start[1])
            found = await reader.task_rows("task_page", run, start[0], branch, start[2], wanted, at, limit + 1)
            runners = await _runner_names(reader, found[:limit])
            last = found[limit - 1] if len(found) > limit else None
            return Page(
                items=[_task_view(graph, task, runners) for task in found[:limit]],
                after=key(last.node, base64.urlsafe_b64encode(last.branch).decode(), last.generation) if last else None,
            )

        return await self._store.read(find)

    async def task(self, namespace: str, task: int) -> TaskView:
        """One task, with its progress and how its last bad attempt ended."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> TaskView:
            found, run, version = await self._task(reader, namespace, number, task)
            view = _task_view(version.graph, found, await _runner_names(reader, [found]))
            view = msgspec.structs.replace(
                view, cancel_requested=found.state in LIVE and (bool(run.stopping) or found.cancel_at is not None)
            )
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
            await self._task(reader, namespace, number, task)
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
                    started_at=_maybe(started),
                    ended_at=when(ended),
                )
                for attempt, outcome, code, message, type_, traceback, session, started, ended in rows
            ]

        return await self._store.read(find)

    async def logs(self, namespace: str, *, run: int | None, task: int | None, limit: int, after: int) -> list[LogView]:
        """Captured output of a run or of a task, in the order in which it arrived."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> list[LogView]:
            if task is not None:
                _, _, version = await self._task(reader, namespace, number, task)
                rows = await reader.rows("task_logs", task, after, limited(limit))
            else:
                assert run is not None
                _, version = await self._run(reader, namespace, number, run)
                rows = await reader.rows("run_logs", run, after, limited(limit))
            return [_log_view(version.graph, row) for row in rows]

        return await self._store.read(find)

    async def explain_run(self, namespace: str, run: int) -> Explanation:
        """Why a run stands where it stands."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Explanation:
            found, version = await self._run(reader, namespace, number, run)
            return await self._explaining.run(reader, found, version.graph)

        return await self._store.read(find)

    async def explain_task(self, namespace: str, task: int) -> Explanation:
        """Why a task stands where it stands."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Explanation:
            found, run, version = await self._task(reader, namespace, number, task)
            return await self._explaining.task(reader, found, run, version.graph)

        return await self._store.read(find)

    async def runners(self, namespace: str) -> list[RunnerView]:
        """The runners that are connected or hold leases."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> list[RunnerView]:
            connected = (await self._sessions.present(reader, number)).keys()
            rows = await reader.rows("sessions", number)
            return [_runner_view(row, connected) for row in rows if row[0] in connected or row[4]]

        return await self._store.read(find)

    async def _run(self, reader: Reader, namespace: str, number: int, run: int) -> tuple[Run, Version]:
        for found in await reader.runs([run]):
            if found.namespace == number:
                return found, await self._versions.get(reader, found.version)
        raise NotFound(f"the namespace {namespace!r} has no run {run}.", code="no_run", place=f"runs/{run}")

    async def _task(self, reader: Reader, namespace: str, number: int, task: int) -> tuple[Task, Run, Version]:
        for found in await reader.tasks([task]):
            (run,) = await reader.runs([found.run])
            if run.namespace == number:
                return found, run, await self._versions.get(reader, run.version)
        raise NotFound(f"the namespace {namespace!r} has no task {task}.", code="no_task", place=f"tasks/{task}")


async def _tags(reader: Reader, runs: list[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for run, name, value in await reader.rows("run_tags", runs):
        found.setdefault(run, {})[name] = value
    return found


def _run_view(namespace: str, run: Run, graph: str, version: int, tags: dict[str, str]) -> RunView:
    return RunView(
        id=run.id,
        namespace=namespace,
        graph=graph,
        version=version,
        state=RunState(run.state).name,  # type: ignore[arg-type]  # the names of the enum are the literals of the view
        stopping=bool(run.stopping) and run.state is RunState.RUNNING,
        priority=run.priority,
        created_at=when(run.created_at),
        ended_at=_maybe(run.ended_at),
        tags=tags,
        tasks=run.tasks,
    )


def _task_view(graph: Compiled, task: Task, runners: dict[int, str]) -> TaskView:
    node = graph.nodes[task.node]
    return TaskView(
        id=task.id,
        run=task.run,
        node=node.name,
        kind=node.spec.kind,
        branch=_branch(graph, task.node, task.branch),
        generation=task.generation,
        state=task.state.name,  # type: ignore[arg-type]  # as above
        attempt=task.attempt,
        failures=task.failures,
        losses=task.losses,
        created_at=when(task.created_at),
        due_at=_maybe(task.due_at),
        claimed_at=_maybe(task.claimed_at),
        settled_at=_maybe(task.settled_at),
        session=task.session,
        runner=runners.get(task.session or 0, ""),
        code=task.code,
    )


def _cause(graph: Compiled, row: Row) -> Cause:
    id_, node, branch, attempt, code, kept, message, type_, traceback, _ = row
    return Cause(
        task=id_,
        node=graph.nodes[node].name,
        branch=_branch(graph, node, branch),
        attempt=attempt,
        code=kept or code,
        message=message or "",
        type=type_ or "",
        traceback=traceback or "",
    )


def _log_view(graph: Compiled, row: Row) -> LogView:
    cursor, task, node, branch, attempt, stream, at, text = row
    return LogView(
        cursor=cursor,
        task=task,
        node=graph.nodes[node].name,
        branch=_branch(graph, node, branch),
        attempt=attempt,
        stream=stream,
        at=when(at),
        text=text,
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


def _branch(graph: Compiled, node: int, branch: bytes) -> str:
    """A task whose own expand could not be bound has no own step; it is shown without."""
    try:
        return text_of(graph, node, branch) if branch else ""
    except ValueError:
        return text_of(graph, graph.nodes[node].parent, branch)


async def _counts(reader: Reader, run: Run, graph: Compiled) -> list[NodeCounts]:
    """Where the tasks of each node stand: settled ones from the kept counts, live ones from the live index."""
    counts: dict[int, dict[str, Any]] = {}
    for node, _, *settled in await reader.rows("node_counts", run.id):
        names = ("succeeded", "failed", "pruned", "cancelled", "skipped")
        counts[node] = dict(zip(names, settled, strict=True))
    single = [node.index for node in graph.nodes if not node.counted]
    for node, state in await reader.rows("single_tasks", run.id, b"", single):
        counts[node] = {TaskState(state).name.lower(): 1}
    for node, state, count in await reader.rows("live_counts", run.id):
        counts.setdefault(node, {})[TaskState(state).name.lower()] = count
    for node, unmade in await reader.rows("spread_counts", run.id):
        found = counts.setdefault(node, {})
        found["ready"] = found.get("ready", 0) + unmade
    for node, fraction, message in await reader.rows("run_progress", run.id):
        counts.setdefault(node, {}).update(progress=fraction, message=message)
    return [
        NodeCounts(node=node.name, kind=node.spec.kind, **counts.get(node.index, {}))
        for node in graph.nodes
        if not node.inline
    ]


async def _runner_names(reader: Reader, tasks: list[Task]) -> dict[int, str]:
    return await runner_names(reader, {task.session for task in tasks if task.session is not None})


def _maybe(at: Micros | None) -> Any:
    return None if at is None else when(at)


def _state(states: type[Any], name: str) -> Any:
    if name.upper() not in states.__members__:
        known = ", ".join(states.__members__)
        raise Invalid(f"there is no state {name!r}; the states are {known}.", code="bad_state", place="state")
    return states[name.upper()]
