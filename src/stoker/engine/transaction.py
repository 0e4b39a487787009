"""One batch inside its transaction: load what the verbs touch, decide in arrival order, write, hand out READY tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from stoker.core.decide import Fold
from stoker.core.duration import Micros
from stoker.core.model import Run, StoredItem, Task
from stoker.core.picture import Body
from stoker.core.spread import standing
from stoker.core.states import Verb as TaskVerb
from stoker.core.values import NULL
from stoker.engine.acting import Act, Note
from stoker.engine.admission import show_slots
from stoker.engine.answers import Answers
from stoker.engine.dispatch import Handed, Waiter
from stoker.engine.gates import Later
from stoker.engine.handout import Asking, Handout
from stoker.engine.inputs import MissingBlobs
from stoker.engine.ports import Lease, Tx
from stoker.engine.sessions import Promises, Session
from stoker.engine.showing import Showing
from stoker.engine.tools import Tools
from stoker.engine.versions import Versions
from stoker.errors import NotFound, StokerError, Unavailable

MOST_LEASES = 100_000  # looked at for one batch


class Batch:
    """What the commands of one batch share besides the fold."""

    def __init__(
        self,
        fold: Fold,
        versions: Versions,
        promises: Promises,
        blobs: Mapping[str, bytes],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self.fold = fold
        self.versions = versions
        self.promises = promises
        self.leases: dict[int, list[Lease]] = {}  # by session: what the holders of this batch held before it
        self.logged: set[tuple[int, int]] = set()  # by run and task: whose logs have grown
        self.settle = settle  # what follows from the verbs so far: for one that would keep it from happening
        self._blobs = blobs

    def run(self, run: int) -> Run:
        """A run that a verb is about; NotFound if it is being deleted, or was deleted since the verb looked."""
        found = self.fold.runs.get(run)
        if found is None or found.namespace < 0:
            raise gone(run)
        return found

    def body(self, item: StoredItem) -> Body:
        """A stored item as it was reported; MissingBlobs if it must be fetched first."""
        if item.blob is None:
            return Body(item.body if item.body is not None else NULL)
        if item.blob not in self._blobs:
            raise MissingBlobs({item.blob})
        return Body(self._blobs[item.blob], item.blob)


def gone(run: int) -> NotFound:
    return NotFound(f"run {run} has just been deleted.", code="no_run", place=f"runs/{run}")


class Verb(ABC):
    """One call in a batch. It may be decided more than once, so it keeps nothing but what it was asked.

    `tasks`: to load. `runs`: to load besides those of the tasks. `spreads`: rows of these runs to load. `asks`: who
    wants tasks with the answer, how many. `waiter`: a held claim that wants tasks now or later. `holder`: whose
    leases to look at; of those, `strays` tells which are to be loaded as well. `replays`: how often it is carried out
    again although it may have been committed. `act`: the call that it is part of, if that is for the audit log. `solo`:
    it reads what the verbs before it would have changed, so it has a batch of its own.
    """

    tasks: Sequence[int] = ()
    runs: Sequence[int] = ()
    spreads: Sequence[int] = ()
    asks: tuple[Session, int] | None = None
    waiter: Waiter | None = None
    holder: Session | None = None
    replays: int = 0
    act: Act | None = None
    solo: bool = False

    def strays(self, leases: Sequence[Lease]) -> Sequence[int]:
        return ()

    @abstractmethod
    async def decide(self, tx: Tx, batch: Batch) -> Any:
        """Fold the verb in; gives its answer. Raises a StokerError before anything was folded."""

    def note(self, answer: Any) -> Note | None:
        """What the audit log is told, if people call for this; None: it was so already."""
        return None


class Ask(Verb):
    """A claim that looks whether there are tasks, and waits for some if not."""

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter

    async def decide(self, tx: Tx, batch: Batch) -> None:
        return None


class Outcome(NamedTuple):
    """What one transaction gives to be told after its commit."""

    answers: list[Any]
    handed: dict[int, Handed]  # by position of the command
    waiters: list[tuple[Waiter, Handed | None]]
    fold: Fold
    refused: dict[int, str]
    lanes: dict[int, int]  # how many tasks were put there, or may be had there since leases ended
    short: set[int]
    left: dict[int, int]  # by lane: how many of those tasks nobody was handed
    freed: dict[int, int]  # by gate: how many leases ended that nobody has taken the place of
    later: dict[int, Later]  # by lane: when to come back to tasks that a gate holds back
    promises: dict[Session, Micros]  # what the rows now say
    unheard: list[tuple[Session, Handed]]  # given to calls that were cancelled meanwhile
    deadline: Micros | None  # the earliest of the attempts handed out
    logged: set[tuple[int, int]]  # by run and task: whose logs have grown


class Transaction:
    """One batch in its transaction. `blobs`: large values fetched beforehand. `waiting`: filled with who is asked."""

    def __init__(self, tools: Tools, tx: Tx, blobs: dict[str, bytes], waiting: list[Waiter]) -> None:
        self._tools = tools
        self._tx = tx
        self._blobs = blobs
        self._waiting = waiting
        self._showing = Showing(tools, tx)
        self._answers = Answers(tools, tx, blobs, self._showing)
        self._now = tools.clock.now()
        self._promises = Promises(self._now, None if tools.alone() else {})

    async def execute(self, commands: Sequence[Verb]) -> Outcome:
        fold = Fold(now=self._now, next_id=lambda: self._tools.ids.draw("task"), dice=self._tools.dice.random)
        batch = Batch(fold, self._tools.versions, self._promises, self._blobs, partial(self._settle, fold))
        await self._load(batch, commands)
        answers = [await self._decide(command, batch) for command in commands]
        await self._settle(fold)
        handout = Handout(self._tools, self._tx, self._now, self._promises, fold)
        asking = await handout.direct(self._asking(commands, answers, handout.offered))
        await self._tx.write(fold)
        if any(command.act is not None for command in commands):
            await tell(self._tx, commands, answers)
        await handout.claim(asking, {command.waiter for command in commands if command.waiter is not None})
        await self._tx.put_sessions(self._promises.puts)
        return Outcome(
            answers=answers,
            handed={who: found for who, found in handout.handed.items() if isinstance(who, int)},
            waiters=[(waiter, handout.handed.get(waiter)) for waiter in self._waiting],
            fold=fold,
            refused=handout.refused,
            lanes=handout.lanes,
            short=handout.short,
            left=handout.left,
            freed=handout.freed,
            later=handout.later,
            promises=self._promises.made,
            unheard=[],
            deadline=handout.deadline,
            logged=batch.logged,
        )

    def _asking(self, commands: Sequence[Verb], answers: Sequence[Any], offered: Mapping[int, int]) -> list[Asking]:
        """Who is to be handed tasks: commands that want some, then claims that wait in the lanes that got some."""
        asking: list[Asking] = [
            (position, *command.asks)
            for position, command in enumerate(commands)
            if command.asks and not isinstance(answers[position], StokerError)
        ]
        own = [command.waiter for command in commands if command.waiter is not None]
        waiting = dict.fromkeys(waiter for waiter in own if not waiter.answer.done())
        if offered:
            waiting.update(dict.fromkeys(self._tools.dispatcher.pick(offered)))
        self._waiting.extend(waiting)
        return asking + [(waiter, waiter.session, waiter.want) for waiter in waiting]

    async def _decide(self, command: Verb, batch: Batch) -> Any:
        try:
            return await command.decide(self._tx, batch)
        except StokerError as error:
            if isinstance(error, Unavailable):
                raise
            return error

    # --- load ---

    async def _load(self, batch: Batch, commands: Sequence[Verb]) -> None:
        """Lock what may change, runs before tasks; only then read the join rows they touch."""
        fold = batch.fold
        tasks = {task for command in commands for task in command.tasks}
        tasks.update(await self._strays(batch, commands))
        runs = {run for command in commands for run in command.runs}
        if not tasks and not runs:
            return
        locked = await self._tx.lock(sorted(runs), sorted(tasks), partial(self._show_live, fold))
        self._promises.read(locked.promised)
        await self._showing.runs(fold, locked.runs)
        await self._showing.around(fold)
        for task in locked.tasks:
            fold.show_task(task)
        if fold.live:
            fold.show_live(await self._tx.live_nodes(list(fold.live)))
        await show_slots(self._tx, fold, (task for task in locked.tasks if task.ended is TaskVerb.LOSE))
        await self._showing.rows(fold, [*locked.tasks, *await self._load_spreads(fold, commands)])

    async def _show_live(self, fold: Fold, runs: Sequence[Run]) -> Sequence[int]:
        """Show the runs; gives those that are live, of which more is to be loaded."""
        await self._showing.runs(fold, runs)
        if any(graph.live for graph in fold.graphs.values()):
            fold.live.update({run.id: {} for run in runs if fold.graphs[run.version].live})
        return list(fold.live)

    async def _load_spreads(self, fold: Fold, commands: Sequence[Verb]) -> list[Task]:
        """Show the rows that are still there; gives a task for each whose tasks settle as they are made."""
        wanted = sorted({row for command in commands for row in command.spreads})
        found = await self._tx.spreads(wanted) if wanted else []
        for row in found:
            fold.show_spread(row)
        first = [next(standing(row)) for row in found]
        return [task for task in first if fold.node_of(task).inline or fold.node_of(task).when is not None]

    async def _strays(self, batch: Batch, commands: Sequence[Verb]) -> list[int]:
        holding = [(command, command.holder.id) for command in commands if command.holder is not None]
        if not holding:
            return []
        for lease in await self._tx.leases_of({session for _, session in holding}, MOST_LEASES):
            batch.leases.setdefault(lease.session, []).append(lease)
        return [task for command, session in holding for task in command.strays(batch.leases.get(session, []))]

    # --- what decisions want to know ---

    async def _settle(self, fold: Fold) -> None:
        fold.settle_joins()
        while fold.wants:
            await self._tx.write_items(fold)  # what is gathered may have arrived in this very batch
            wants, fold.wants = fold.wants, []
            await self._answers.answer(fold, wants)
            fold.settle_joins()


async def tell(tx: Tx, commands: Sequence[Verb], answers: Sequence[Any]) -> None:
    """Tell the audit log what calls have done: a row for each call, whatever it did it to."""
    notes: dict[int, tuple[Act, list[Note]]] = {}
    for command, answer in zip(commands, answers, strict=True):
        act, note = command.act, None if isinstance(answer, StokerError) else command.note(answer)
        if act is None or note is None:
            continue
        if command.replays and await tx.rows("audited", act.at, act.request, list(note.subjects)):
            continue  # it had been committed after all
        notes.setdefault(id(act), (act, []))[1].append(note)
    await tx.insert_audit([act.row(found) for act, found in notes.values()])
