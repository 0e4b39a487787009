"""Group commit: what arrives while the last commit runs becomes the next transaction.

Answers go out after the commit. A batch that fails for another reason than Unavailable is tried again verb by verb, so
that only the culprit gets the error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from stoker.core.duration import Micros
from stoker.engine.dispatch import Handed, Waiter
from stoker.engine.ids import OutOfIds
from stoker.engine.inputs import fetch
from stoker.engine.ports import Blobs, GuardFailed, Store, Tx
from stoker.engine.transaction import Ask, MissingBlobs, Outcome, Tools, Transaction, Verb
from stoker.errors import StokerError, Unavailable

LARGEST_BATCH = 512


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
        return await Transaction(self._tools, tx, blobs, waiting).execute(commands)

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
