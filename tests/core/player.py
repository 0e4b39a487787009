"""Plays runners against a memory: claims, reports of every sort, repeats, late and foreign ones, losses, cancels.

Some runs are retried by hand after their end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any

from core.graphs import KINDS, random_graph
from core.memory import Memory
from core.oracle import check, check_end, check_shape
from stoker.core import unlock
from stoker.core.compile import compile_graph
from stoker.core.compiled import CompiledNode
from stoker.core.decide import Fold
from stoker.core.graph import GraphSpec
from stoker.core.model import GRACE, SLICE, Task
from stoker.core.picture import Body
from stoker.core.protocol import ErrorInfo, Receipt
from stoker.core.reopen import may_stand
from stoker.core.states import LIVE, TaskState, Verb
from stoker.core.values import encode

MANY = 60  # tasks; from here on nothing fans out any more
AGAIN = (TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED)
ENDLESS = 4_000  # batches; a run that is not over by then never ends


def play(dice: Random, draw: Callable[[Random], GraphSpec] = random_graph) -> Memory:
    """One random graph, run in random batches to its end and compared with the oracle after each."""
    graph = compile_graph(draw(dice), KINDS)
    memory = Memory(graph, dice.random)
    check_shape(memory)
    with slices_of(dice.choice((1, 2, 3, SLICE))):
        _play(memory, dice)
    return memory


@contextmanager
def slices_of(size: int) -> Iterator[None]:
    """Make that many children of a settle at once; the rest become spread rows of as many."""
    unlock.SLICE = size  # type: ignore[attr-defined]  # imported there
    try:
        yield
    finally:
        unlock.SLICE = SLICE  # type: ignore[attr-defined]


def _play(memory: Memory, dice: Random) -> None:
    player = Player(memory, dice)
    for _ in range(dice.choices((1, 2), (9, 1))[0]):
        memory.trigger()
        check(memory)
    player.finish()
    for run in [run for run in memory.runs if dice.random() < 0.3]:
        if memory.retry(run, rerun=dice.random() < 0.5):
            check(memory)
            player.finish()
    for _ in range(dice.choice((0, 0, 1, 3))):
        if player.again():
            player.finish()


class Player:
    def __init__(self, memory: Memory, dice: Random) -> None:
        self.memory = memory
        self.dice = dice
        self.numbers = count(1)
        self.last: dict[int, tuple[Verb, int, int]] = {}
        self.luck = dice.choice((50, 200, 2_000))  # how often a task completes, of 40 more
        self.cancels = dice.random() < 0.15
        self.picks = dice.random() < 0.3  # single tasks to cancel
        self.retries = dice.choice((0, 0, 0.1))
        self.always_below = False

    def finish(self) -> None:
        """Batch after batch until nothing is live any more."""
        for _ in range(ENDLESS):
            live = self.memory.live()
            if not live and not self.memory.spreading():
                break
            if self.dice.random() < self.retries:
                self.again()
            self.batch(live)
            check(self.memory)
        check_end(self.memory)

    def again(self) -> bool:
        """Retry some task by hand, of a run that goes on or has ended; whether there was one."""
        memory, dice = self.memory, self.dice
        stopped = {run.id for run in memory.runs.values() if run.cancel_at is not None}
        tasks = [task for task in memory.tasks.values() if task.state in AGAIN and task.run not in stopped]
        tasks = [task for task in tasks if may_stand(memory.graph, task) and not memory.graph.nodes[task.node].loop]
        if not tasks:
            return False
        task = dice.choice(tasks)
        done = memory.retry(task.run, task.id, rerun=self.always_below or dice.random() < 0.6)
        check(memory)
        return done

    def batch(self, live: list[int]) -> None:
        """Some reports in one fold, in a random order of arrival, several of them perhaps of one task."""
        memory, dice = self.memory, self.dice
        memory.now += dice.choice((0, 1_000, 2_000_000, 2_000_000, 12_000_000))
        chosen = dice.sample(live, min(len(live), dice.choice((1, 1, 2, 3, 5, 8))))
        chosen += [dice.choice(list(memory.tasks)) for _ in range(dice.choice((0, 0, 1)))]
        arrivals = chosen + (dice.choices(chosen, k=dice.choice((0, 1, 3))) if chosen else [])
        spreads = [row for row in memory.spreads if dice.random() < 0.2]
        fold = memory.fold()
        memory.load(fold, sorted(set(chosen)))
        memory.load_spreads(fold, spreads)
        for row in spreads[::2]:
            self._spread(fold, row)
        for task in arrivals:
            self._act(fold, fold.tasks[task])
        if self.cancels and dice.random() < 0.1:
            for run in fold.runs.values():
                fold.stop(run)
        for row in spreads[1::2]:
            self._spread(fold, row)
        memory.conclude(fold)

    def _act(self, fold: Fold, task: Task) -> None:
        if self.dice.random() < 0.08:
            self._disturb(fold, task)
        if self.picks and self.dice.random() < 0.03:
            self._cancel(fold, task)
        elif fold.runs[task.run].stopping and self.dice.random() < 0.5:
            self._sweep(fold, task)
        elif task.state is TaskState.LEASED and task.session is None:
            self._held(fold, task)
        elif task.state is TaskState.LEASED:
            self._leased(fold, task)
        elif task.state is TaskState.READY:
            self._ready(fold, task)

    def _held(self, fold: Fold, task: Task) -> None:
        """What the engine holds: a wait is settled at last, declined or expires; a loop goes on by itself."""
        node = self.memory.graph.nodes[task.node]
        if node.spec.wait is None:
            return
        late = task.deadline is not None and task.deadline <= fold.now
        fold.expire(task)
        assert late == (fold.tasks[task.id].state is not TaskState.LEASED)
        if late or self.dice.random() < 0.6:
            return
        body = Body(encode(self._output(node)))
        if self.dice.random() < 0.2:
            fold.fail_wait(task, "no", "declined")
        elif not fold.unfit(task, body):
            fold.settle_wait(task, body)
            assert fold.tasks[task.id].state is TaskState.SUCCEEDED

    def _spread(self, fold: Fold, row: int) -> None:
        """Make the tasks of a row, or cancel them with their run; whatever else is tried changes nothing."""
        stopping, ready = fold.runs[fold.spreads[row].run].stopping, fold.spreads[row].state is TaskState.READY
        right, wrong = (fold.sweep_spread, fold.spread) if stopping else (fold.spread, fold.sweep_spread)
        before = _picture(fold)
        wrong(fold.spreads[row])
        assert _picture(fold) == before
        right(fold.spreads[row])
        assert (_picture(fold) != before) == ready
        before = _picture(fold)
        right(fold.spreads[row])
        assert _picture(fold) == before

    def _sweep(self, fold: Fold, task: Task) -> None:
        if self.dice.random() < 0.2:
            self.memory.now += GRACE
        fold.sweep(task)

    def _cancel(self, fold: Fold, task: Task) -> None:
        """One task: what nobody runs is CANCELLED at once; asking again changes nothing."""
        stopping = fold.runs[task.run].stopping
        before = TaskState.READY if task.session is None and task.state in LIVE else task.state
        fold.cancel(task)
        if not stopping and before in LIVE:
            told = fold.tasks[task.id]
            assert told.cancel_at is not None
            assert told.state is (TaskState.CANCELLED if before is TaskState.READY else TaskState.LEASED)
        now = _picture(fold)
        fold.cancel(fold.tasks[task.id])
        assert _picture(fold) == now

    def _ready(self, fold: Fold, task: Task) -> None:
        over = task.deadline is not None and task.deadline <= fold.now
        stopping = bool(fold.runs[task.run].stopping)
        if task.ended is Verb.LOSE and self.dice.random() < 0.5:
            self._late(fold, task)
        elif over and self.dice.random() < 0.5:
            fold.expire(task)
            assert (fold.tasks[task.id].state is TaskState.FAILED) != stopping
        elif task.due_at is not None:
            fold.due(task)
        else:
            held = fold.claim(task, self.dice.randint(1, 3), next(self.numbers))
            assert (held is None) == (stopping or over)
            assert held is None or (held.state is TaskState.LEASED and held.attempt == task.attempt + 1)

    def _late(self, fold: Fold, task: Task) -> None:
        """The holder of a lost task was alive after all."""
        if fold.runs[task.run].stopping:
            assert self._same(fold, lambda: self._complete(fold, task)).status == "stale"
        elif self.dice.random() < 0.5:
            assert fold.hold(task, task.attempt, task.session or 0)
            assert fold.tasks[task.id].state is TaskState.LEASED
            assert fold.tasks[task.id].losses == task.losses - 1
            assert (
                fold.tasks[task.id].failures == task.failures - self.memory.graph.nodes[task.node].losses_are_failures
            )
        else:
            self._leased(fold, task)

    def _leased(self, fold: Fold, task: Task) -> None:
        chances = {"c": self.luck, "f": 12, "p": 7, "q": 5, "r": 3}
        if task.state is TaskState.LEASED:
            chances |= {"l": 8, "t": 8}
        match self.dice.choices(list(chances), list(chances.values()))[0]:
            case "c":
                receipt = self._complete(fold, task)
                assert receipt.status in ("accepted", "invalid")
                verb = Verb.COMPLETE if receipt.status == "accepted" else Verb.FAIL
                self._reported(fold, task, verb, receipt)
            case "f":
                retryable = self.dice.random() < 0.8
                error = ErrorInfo(message="no")
                receipt = fold.fail(task.id, task.attempt, task.session or 0, error, retryable=retryable)
                self._reported(fold, task, Verb.FAIL, receipt)
            case "p":
                receipt = fold.prune(task.id, task.attempt, task.session or 0, self.dice.choice(("", "why")))
                self._reported(fold, task, Verb.PRUNE, receipt)
            case "q":
                after = self.dice.choice((0, 1_000_000))
                receipt = fold.requeue(task.id, task.attempt, task.session or 0, after)
                self._reported(fold, task, Verb.REQUEUE, receipt)
            case "r":
                receipt = fold.release(task.id, task.attempt, task.session or 0)
                self._reported(fold, task, Verb.RELEASE, receipt)
            case "l":
                fold.lose(task)
                assert fold.tasks[task.id].state is not TaskState.LEASED
            case "t":
                late = task.deadline is not None and task.deadline <= fold.now
                fold.expire(task)
                assert late == (fold.tasks[task.id].state is not TaskState.LEASED)

    def _reported(self, fold: Fold, task: Task, verb: Verb, receipt: Receipt) -> None:
        assert receipt.status in ("accepted", "invalid")
        assert fold.tasks[task.id].state is not TaskState.LEASED
        assert fold.tasks[task.id].ended is verb
        if receipt.status == "accepted":
            self.last[task.id] = (verb, task.attempt, task.session or 0)

    # --- reports that must change nothing ---

    def _disturb(self, fold: Fold, task: Task) -> None:
        """A repeat, or a report of an attempt or session that does not hold the task."""
        last = self.last.get(task.id)
        if last and last[1] == task.attempt and task.ended is last[0] and task.state is not TaskState.LEASED:
            assert self._same(fold, lambda: self._repeat(fold, task.id, *last)).status == "accepted"
        attempt, session = task.attempt - self.dice.randint(0, 1), task.session or 0
        if attempt == task.attempt:
            session += 10
        verb = self.dice.choice((Verb.COMPLETE, Verb.FAIL, Verb.PRUNE, Verb.REQUEUE, Verb.RELEASE))
        assert self._same(fold, lambda: self._repeat(fold, task.id, verb, attempt, session)).status == "stale"

    def _repeat(self, fold: Fold, task: int, verb: Verb, attempt: int, session: int) -> Receipt:
        match verb:
            case Verb.COMPLETE:
                return fold.complete(task, attempt, session, [])
            case Verb.FAIL:
                return fold.fail(task, attempt, session, ErrorInfo(message="again"), retryable=True)
            case Verb.PRUNE:
                return fold.prune(task, attempt, session, "again")
            case Verb.REQUEUE:
                return fold.requeue(task, attempt, session, 7)
            case Verb.RELEASE:
                return fold.release(task, attempt, session)
        raise AssertionError(verb)

    @staticmethod
    def _same(fold: Fold, act: Any) -> Receipt:
        before = _picture(fold)
        receipt: Receipt = act()
        assert _picture(fold) == before
        return receipt

    # --- outputs ---

    def _complete(self, fold: Fold, task: Task) -> Receipt:
        node = self.memory.graph.nodes[task.node]
        several = self.dice.choice((0, 1, 1, 2, 3)) if len(self.memory.tasks) < MANY else self.dice.randint(0, 1)
        number = several if node.kind.items == "many" else self.dice.choices((1, 0, 2), (98, 1, 1))[0]
        bodies = [Body(encode(self._output(node))) for _ in range(number)]
        return fold.complete(task.id, task.attempt, task.session or 0, bodies)

    def _output(self, node: CompiledNode) -> object:
        if any(kid.expand == () for kid in node.kids):
            return [self._element(2) for _ in range(self._width())]
        return self._element(3)

    def _element(self, depth: int) -> object:
        """An object with parts that are such objects again; some have none at all."""
        found: dict[str, object] = {"n": next(self.numbers)}
        if self.dice.random() < 0.97:
            found["parts"] = [self._element(depth - 1) for _ in range(self._width())] if depth else []
        return found

    def _width(self) -> int:
        return self.dice.choice((0, 1, 2, 2, 2, 3, 3, 7)) if len(self.memory.tasks) < MANY else self.dice.randint(0, 1)


def _picture(fold: Fold) -> object:
    rows = {key: copy.copy(row) for key, row in fold.rows.items()}
    runs = {key: copy.copy(run) for key, run in fold.runs.items()}
    spreads = dict(fold.spreads), set(fold.spent)
    return (
        dict(fold.tasks),
        spreads,
        rows,
        runs,
        len(fold.items),
        len(fold.history),
        len(fold.wants),
        copy.deepcopy(fold.counts),
    )
