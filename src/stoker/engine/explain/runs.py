"""Why a run stands where it stands."""

from __future__ import annotations

from collections.abc import Callable

from stoker.core.branch import END
from stoker.core.model import GRACE, JoinKey, JoinRow, JoinState, Task
from stoker.core.states import RunState, Stopping, TaskState
from stoker.core.views import NodeCounts
from stoker.core.words import counted
from stoker.engine import livestate
from stoker.engine.explain import again
from stoker.engine.explain.causes import Causes
from stoker.engine.explain.offers import Found
from stoker.engine.explain.phrases import FEW, ahead, few, name_of, span
from stoker.engine.explain.tasks import Asked, TaskReasons
from stoker.engine.ports import Clock
from stoker.engine.sessions import runner_names
from stoker.engine.tally import node_counts

_ENDS: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("failed", lambda _: "FAILED, which is tolerated"),
    ("pruned", lambda number: f"{_were(number)} PRUNED"),
    ("cancelled", lambda number: f"{_were(number)} CANCELLED, which is tolerated"),
    ("skipped", lambda number: f"{_were(number)} SKIPPED"),
)


class RunReasons:
    """Reasons for one run, most important first."""

    def __init__(self, tasks: TaskReasons, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock

    async def of(self, asked: Asked) -> Found:
        retry = f"`stoker runs retry {asked.run.id}`"
        match asked.run.state:
            case RunState.RUNNING if asked.run.stopping:
                return Found(await self._stopping(asked))
            case RunState.RUNNING:
                return await self._running(asked)
            case RunState.FAILED:
                causes = Causes(asked.reader, asked.run.id, asked.graph)
                because = await self._causes(asked, causes)
                goes_on = again.may_go_on(asked.graph, asked.run, causes.failures)
                return Found(because, f"Mend the cause, then {retry}." if goes_on else "Start a new run.")
            case RunState.CANCELLED:
                return Found(await self._cancelled(asked), f"{retry} goes on where it stopped.")
            case RunState.SUCCEEDED:
                return Found(await self._succeeded(asked))

    # --- runs that go on ---

    async def _stopping(self, asked: Asked) -> list[str]:
        now, run = self._clock.now(), asked.run
        because = []
        if run.stopping is Stopping.FAILURE:
            causes = Causes(asked.reader, run.id, asked.graph)
            because = [*await self._causes(asked, causes), "its graph stops at the first failure"]
        since = run.cancel_at or now
        if not because:
            because = [f"a cancel was requested {span(now - since)} ago"]
        holders = await asked.reader.rows("holders", run.id)
        names = await runner_names(asked.reader, {row[0] for row in holders})
        leased = sum(row[1] for row in holders)
        if holders:
            who = few([f"{names.get(row[0], '?')!r} ({row[1]})" for row in holders])
            because.append(
                f"it waits for {counted(leased, 'task')} to end, of the runners {who}; "
                f"{ahead(since + GRACE - now)} what is left of them is CANCELLED in any case"
            )
        if (left := run.open - leased) > 0:
            because.append(f"{counted(left, 'task')} that nobody has {'is' if left == 1 else 'are'} to be cancelled")
        return because

    async def _running(self, asked: Asked) -> Found:
        """What keeps tasks from being run comes first, then what is done, then what waits for that."""
        reader, run, graph = asked.reader, asked.run, asked.graph
        waits, runs, remedies = [], [], []
        for node, state, count in sorted(map(tuple, await reader.rows("live_counts", run.id))):
            at = graph.nodes[node]
            if state == TaskState.READY:
                for task in await reader.task_rows("first_ready", run.id, node):
                    why = await self._tasks.ready(asked, task)
                    ready = f"{counted(count, 'READY task')} of {at.name!r}"
                    waits += [f"{ready}: {why.because[0]}", *why.because[1:]]
                    remedies.append(why.remedy)
            elif at.loop is not None:
                runs.append(f"{counted(count, 'loop')} of {at.name!r} {'goes' if count == 1 else 'go'} on")
            elif at.held and at.spec.subgraph is not None:
                runs.append(f"{counted(count, 'child run')} of {at.name!r} {'goes' if count == 1 else 'go'} on")
                remedies.append(f"`stoker runs list root={run.root or run.id}` lists them.")
            elif at.held:
                runs.append(f"{counted(count, 'wait')} of {at.name!r} {'is' if count == 1 else 'are'} to be settled")
                remedies.append(f"`stoker runs waits {run.id}` lists them.")
            else:
                runs.append(f"{counted(count, 'task')} of {at.name!r} {'is' if count == 1 else 'are'} being run")
        for node, count in await reader.rows("spread_counts", run.id):
            are = "is" if count == 1 else "are"
            runs.append(f"{counted(count, 'more task')} of {graph.nodes[node].name!r} {are} being made, slice by slice")
        if graph.live:
            runs += livestate.reasons(await livestate.nodes(reader, run.id, graph))
        remedy = next((remedy for remedy in remedies if remedy), "")
        return Found([*waits, *runs, *await self._joins(asked)], remedy)

    async def _joins(self, asked: Asked) -> list[str]:
        rows = await asked.reader.join_page("open_joins", asked.run.id, JoinState.OPEN, FEW)
        return [await self._join(asked, key, row) for key, row in rows]

    async def _join(self, asked: Asked, key: JoinKey, row: JoinRow) -> str:
        """What an open join waits for: the tasks before it that have not settled, as far as there are some."""
        graph = asked.graph
        members = [node.index for node in graph.nodes if key.join in node.feeds]
        states = [int(TaskState.READY), int(TaskState.LEASED)]
        found: list[Task] = await asked.reader.task_rows(
            "tasks_between", asked.run.id, members, key.branch, key.branch + END, states, "", FEW
        )
        before = [f"{name_of(graph, task)} {task.state.name}" for task in found]
        named = f": {few(before, row.open)}" if before else ""
        return f"the join {graph.nodes[key.join].name!r} waits for {counted(row.open, 'task')} before it{named}"

    # --- runs that have ended ---

    async def _causes(self, asked: Asked, causes: Causes) -> list[str]:
        rows = await asked.reader.rows("run_causes", asked.run.id, asked.graph.tolerated, FEW + 1)
        tasks = {task.id: task for task in await asked.reader.tasks([row[0] for row in rows])}
        told = [await causes.chain(tasks[row[0]]) for row in rows[:FEW]]
        if len(rows) > FEW:
            told.append(f"and others; `stoker runs get {asked.run.id}` counts them")
        return told or await causes.of_stop()

    async def _cancelled(self, asked: Asked) -> list[str]:
        run = asked.run
        took = f" {span(self._clock.now() - run.cancel_at)} ago" if run.cancel_at is not None else ""
        counts = await node_counts(asked.reader, run, asked.graph)
        cancelled = sum(count.cancelled for count in counts)
        told = [f"{counted(cancelled, 'task')} {_were(cancelled)} CANCELLED by that"] if cancelled else []
        return [f"its cancel was requested{took}", *told]

    async def _succeeded(self, asked: Asked) -> list[str]:
        """A run that has no result says first what the result lacks."""
        causes = Causes(asked.reader, asked.run.id, asked.graph)
        counts = await node_counts(asked.reader, asked.run, asked.graph)
        result = asked.graph.spec.result
        because = [] if result is None else await causes.of_binding(result)
        because.append("every task has settled")
        for name, word in _ENDS:
            because += [
                f"{counted(number, 'task')} of {count.node!r} {word(number)}"
                for count in counts
                if (number := getattr(count, name))
            ]
        unreached = [repr(count.node) for count in counts if not _any(count)]
        return [*because, *([f"nothing reached {few(unreached)}"] if unreached else [])]


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _any(count: NodeCounts) -> bool:
    return any((count.succeeded, count.failed, count.pruned, count.cancelled, count.skipped, count.ready, count.leased))
