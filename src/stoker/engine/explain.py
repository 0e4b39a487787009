"""One causal answer to «why is it not done»: what a task or run waits for, or what made it so."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.duration import SECOND, Micros
from stoker.core.model import GRACE, Run, Task
from stoker.core.protocol import RunnerInfo
from stoker.core.states import LIVE, RunState, Stopping, TaskState, Verb
from stoker.core.views import Explanation
from stoker.engine import livestate
from stoker.engine.catalog import when
from stoker.engine.ports import Clock, Reader
from stoker.engine.sessions import Sessions, runner_names, satisfies

FEW = 5


class Explaining:
    """Explains from the rows and from who is connected to this server."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    async def run(self, reader: Reader, run: Run, graph: Compiled) -> Explanation:
        """Why a run stands where it stands."""
        subject = f"run {run.id} of {graph.spec.name!r}"
        state = RunState(run.state).name
        match run.state:
            case RunState.RUNNING if run.stopping:
                because = await self._causes(reader, run, graph) if run.stopping is Stopping.FAILURE else []
                why = "its graph stops at the first failure" if because else "a cancel was requested"
                because.append(f"{why}; {run.open} task(s) are still to stop")
                return Explanation(subject=subject, state=f"{state} (stopping)", because=because)
            case RunState.RUNNING:
                return await self._running(reader, run, graph, subject)
            case RunState.FAILED:
                because = await self._causes(reader, run, graph)
                remedy = f"Mend the cause, then `stoker runs retry {run.id}`."
                return Explanation(subject=subject, state=state, because=because, remedy=remedy)
            case RunState.CANCELLED:
                remedy = f"`stoker runs retry {run.id}` goes on where it stopped."
                return Explanation(subject=subject, state=state, because=["it was cancelled"], remedy=remedy)
            case _:
                return Explanation(subject=subject, state=state, because=await self._unreached(reader, run, graph))

    @staticmethod
    async def _causes(reader: Reader, run: Run, graph: Compiled) -> list[str]:
        rows = await reader.rows("run_causes", run.id, graph.tolerated, FEW)
        return [
            f"task {task} ({graph.nodes[node].name}) {TaskState(state).name}: {kept or code}: {message or ''}"
            for task, node, _, _, code, kept, message, _, _, state in rows
        ]

    async def _running(self, reader: Reader, run: Run, graph: Compiled, subject: str) -> Explanation:
        because: list[str] = []
        remedy = ""
        for node, state, count in await reader.rows("live_counts", run.id):
            name = graph.nodes[node].name
            if state == TaskState.LEASED and graph.nodes[node].held:
                if graph.nodes[node].spec.subgraph is not None:
                    because.append(f"{count} child run(s) of {name!r} go on")
                    remedy = remedy or f"`stoker runs list root={run.root or run.id}` lists them."
                    continue
                because.append(f"{count} wait(s) of {name!r} are to be settled")
                remedy = remedy or f"`stoker runs waits {run.id}` lists them."
                continue
            if state == TaskState.LEASED:
                because.append(f"{count} task(s) of {name!r} are being run")
                continue
            for task in await reader.task_rows("first_ready", run.id, node):
                why = await self._ready(reader, task, run, graph.nodes[node])
                because.extend(f"{count} READY task(s) of {name!r}: {reason}" for reason in why.because)
                remedy = remedy or why.remedy
        for node, count in await reader.rows("spread_counts", run.id):
            because.append(f"{count} more task(s) of {graph.nodes[node].name!r} are being made, slice by slice")
        if graph.live:
            because += livestate.reasons(await livestate.nodes(reader, run.id, graph))
        waiting = [
            f"the join {graph.nodes[key.join].name!r} waits for {row.open} task(s) before it"
            for key, row in (await reader.run_join_rows(run.id))[:FEW]
            if row.state == 1
        ]
        return Explanation(subject=subject, state="RUNNING", because=because + waiting, remedy=remedy)

    @staticmethod
    async def _unreached(reader: Reader, run: Run, graph: Compiled) -> list[str]:
        because = ["every task has settled"]
        for node, _, _, failed, pruned, _, skipped in await reader.rows("node_counts", run.id):
            for count, word in ((failed, "FAILED and were tolerated"), (pruned, "PRUNED"), (skipped, "SKIPPED")):
                if count:
                    because.append(f"{count} task(s) of {graph.nodes[node].name!r} were {word}")
        return because

    async def task(self, reader: Reader, task: Task, run: Run, graph: Compiled) -> Explanation:
        """Why a task stands where it stands."""
        node = graph.nodes[task.node]
        subject = f"task {task.id} ({node.name}) of run {run.id}"
        if run.stopping and task.state in LIVE:
            failure = run.stopping is Stopping.FAILURE
            because = ["its run stops, since a task of it failed" if failure else "its run is being cancelled"]
            return Explanation(subject=subject, state=task.state.name, because=because)
        match task.state:
            case TaskState.READY:
                why = await self._ready(reader, task, run, node)
                because = why.because + await _history(reader, task)
                return Explanation(subject=subject, state="READY", because=because, remedy=why.remedy)
            case TaskState.LEASED if node.held:
                return await self._held(reader, task, node, subject)
            case TaskState.LEASED:
                because = [f"attempt {task.attempt} is being run {await self._by(reader, task)}"]
                if task.cancel_at is not None:
                    left = _in(task.cancel_at + GRACE - self._clock.now())
                    because.append(f"its cancel was asked for; if its runner says nothing it is CANCELLED {left}")
            case TaskState.SKIPPED:
                because = [_skipped(task.code)]
            case TaskState.SUCCEEDED:
                because = [f"attempt {task.attempt} completed {await self._by(reader, task)}"]
                if task.withheld:
                    because.append("its run was being cancelled, so nothing after it was unlocked")
            case _:
                because = []
        because += await _history(reader, task)
        remedy = ""
        if task.state in (TaskState.FAILED, TaskState.CANCELLED) and task.code != "attempts_exhausted":
            remedy = f"Mend the cause, then `stoker runs retry {run.id}`."
        return Explanation(subject=subject, state=task.state.name, because=because, remedy=remedy)

    async def _ready(self, reader: Reader, task: Task, run: Run, node: CompiledNode) -> Explanation:
        """What a READY task waits for."""
        because = []
        remedy = ""
        now = self._clock.now()
        if task.due_at is not None:
            because.append(f"{_DELAYED.get(task.ended, 'it is delayed')}; it is offered again {_in(task.due_at - now)}")
        else:
            because, remedy = await self._runners(reader, run, node)
            because += await self._limit(reader, task)
            ((ahead,),) = await reader.rows("lane_ahead", task.lane, task.order_at)
            if ahead:
                because.append(f"{ahead} task(s) stand before it in its queue")
        if task.deadline is not None:
            total = task.deadline == task.expires_at
            because.append(f"its {'task_timeout' if total else 'queue_timeout'} ends {_in(task.deadline - now)}")
        if task.ended is Verb.LOSE:
            because.append(f"its last attempt was lost with its runner (loss {task.losses})")
        return Explanation(subject="", state="READY", because=because, remedy=remedy)

    async def _held(self, reader: Reader, task: Task, node: CompiledNode, subject: str) -> Explanation:
        """What a task waits for that the engine itself holds."""
        if node.spec.subgraph is not None:
            rows = await reader.rows("children", [task.id])
            because = [f"run {child} of {node.spec.subgraph.graph!r}, its child run, goes on" for _, child in rows]
            remedy = f"See `stoker explain run:{rows[-1][1]}`." if rows else ""
            return Explanation(subject=subject, state="LEASED", because=because, remedy=remedy)
        until = f", until {when(task.deadline):%Y-%m-%d %H:%M:%S} UTC" if task.deadline is not None else ""
        then = ""
        if node.spec.wait is not None and task.deadline is not None:
            then = "; then it FAILS" if node.spec.wait.default is UNSET else "; then it takes its default"
        because = [f"it waits to be settled{until}{then}"]
        remedy = f"`stoker tasks settle {task.id} --value JSON`, or `--fail TEXT`."
        return Explanation(subject=subject, state="LEASED", because=because, remedy=remedy)

    async def _limit(self, reader: Reader, task: Task) -> list[str]:
        """What the limit of a task keeps from being run."""
        gate = await reader.gate(task.gate) if task.gate is not None else None
        if gate is None:
            return []
        live = (await reader.gate_leases([gate.id])).get(gate.id, 0)
        if not gate.slots(live):
            return [f"the limit {gate.name!r} is full: {live} of {gate.most} are being run"]
        now = self._clock.now()
        at = gate.start_at(now)
        return [f"the limit {gate.name!r} allows the next start {_in(at - now)}"] if at > now else []

    async def _runners(self, reader: Reader, run: Run, node: CompiledNode) -> tuple[list[str], str]:
        kind = node.spec.kind
        present = await self._sessions.present(reader, run.namespace)
        offering = [info for info in present.values() if kind in info.kinds]
        if not offering:
            remedy = f"Start one: `stoker runner start FILE`, where FILE defines {kind!r}."
            return [f"no connected runner offers the kind {kind!r}"], remedy
        fitting = [info for info in offering if satisfies(info, node.spec.requires)]
        if not fitting:
            return [_unmet(node, offering)], "Start a runner with what the node requires."
        return [f"{len(fitting)} connected runner(s) offer the kind {kind!r}; it waits for its turn"], ""

    async def _by(self, reader: Reader, task: Task) -> str:
        names = await runner_names(reader, {task.session} if task.session is not None else set())
        return f"by runner {names.get(task.session or 0, '?')!r}" if task.session is not None else "by the engine"


