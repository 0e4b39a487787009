"""Group commit: what arrives while the last commit runs becomes the next transaction.

Answers go out after the commit. A batch that was undone because another server was first is decided anew. One that
fails for another reason than Unavailable is tried again verb by verb, so that only the culprit gets the error. So is
one that may have been committed and may not: every verb can be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from stoker.core.duration import Micros
from stoker.engine import acting, single
from stoker.engine.dispatch import Handed, Waiter
from stoker.engine.ids import OutOfIds
from stoker.engine.inputs import MissingBlobs, fetch
from stoker.engine.known import MissingGates
from stoker.engine.observer import Observer
from stoker.engine.ports import Blobs, CommitUnknown, GuardFailed, Interrupted, Store, Tx
from stoker.engine.tools import Tools
from stoker.engine.transaction import Ask, Outcome, Transaction, Verb
from stoker.errors import StokerError, Unavailable

LARGEST_BATCH = 512

log = logging.getLogger("stoker.engine")


def _let_be(_: Verb) -> None:
    pass


class Answered(NamedTuple):
    """What a command gets back: its own answer and the tasks handed to its session."""

    value: Any
    handed: Handed | None


class Batches:
    """Gathers commands and runs them, one transaction at a time."""

    def __init__(self, store: Store, blobs: Blobs, tools: Tools, committed: Callable[[Outcome], None]) -> None:
        self._store = store
        self._blobs = blobs
        self._tools = tools
        self._ids = tools.ids
        self._clock = tools.clock
        self._dispatcher = tools.dispatcher
        self._committed = committed
        self._queue: deque[tuple[Verb, asyncio.Future[Answered]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._meanwhile: dict[int, int] = {}  # lanes that were told of while a transaction was under way
        self.observer: Observer | None = None
        self.refused_at: Micros = 0  # when the store was last unavailable

    async def submit(self, command: Verb) -> Answered:
        """Put a command into the next batch; returns after its commit."""
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        command.act = acting.current()
        self._queue.append((command, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await future

    def start(self, command: Verb, otherwise: Callable[[Verb], None] = _let_be) -> None:
        """Put a command into the next batch without waiting for it. `otherwise` is told if it cannot be carried out."""
        task = asyncio.create_task(self._quietly(command, otherwise))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def serve(self, lanes: Mapping[int, int]) -> None:
        """So many tasks may be had in these lanes: ask for those who wait there.

        A claim that is under way may have looked too early, so that its lanes are served once more when it is over.
        """
        if self._running is not None and not self._running.done():
            self._meanwhile.update(lanes)
        self._serve(lanes)

    def _serve(self, lanes: Mapping[int, int]) -> None:
        self._dispatcher.wet(lanes)
        for waiter in self._dispatcher.pick(lanes):
            self.start(Ask(waiter))

    async def _quietly(self, command: Verb, otherwise: Callable[[Verb], None]) -> None:
        try:
            await self.submit(command)
        except StokerError:
            otherwise(command)

    async def close(self) -> None:
        """Return when everything submitted has been answered."""
        while self._background:
            await asyncio.wait(self._background)
        while self._running is not None and not self._running.done():
            await asyncio.wait([self._running])

    async def _drain(self) -> None:
        while self._queue:
            batch = [(command, future) for command, future in self._next() if not future.cancelled()]
            if batch:
                await self._run(batch)
            lanes, self._meanwhile = self._meanwhile, {}
            self._serve(lanes)

    def _next(self) -> list[tuple[Verb, asyncio.Future[Answered]]]:
        """What goes into one transaction: all that waits, up to a verb that is to be alone in it."""
        batch = [self._queue.popleft()]
        while self._queue and len(batch) < LARGEST_BATCH and not (batch[-1][0].solo or self._queue[0][0].solo):
            batch.append(self._queue.popleft())
        return batch

    async def _run(self, batch: list[tuple[Verb, asyncio.Future[Answered]]]) -> None:
        commands = [command for command, _ in batch]
        began = perf_counter()
        try:
            outcome = await self._decided(commands)
        except Unavailable as error:
            self.refused_at = self._clock.now()
            for _, future in batch:
                _fail(future, error)
        except CommitUnknown as error:
            await self._replay(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, only the command that causes it gets it
            await self._single(batch, error)
        else:
            took = perf_counter() - began
            self._tell(outcome, batch)
            self._show(commands, outcome, took)

    def _show(self, commands: list[Verb], outcome: Outcome, took: float) -> None:
        if self.observer is None:
            return
        try:
            self.observer.committed(commands, outcome, took)
        except Exception:  # what watches must not stand in the way of what is watched
            log.exception("a batch could not be observed")

    async def _single(self, batch: list[tuple[Verb, asyncio.Future[Answered]]], error: Exception) -> None:
        if isinstance(error, Interrupted):
            self.refused_at = self._clock.now()
        if len(batch) == 1:
            _fail(batch[0][1], single.raced(error) if isinstance(error, GuardFailed) else error)
            return
        for one in batch:
            await self._run([one])

    async def _replay(self, batch: list[tuple[Verb, asyncio.Future[Answered]]], error: CommitUnknown) -> None:
        """Carry verbs out again, one by one: what was committed after all is recognised, and answered as done."""
        self.refused_at = self._clock.now()
        for command, future in batch:
            if command.replays:
                _fail(future, single.unknown(error))
            else:
                command.replays += 1
                await self._run([(command, future)])

    async def _decided(self, commands: list[Verb]) -> Outcome:
        """Decide anew as long as others are first, a few times."""
        for left in range(single.TRIES - 1, -1, -1):
            try:
                return await self._transact(commands)
            except GuardFailed:
                if not left:
                    raise
        raise AssertionError("the last try neither returned nor raised")

    async def _transact(self, commands: list[Verb]) -> Outcome:
        blobs: dict[str, bytes] = {}
        mark = self._ids.mark()
        while True:
            waiting: list[Waiter] = []
            work = partial(self._execute, commands, blobs, waiting)
            try:
                return await self._store.transact(work)
            except OutOfIds as need:
                self._undone(mark, waiting)
                await self._ids.reserve(need.sequence)
                mark = self._ids.mark()
            except MissingGates as need:
                self._undone(mark, waiting)
                await self._tools.keys.intern(need.names)
            except MissingBlobs as need:
                self._undone(mark, waiting)
                blobs.update({key: await fetch(self._blobs, key) for key in need.keys})
            except (
                Unavailable,
                CommitUnknown,
            ) as error:  # it may have been committed: who waits asks anew, and says what it has
                for waiter in waiting:
                    waiter.unsure = isinstance(error, CommitUnknown)
                    waiter.give(None)
                raise
            except BaseException:
                self._undone(mark, waiting)
                raise

    def _undone(self, mark: dict[str, range], waiting: list[Waiter]) -> None:
        """Take back what an undone transaction drew and picked."""
        self._ids.restore(mark)
        for waiter in waiting:
            self._dispatcher.rearm(waiter)

    async def _execute(self, commands: list[Verb], blobs: dict[str, bytes], waiting: list[Waiter], tx: Tx) -> Outcome:
        return await Transaction(self._tools, tx, blobs, waiting).execute(commands)

    def _tell(self, outcome: Outcome, batch: list[tuple[Verb, asyncio.Future[Answered]]]) -> None:
        now = self._clock.now()
        self._dispatcher.wet(outcome.lanes)
        self._dispatcher.dry(outcome.short, now)
        for position, (answer, (command, future)) in enumerate(zip(outcome.answers, batch, strict=True)):
            handed = outcome.handed.get(position)
            if isinstance(answer, StokerError):
                _fail(future, answer)
                continue
            if command.act is not None and command.note(answer) is not None:
                command.act.told = True
            if not future.done():
                future.set_result(Answered(answer, handed))
            elif handed and command.asks:
                outcome.unheard.append((command.asks[0], handed))
        for waiter in self._dispatcher.pick(outcome.left):  # armed too late to be seen, too early to see for itself
            self.start(Ask(waiter))
        self._committed(outcome)


def _fail(future: asyncio.Future[Answered], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
