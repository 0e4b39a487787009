"""Why a task stands where it stands."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET

from stoker.core.branch import END
from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.duration import SECOND, Micros
from stoker.core.key import title
from stoker.core.model import GRACE, Run, Task
from stoker.core.secret import MISSING
from stoker.core.states import Stopping, TaskState, Verb
from stoker.core.words import counted
from stoker.engine.catalog import when
from stoker.engine.declared import Declared
from stoker.engine.explain import again
from stoker.engine.explain.causes import Causes
from stoker.engine.explain.locked import Locked
from stoker.engine.explain.offers import Found, Offers
from stoker.engine.explain.phrases import FEW, ahead, span
from stoker.engine.ports import Clock, Keyring, Reader, Row
from stoker.engine.sessions import Sessions, runner_names

_DELAYED = {
    Verb.LOSE: "its last attempt was lost and is retried after a delay",
    Verb.FAIL: "its last attempt failed and is retried after a delay",
    Verb.TIMEOUT: "its last attempt timed out and is retried after a delay",
    Verb.REQUEUE: "its runner asked for it to be offered again later",
}


class Asked(NamedTuple):
    """Whose tasks are asked about. `namespace`: its name."""

    reader: Reader
    namespace: str
    run: Run
    graph: Compiled

    def home(self, node: CompiledNode) -> tuple[int, str]:
        """The namespace in which tasks of a node are offered: its number and its name."""
        if node.home is None or node.spec.namespace is None:
            return self.run.namespace, self.namespace
        return node.home, node.spec.namespace


class TaskReasons:
    """Reasons for one task, most important first; the history of its attempts comes last."""

    def __init__(self, sessions: Sessions, clock: Clock, keys: Keyring) -> None:
        self._sessions = sessions
        self._clock = clock
        self._offers = Offers(sessions)
        self._locked = Locked(keys)

    async def of(self, asked: Asked, task: Task) -> Found:
        found = await self._state(asked, task)
        return Found([*found.because, *await self._history(asked.reader, task)], found.remedy)

    async def _state(self, asked: Asked, task: Task) -> Found:
        node = asked.graph.nodes[task.node]
        match task.state:
            case TaskState.READY if asked.run.stopping:
                return Found([_stopping(asked.run), "it was not begun, and never will be"])
            case TaskState.READY:
                return await self.ready(asked, task)
            case TaskState.LEASED if node.held:
                return await self._held(asked.reader, task, node)
            case TaskState.LEASED:
                return Found(await self._leased(asked, task))
            case TaskState.SUCCEEDED:
                return Found(await self._succeeded(asked, task))
            case TaskState.SKIPPED:
                causes = Causes(asked.reader, asked.run.id, asked.graph)
                because = await causes.of(task)
                remedies = (again.remedy(asked.graph, asked.run, cause) for cause in causes.failures)
                return Found(because, next(remedies, ""))
            case TaskState.PRUNED:
                reason = await Causes(asked.reader, asked.run.id, asked.graph).message(task)
                return Found([f"its code ended this branch{f': {reason}' if reason else ''}"])
            case _:
                return await self._ended_badly(asked, task)

    # --- what a task waits for ---

    async def ready(self, asked: Asked, task: Task) -> Found:
        """What a READY task waits for."""
        now, node = self._clock.now(), asked.graph.nodes[task.node]
        if task.due_at is not None:
            delay = _DELAYED.get(task.ended, "it is delayed")
            found = Found([f"{delay}; it is offered again {ahead(task.due_at - now)}"])
        else:
            found = await self._offered(asked, task, node)
        because = list(found.because)
        if task.deadline is not None:
            limit = "task_timeout" if task.deadline == task.expires_at else "queue_timeout"
            because.append(f"its {limit} ends {ahead(task.deadline - now)}; then it FAILS")
        if task.ended is Verb.LOSE and task.due_at is None:
            lost = f"was lost with its runner (loss {task.losses} of at most {node.max_losses})"
            late = "what that still reports counts, unless the task is claimed first"
            if task.until is not None:
                lost, late = lost.replace("with its runner", "at the end of its lease"), "it can report no more"
            because.append(f"attempt {task.attempt} {lost}; {late}")
        locked = await self._lacking(asked, node)
        return Found([*locked.because, *because], locked.remedy or found.remedy)

    async def _lacking(self, asked: Asked, node: CompiledNode) -> Found:
        number, name = asked.home(node)
        where = "" if name == "default" else f" --namespace {name}"
        declared = Declared(asked.run.namespace, asked.graph.spec.name, node.kind.secrets)
        return await self._locked.of(asked.reader, declared, number, where)

    async def _offered(self, asked: Asked, task: Task, node: CompiledNode) -> Found:
        gate = await self._limit(asked.reader, task)
        found = await self._offers.of(asked.reader, *asked.home(node), node)
        ((before,),) = await asked.reader.rows("lane_ahead", task.lane, task.order_at)
        stand = "stands" if before == 1 else "stand"
        queue = [f"{counted(before, 'task')} {stand} before it in its queue"] if before else []
        return Found([*gate, *found.because, *queue], found.remedy)

    async def _limit(self, reader: Reader, task: Task) -> list[str]:
        """What the limit of a task keeps from being run."""
        gate = await reader.gate(task.gate) if task.gate is not None else None
        if gate is None:
            return []
        live = (await reader.gate_leases([gate.id])).get(gate.id, 0)
        if not gate.slots(live):
            are = "is" if live == 1 else "are"
            return [f"the limit {title(gate.name)!r} is full: {live} of {gate.most} {are} being run"]
        now = self._clock.now()
        at = gate.start_at(now)
        return [f"the limit {title(gate.name)!r} allows the next start {ahead(at - now)}"] if at > now else []

    async def _held(self, reader: Reader, task: Task, node: CompiledNode) -> Found:
        """What a task waits for that the engine itself holds."""
        if node.loop is not None:
            ((begun,),) = await reader.rows("iterations", task.run, node.loop.start, task.branch, task.branch + END)
            remedy = f"See `stoker explain run:{task.run}` for what it waits for."
            return Found([f"iteration {begun} of at most {node.loop.most} goes on"], remedy)
        if node.spec.subgraph is not None:
            children = [child for _, child in await reader.rows("children", [task.id])]
            because = [f"run {child} of {node.spec.subgraph.graph!r}, its child run, goes on" for child in children]
            return Found(because, f"See `stoker explain run:{children[-1]}`." if children else "")
        until = f", until {when(task.deadline):%Y-%m-%d %H:%M:%S} UTC" if task.deadline is not None else ""
        then = ""
        if node.spec.wait is not None and task.deadline is not None:
            then = "; then it FAILS" if node.spec.wait.default is UNSET else "; then it takes its default"
        remedy = f"`stoker tasks settle {task.id} --value JSON`, or `--fail TEXT`."
        return Found([f"it waits to be settled{until}{then}"], remedy)

    # --- what is done with it ---

    async def _leased(self, asked: Asked, task: Task) -> list[str]:
        now = self._clock.now()
        begun = span(now - (task.claimed_at or now))
        because = [f"attempt {task.attempt} is being run {await self._by(asked.reader, task)}, for {begun}"]
        because += await self._progress(asked.reader, task)
        cancel_at = task.cancel_at or (asked.run.cancel_at if asked.run.stopping else None)
        if cancel_at is not None:
            why = _stopping(asked.run) if asked.run.stopping else "its cancel was asked for"
            because.insert(
                0,
                f"{why}, {span(now - cancel_at)} ago; its runner is told, and if it says nothing the task is CANCELLED "
                f"{ahead(cancel_at + GRACE - now)}",
            )
        elif task.deadline is not None and task.deadline != task.until:
            limit = "task_timeout" if task.deadline == task.expires_at else "timeout"
            because.append(f"its {limit} ends {ahead(task.deadline - now)}")
        if task.until is not None:
            lasts = f"its lease, which no beats renew, ends {ahead(task.until - now)}"
            return [*because, f"{lasts}; if nothing is reported by then, the attempt is lost"]
        return because + await self._silent(asked, task)

    async def _progress(self, reader: Reader, task: Task) -> list[str]:
        rows = await reader.rows("task_progress", task.id)
        said = [(fraction, message) for attempt, fraction, message in rows if attempt == task.attempt]
        told = [
            " ".join([*([f"{share:.0%}"] if share is not None else []), message]).strip() for share, message in said
        ]
        return [f"it says: {text}" for text in told if text]

    async def _silent(self, asked: Asked, task: Task) -> list[str]:
        """When a lease ends whose runner is away."""
        present = await self._sessions.present(asked.reader, asked.home(asked.graph.nodes[task.node])[0])
        if task.session is None or task.session in present:
            return []
        until = (await asked.reader.session_ends([task.session])).get(task.session, 0)
        again = ahead(until - self._clock.now())
        return [f"its runner is not connected; if it stays away the task is offered again {again}"]

    async def _succeeded(self, asked: Asked, task: Task) -> list[str]:
        took = _took(task.claimed_at, task.settled_at)
        because = [f"attempt {task.attempt} completed {await self._by(asked.reader, task)}{took}"]
        if task.withheld:
            because.append(
                "its run was being stopped, so nothing after it was unlocked; a retry of the run makes good for that"
            )
        return because

    async def _ended_badly(self, asked: Asked, task: Task) -> Found:
        """A task that FAILED or was CANCELLED: what its last attempt said stands first in its history."""
        remedy = again.remedy(asked.graph, asked.run, task)
        if task.state is TaskState.CANCELLED:
            own = task.cancel_at is not None
            because = ["its cancel was asked for" if own else "its run was stopped before it had settled"]
            return Found(because, remedy)
        locked = await self._lacking(asked, asked.graph.nodes[task.node]) if task.code == MISSING else Found([])
        return Found([], " ".join(part for part in (locked.remedy, remedy) if part))

    async def _by(self, reader: Reader, task: Task) -> str:
        if task.session is None:
            return "by the engine"
        names = await runner_names(reader, {task.session})
        return f"by runner {names.get(task.session, '?')!r}"

    async def _history(self, reader: Reader, task: Task) -> list[str]:
        """The attempts that did not settle their task well, newest first: who had each, how it ended, what it said."""
        rows = await reader.rows("attempts", task.id)
        names = await runner_names(reader, {row[6] for row in rows if row[6] is not None})
        told = [_attempt(row, names) for row in rows[: -FEW - 1 : -1]]
        left_out = len(rows) - len(told)
        return [*told, *([f"{counted(left_out, 'attempt')} before those ended badly, too"] if left_out else [])]


def _attempt(row: Row, names: dict[int, str]) -> str:
    attempt, outcome, code, message, type_, _, session, started, ended = row
    by = f" with runner {names.get(session, '?')!r}" if session is not None else ""
    took = _took(started, ended)
    return f"attempt {attempt} {outcome}{by}{took}: {type_ or code}: {message}"


def _took(begun: Micros | None, ended: Micros | None) -> str:
    if begun is None or ended is None:
        return ""
    length = ended - begun
    return f" after {length // 1_000} ms" if length < SECOND else f" after {span(length)}"


def _stopping(run: Run) -> str:
    return (
        "its run stops, since a task of it failed" if run.stopping is Stopping.FAILURE else "its run is being cancelled"
    )
