"""Group commit: what arrives while the last commit runs becomes the next transaction.

One transaction is: load what the commands touch, decide in arrival order on one picture, write what changed, hand READY
tasks to whoever wants some. Answers go out after the commit. A batch that fails for another reason than Unavailable is
tried again command by command, so that only the culprit gets the error.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from stoker.core.branch import cut
from stoker.core.compiled import text_of
from stoker.core.decide import Fold
from stoker.core.duration import SECOND, Micros
from stoker.core.model import ItemKey, JoinKey, StoredItem, Task
from stoker.core.picture import Body, Want
from stoker.core.protocol import ABSENT, Assignment
from stoker.core.template import Place, needs, render
from stoker.core.values import NULL, BadPath, elements
from stoker.engine.dispatch import Dispatcher, Handed, Waiter
from stoker.engine.ids import Ids, OutOfIds
from stoker.engine.inputs import Sources, fetch, task_input, task_needs
from stoker.engine.ports import Blobs, Clock, Dice, GuardFailed, Store, Tx
from stoker.engine.sessions import Promises, Session
from stoker.engine.versions import Versions
from stoker.errors import StokerError, Unavailable

LARGEST_BATCH = 512
OPENS_CLAIM = 256  # tasks handed out at most for one want


class Picture:
    """What the commands of one batch share besides the fold."""

    def __init__(
        self,
        fold: Fold,
        versions: Versions,
        promises: Promises,
        blobs: Mapping[str, bytes],
        load: Callable[[Sequence[int]], Awaitable[list[Task]]],
    ) -> None:
        self.fold = fold
        self.versions = versions
        self.promises = promises
        self.load = load
        self._blobs = blobs

    def body(self, item: StoredItem) -> Body:
        """A stored item as it was reported; MissingBlobs if it must be fetched first."""
        if item.blob is None:
            return Body(item.body if item.body is not None else NULL)
        if item.blob not in self._blobs:
            raise MissingBlobs({item.blob})
        return Body(self._blobs[item.blob], item.blob)


class Verb(ABC):
    """One call in a batch. It may be decided more than once, so it keeps nothing but what it was asked.

    `tasks`: to load. `runs`: to load besides those of the tasks. `asks`: who wants tasks with the answer, how many.
    `waiter`: a held claim that wants tasks now or later.
    """

    tasks: Sequence[int] = ()
    runs: Sequence[int] = ()
    asks: tuple[Session, int] | None = None
    waiter: Waiter | None = None

    @abstractmethod
    async def decide(self, tx: Tx, picture: Picture) -> Any:
        """Fold the verb in; gives its answer. Raises a StokerError before anything was folded."""


class Ask(Verb):
    """A claim that looks whether there are tasks, and waits for some if not."""

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter

    async def decide(self, tx: Tx, picture: Picture) -> None:
        return None


class Outcome(NamedTuple):
    """What one transaction gives to be told after its commit."""

    answers: list[Any]
    handed: dict[int, Handed]  # by position of the command
    waiters: list[tuple[Waiter, Handed | None]]
    fold: Fold
    refused: dict[int, str]
    short: set[int]
    left: dict[int, int]  # by lane: how many of the tasks put there nobody was handed
    promises: dict[Session, Micros]  # what the rows now say
    unheard: list[tuple[Session, Handed]]  # given to calls that were cancelled meanwhile
    deadline: Micros | None  # the earliest of the attempts handed out


class MissingBlobs(Exception):
    """Large values are needed inside the transaction; fetch them and try again."""

    def __init__(self, keys: set[str]) -> None:
        super().__init__(f"{len(keys)} large values")
        self.keys = keys


class Answered(NamedTuple):
    """What a command gets back: its own answer and the tasks handed to its session."""

    value: Any
    handed: Handed | None


class Batches:
    """Gathers commands and runs them, one transaction at a time."""

    def __init__(
        self,
        store: Store,
        versions: Versions,
        ids: Ids,
        clock: Clock,
        dice: Dice,
        blobs: Blobs,
        dispatcher: Dispatcher,
        committed: Callable[[Outcome], None],
    ) -> None:
        self._store = store
        self._versions = versions
        self._ids = ids
        self._clock = clock
        self._dice = dice
        self._blobs = blobs
        self._dispatcher = dispatcher
        self._committed = committed
        self._queue: deque[tuple[Verb, asyncio.Future[Answered]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.refused_at: Micros = 0  # when the store was last unavailable

    async def submit(self, command: Verb) -> Answered:
        """Put a command into the next batch; returns after its commit."""
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._queue.append((command, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await future

    def start(self, command: Verb) -> None:
        """Put a command into the next batch without waiting for it."""
        task = asyncio.create_task(self._quietly(command))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _quietly(self, command: Verb) -> None:
        with suppress(StokerError):
            await self.submit(command)

    async def close(self) -> None:
        """Return when everything submitted has been answered."""
        while self._background:
            await asyncio.wait(self._background)
        while self._running is not None and not self._running.done():
            await asyncio.wait([self._running])

    async def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(LARGEST_BATCH, len(self._queue)))]
            batch = [(command, future) for command, future in batch if not future.cancelled()]
            if batch:
                await self._run(batch)

    async def _run(self, batch: list[tuple[Verb, asyncio.Future[Answered]]]) -> None:
        try:
            outcome = await self._transact([command for command, _ in batch])
        except Unavailable as error:
            self.refused_at = self._clock.now()
            for _, future in batch:
                _fail(future, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, only the command that causes it gets it
            if len(batch) == 1:
                _fail(batch[0][1], _told(error))
                return
            for single in batch:
                await self._run([single])
        else:
            self._tell(outcome, batch)

    async def _transact(self, commands: list[Verb]) -> Outcome:
        blobs: dict[str, bytes] = {}
        while True:
            mark = self._ids.mark()
            waiting: list[Waiter] = []
            work = partial(self._execute, commands, blobs, waiting)
            try:
                return await self._store.transact(work)
            except OutOfIds as need:
                self._ids.restore(mark)
                self._give_up(waiting)
                await self._ids.reserve(need.sequence)
            except MissingBlobs as need:
                self._ids.restore(mark)
                self._give_up(waiting)
                blobs.update({key: await fetch(self._blobs, key) for key in need.keys})
            except Unavailable:  # it may have been committed: who waits asks anew, and says what it has
                for waiter in waiting:
                    waiter.give(None)
                raise
            except BaseException:
                self._give_up(waiting)
                raise

    async def _execute(self, commands: list[Verb], blobs: dict[str, bytes], waiting: list[Waiter], tx: Tx) -> Outcome:
        return await _Transaction(self, tx, blobs, waiting).execute(commands)

    def _give_up(self, waiting: list[Waiter]) -> None:
        for waiter in waiting:
            self._dispatcher.rearm(waiter)

    def _tell(self, outcome: Outcome, batch: list[tuple[Verb, asyncio.Future[Answered]]]) -> None:
        now = self._clock.now()
        self._dispatcher.wet(outcome.fold.lanes)
        self._dispatcher.dry(outcome.short, now)
        for position, (answer, (command, future)) in enumerate(zip(outcome.answers, batch, strict=True)):
            handed = outcome.handed.get(position)
            if isinstance(answer, StokerError):
                _fail(future, answer)
            elif not future.done():
                future.set_result(Answered(answer, handed))
            elif handed and command.asks:
                outcome.unheard.append((command.asks[0], handed))
        for waiter in self._dispatcher.pick(outcome.left):  # armed too late to be seen, too early to see for itself
            self.start(Ask(waiter))
        self._committed(outcome)


def _fail(future: asyncio.Future[Answered], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _told(error: Exception) -> Exception:
    """What a caller is told of an error that its command alone caused."""
    if isinstance(error, GuardFailed):
        return Unavailable(
            f"another writer changed what was to be changed ({error}).", code="raced", remedy="Ask again."
        )
    return error


class _Transaction:
    """One batch inside its transaction."""

    def __init__(self, batches: Batches, tx: Tx, blobs: dict[str, bytes], waiting: list[Waiter]) -> None:
        self._tx = tx
        self._versions = batches._versions
        self._ids = batches._ids
        self._dispatcher = batches._dispatcher
        self._blobs = blobs
        self._waiting = waiting
        self._now = batches._clock.now()
        self._dice = batches._dice
        self._promises = Promises(tx, self._now)
        self._refused: dict[int, str] = {}
        self._short: set[int] = set()
        self._given: Counter[int] = Counter()
        self._deadlines: set[Micros] = set()

    def _fold(self) -> Fold:
        return Fold(now=self._now, next_id=lambda: self._ids.draw("task"), dice=self._dice.random)

    async def execute(self, commands: Sequence[Verb]) -> Outcome:
        fold = self._fold()
        load = partial(self._load_tasks, fold)
        picture = Picture(fold, self._versions, self._promises, self._blobs, load)
        await self._load(fold, commands)
        answers = [await self._decide(command, picture) for command in commands]
        await self._settle(fold)
        await self._tx.write(fold)
        handed, waiters = await self._hand_out(fold, commands, answers)
        return Outcome(
            answers=answers,
            handed=handed,
            waiters=waiters,
            fold=fold,
            refused=self._refused,
            short=self._short,
            left={lane: tasks - self._given[lane] for lane, tasks in fold.lanes.items() if tasks > self._given[lane]},
            promises=self._promises.made,
            unheard=[],
            deadline=min(self._deadlines, default=None),
        )

    async def _decide(self, command: Verb, picture: Picture) -> Any:
        try:
            return await command.decide(self._tx, picture)
        except StokerError as error:
            if isinstance(error, Unavailable):
                raise
            return error

    # --- load ---

    async def _load(self, fold: Fold, commands: Sequence[Verb]) -> None:
        """Runs are read (and in a database with row locks: locked) before tasks; then the join rows they touch."""
        await self._load_runs(fold, {run for command in commands for run in command.runs})
        await self._load_tasks(fold, sorted({task for command in commands for task in command.tasks}))

    async def _load_tasks(self, fold: Fold, ids: Sequence[int]) -> list[Task]:
        """Show these tasks to the fold, with their runs and the join rows they touch; gives those not shown before."""
        new = [id_ for id_ in ids if id_ not in fold.tasks]
        tasks = await self._tx.tasks(new) if new else []
        await self._load_runs(fold, {task.run for task in tasks})
        for task in tasks:
            fold.show_task(task)
        await self._load_rows(fold, tasks)
        return tasks

    async def _load_runs(self, fold: Fold, run_ids: set[int]) -> None:
        new = sorted(run_ids - fold.runs.keys())
        for run in await self._tx.runs(new) if new else ():
            fold.show_run(run, (await self._versions.get(self._tx, run.version)).graph)

    async def _load_rows(self, fold: Fold, tasks: Sequence[Task]) -> None:
        keys = set()
        for task in tasks:
            graph = fold.graph_of(task)
            for join in graph.nodes[task.node].touches:
                keys.add(JoinKey(task.run, join, cut(task.branch, graph.row_depth[join])))
        keys -= fold.rows.keys()  # what an earlier verb of this batch has counted in is newer than what is stored
        if keys:
            for key, row in await self._tx.join_rows(keys):
                fold.show_row(key, row)

    # --- what decisions want to know ---

    async def _settle(self, fold: Fold) -> None:
        fold.settle_joins()
        while fold.wants:
            await self._tx.write_items(fold)  # what is gathered may have arrived in this very batch
            wants, fold.wants = fold.wants, []
            for want in wants:
                await self._answer(fold, want)
            fold.settle_joins()

    async def _answer(self, fold: Fold, want: Want) -> None:
        run = fold.runs[want.run]
        graph = fold.graphs[run.version]
        node = graph.nodes[want.node]
        if want.what == "members":
            keys = [ItemKey(run.id, member, want.branch, 0) for member in node.must_have]
            there = {item.key for item in await self._tx.items(keys)}
            fold.has_members(want, [graph.nodes[key.node].name for key in keys if key not in there])
            return
        assert node.spec.expand is not None
        place, over = Place(run.id, want.node, want.branch), node.spec.expand.over
        sources = Sources(self._tx, self._blobs)
        sources.show(fold.new_inputs)
        await sources.load(needs(graph, place, over), limit=None)
        if sources.missing_blobs:
            raise MissingBlobs(sources.missing_blobs)
        try:
            fold.expanded(want, elements(render(graph, place, over, sources.found)))
        except BadPath as error:
            fold.unbound(want, f"{node.name!r} expands a list, but {error}")

    # --- hand out ---

    async def _hand_out(
        self, fold: Fold, commands: Sequence[Verb], answers: Sequence[Any]
    ) -> tuple[dict[int, Handed], list[tuple[Waiter, Handed | None]]]:
        """Claim for the commands that want tasks, then for waiters on the lanes that got some."""
        asking: list[tuple[int | Waiter, Session, int]] = []
        own = [command.waiter for command in commands if command.waiter is not None]
        waiting = dict.fromkeys(waiter for waiter in own if not waiter.answer.done())
        for position, command in enumerate(commands):
            wanted = command.asks
            if wanted and wanted[1] > 0 and not isinstance(answers[position], StokerError):
                asking.append((position, *wanted))
        if fold.lanes:
            waiting.update(dict.fromkeys(self._dispatcher.pick(fold.lanes)))
        self._waiting.extend(waiting)
        asking.extend((waiter, waiter.session, waiter.want) for waiter in waiting)
        handed = await self._claim(asking)
        by_position = {who: found for who, found in handed.items() if isinstance(who, int)}
        return by_position, [(waiter, handed.get(waiter)) for waiter in self._waiting]

    async def _claim(self, asking: list[tuple[int | Waiter, Session, int]]) -> dict[int | Waiter, Handed]:
        """One query per distinct set of lanes; its tasks go to the askers in order."""
        groups: dict[tuple[int, ...], list[tuple[int | Waiter, Session, int]]] = {}
        for who, session, want in asking:
            if session.lanes and want > 0:
                groups.setdefault(session.lanes, []).append((who, session, min(want, OPENS_CLAIM)))
        given: dict[int | Waiter, tuple[Session, list[Task]]] = {}
        taken: set[int] = set()
        for lanes, askers in groups.items():
            wanted = sum(want for _, _, want in askers)
            found = [task for task in await self._tx.claimable(lanes, wanted + len(taken)) if task.id not in taken]
            if len(found) < wanted:
                self._short.update(lanes)
            left = iter(found[:wanted])
            for who, session, want in askers:
                mine = list(islice(left, want))
                if mine:
                    given[who] = (session, mine)
                    taken.update(task.id for task in mine)
                    self._given.update(task.lane for task in mine)
        return await self._lease(given) if given else {}

    async def _lease(self, given: dict[int | Waiter, tuple[Session, list[Task]]]) -> dict[int | Waiter, Handed]:
        fold = self._fold()
        tasks = [task for _, mine in given.values() for task in mine]
        await self._load_runs(fold, {task.run for task in tasks})
        for task in tasks:
            fold.show_task(task)
        inputs = await self._inputs(fold, tasks)
        handed: dict[int | Waiter, Handed] = {}
        for who, (session, mine) in given.items():
            number = session.next_number(self._now)
            leased = [fold.claim(task, session.id, number) for task in mine if task.id in inputs]
            until = await self._promises.fresh(session)
            tasks_given = [
                self._assignment(fold, task, inputs[task.id], session.base) for task in leased if task is not None
            ]
            handed[who] = Handed(number, tasks_given, until)
        await self._tx.write(fold)
        return {who: found for who, found in handed.items() if found.tasks}

    async def _inputs(self, fold: Fold, tasks: Sequence[Task]) -> dict[int, bytes | None]:
        """The inputs of each task that can be bound; None: too large to travel along."""
        sources = Sources(self._tx)
        wanted = [need for task in tasks for need in task_needs(fold.graph_of(task), task)]
        if wanted:
            await sources.load(wanted, limit=64 * 1024)
        found: dict[int, bytes | None] = {}
        for task in tasks:
            try:
                found[task.id] = task_input(fold.graph_of(task), task, sources)
            except BadPath as error:
                self._refused[task.id] = f"the inputs cannot be bound: {error}"
        return found

    def _assignment(self, fold: Fold, task: Task, body: bytes | None, base: str) -> Assignment:
        graph = fold.graph_of(task)
        node = graph.nodes[task.node]
        if task.deadline is not None:
            self._deadlines.add(task.deadline)
        return Assignment(
            task=task.id,
            attempt=task.attempt,
            run=task.run,
            node=node.name,
            kind=node.spec.kind,
            branch=text_of(graph, task.node, task.branch) if task.branch else "",
            input=ABSENT if body is None else msgspec.Raw(body),
            input_url="" if body is not None else f"{base}/tasks/{task.id}/input?attempt={task.attempt}",
            timeout_s=None if task.deadline is None else (task.deadline - self._now) / SECOND,
            failures=task.failures,
        )