_SKIPPED = {
    "failed": "a task before this join failed",
    "pruned": "every way to this join was pruned",
    "input_missing": "the input {} comes from a task that has no item",
    "condition": "the condition on the edge to it is false",
}
_DELAYED = {
    Verb.LOSE: "its last attempt was lost and is retried after a delay",
    Verb.FAIL: "its last attempt failed and is retried after a delay",
    Verb.TIMEOUT: "its last attempt timed out and is retried after a delay",
    Verb.REQUEUE: "its runner asked for it to be offered again later",
}


def _skipped(code: str) -> str:
    """Why a task was SKIPPED: its code, which may name an input, in words."""
    reason, _, name = code.partition(": ")
    return _SKIPPED.get(reason, code).format(repr(name))


def _unmet(node: CompiledNode, offering: Sequence[RunnerInfo]) -> str:
    wanted = [f"{key}={value}" for key, value in node.spec.requires.labels.items()]
    wanted += [f"{key}>={value:g}" for key, value in node.spec.requires.resources.items()]
    return f"{len(offering)} connected runner(s) offer the kind, but none meets {', '.join(wanted)}"


def _in(left: Micros) -> str:
    return f"in {left / SECOND:.1f} s" if left > 0 else "now"


async def _history(reader: Reader, task: Task) -> list[str]:
    rows = await reader.rows("attempts", task.id)
    return [f"attempt {attempt} {outcome}: {code}: {message}" for attempt, outcome, code, message, *_ in rows[-FEW:]]
