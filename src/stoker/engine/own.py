"""Runners that do not beat: each attempt has a lease of its own, and is proved by task and attempt alone.

The port of protocols whose clients claim, and later report on what they name. Nothing of it knows of such a protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from stoker.core.duration import Micros, micros
from stoker.core.holder import BY_ATTEMPT
from stoker.core.model import Run, Task
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import ABSENT, Report
from stoker.core.standing import Standing, standing_of, unknown
from stoker.engine.batch import Batches
from stoker.engine.callers import Callers
from stoker.engine.declared import Declared
from stoker.engine.delivery import Delivery, PutOff
from stoker.engine.dispatch import Dispatcher, Terms, Waiter
from stoker.engine.exchange import Handback
from stoker.engine.handout import OPENS_CLAIM
from stoker.engine.large import Large
from stoker.engine.leases import LONGEST_WAIT_S, may_claim
from stoker.engine.namespaces import Namespaces
from stoker.engine.own_verbs import OwnExtend, OwnReport, Recover
from stoker.engine.ports import Clock, Reader, Store
from stoker.engine.preparing import Preparing
from stoker.engine.sessions import Session
from stoker.engine.transaction import Ask, Verb
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, NotFound

Attempt = tuple[int, int]


class Own:
    """What such runners call, through what translates their words."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        callers: Callers,
        versions: Versions,
        batches: Batches,
        dispatcher: Dispatcher,
        delivery: Delivery,
        preparing: Preparing,
        large: Large,
        clock: Clock,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._callers = callers
        self._versions = versions
        self._batches = batches
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._preparing = preparing
        self._large = large
        self._clock = clock
        self._last: Micros = 0
        self._owed: list[Verb] = []

    # --- claim ---

    async def claim(self, namespace: str, asked: OwnClaim, kinds: frozenset[str] = frozenset()) -> list[OwnTask]:
        """Long-poll for tasks; none if there were none in time. Cancelling this call hands back what it was given.

        `kinds`: those that the caller may claim; none: all. Forbidden if it asks for others.
        """
        may_claim(asked.kinds, kinds)
        if asked.want <= 0 or not asked.kinds:
            return []
        session = await self._callers.session(await self._namespaces.made(namespace), asked)
        self._pay()
        if session.streams:
            session.crowded_at = self._clock.now()
        session.streams += 1
        left = False
        try:
            return await self._wait(session, asked)
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            session.streams -= 1
            session.answered_at = 0 if left else self._clock.now()  # who hangs up is not about to ask again

    async def _wait(self, session: Session, asked: OwnClaim) -> list[OwnTask]:
        """Ask until something was given or the time is up. A claim is also woken for nothing: lanes have moved."""
        loop = asyncio.get_running_loop()
        over = loop.time() + min(asked.wait_s, LONGEST_WAIT_S)
        room = await self._callers.room(session, asked)
        while True:
            tasks = await self._ask(session, asked, room, over - loop.time())
            if len(tasks) >= OPENS_CLAIM:
                return await self._filled(session, asked, room, tasks)
            if tasks or loop.time() >= over or self._dispatcher.ended:
                return tasks

    async def _filled(self, session: Session, asked: OwnClaim, room: int, tasks: list[OwnTask]) -> list[OwnTask]:
        """More of a backlog than one transaction hands out, for who has room for more: all of it, or none."""
        more = len(tasks)
        try:
            while more >= OPENS_CLAIM and len(tasks) < room:
                found = await self._ask(session, asked, room - len(tasks), 0.0)
                tasks, more = tasks + found, len(found)
        except BaseException:
            self._give_back(Handback(BY_ATTEMPT, [(each.task.id, each.assignment.attempt) for each in tasks]))
            raise
        return tasks

    async def _ask(self, session: Session, asked: OwnClaim, room: int, wait_s: float) -> list[OwnTask]:
        waiter = Waiter(session, room, Terms(micros(asked.lease_s), self._next_number()))
        self._callers.begin(waiter, min(asked.want, room))
        self._dispatcher.arm(waiter)
        try:
            return await self._answer(waiter, wait_s)
        finally:
            self._callers.end(waiter)
            self._dispatcher.disarm(waiter)
            self._abandon(waiter)

    async def _answer(self, waiter: Waiter, wait_s: float) -> list[OwnTask]:
        if self._dispatcher.worth_asking(waiter.session.lanes, self._clock.now()) and not waiter.answer.done():
            self._dispatcher.reserve(waiter)
            await self._batches.submit(Ask(waiter))
        await asyncio.wait([waiter.answer], timeout=max(0.0, wait_s))
        handed = waiter.answer.result() if waiter.answer.done() else None
        if handed is None:
            return []
        found = [OwnTask(*each) for each in zip(handed.tasks, handed.rows, strict=True)]
        tasks = [whole for task in found if (whole := await self._whole(task)) is not None]
        waiter.taken = True
        return tasks

    def _next_number(self) -> int:
        """Answers are numbered by time, no two of a server alike."""
        self._last = max(self._last + 1, self._clock.now())
        return self._last

    async def _whole(self, task: OwnTask) -> OwnTask | None:
        """The task with its input; None if that was too large to travel along, and cannot be bound."""
        if task.assignment.input is not ABSENT:
            return task
        version = await self._store.read(lambda reader: self._version(reader, task.assignment.run))
        try:
            parts = [part async for part in await self._large.input(task.task, version)]
        except (Conflict, NotFound):  # it has failed by that, or is not ours any more
            return None
        body = msgspec.Raw(b"".join(parts))
        return task._replace(assignment=msgspec.structs.replace(task.assignment, input=body))

    async def _version(self, reader: Reader, run: int) -> Version:
        (found,) = await reader.runs([run])
        return await self._versions.get(reader, found.version)

    def _abandon(self, waiter: Waiter) -> None:
        """A claim that was given tasks after its call had ended hands them back; or looks whether it was given any."""
        if waiter.unsure and waiter.terms is not None:
            lost = Recover(waiter.session, waiter.terms.number)
            self._owed.append(lost)  # the database may carry it out a moment after we look
            self._give_back(lost)
        if waiter.taken or not waiter.answer.done():
            waiter.answer.cancel()
        elif handed := waiter.answer.result():
            self._give_back(Handback(BY_ATTEMPT, [(task.task, task.attempt) for task in handed.tasks]))

    def _give_back(self, verb: Verb) -> None:
        """What fails is owed until the next claim of anybody: no beat would give it back."""
        self._batches.start(verb, self._owed.append)

    def _pay(self) -> None:
        owed, self._owed = self._owed, []
        for verb in owed:
            self._give_back(verb)

    # --- what is said of an attempt ---

    async def report(self, namespace: str, report: Report, kinds: frozenset[str] = frozenset()) -> Standing:
        """Settle what is reported, or say why nothing was changed. `kinds`: as in a claim; others are unknown."""
        number = await self._number_of(namespace)
        if number is None:
            return unknown(report.task, report.attempt)
        told: Standing = (
            await self._batches.submit(OwnReport(number, await self._preparing.report(number, report), kinds))
        ).value
        return told

    async def extend(
        self, namespace: str, task: int, attempt: int, lease_s: float, *, shorten: bool = False
    ) -> Standing:
        """Have a lease last so long from now on; earlier than it would have it ends only if `shorten`."""
        number = await self._number_of(namespace)
        if number is None:
            return unknown(task, attempt)
        verb = OwnExtend(number, task, attempt, micros(lease_s), shorten=shorten)
        told: Standing = (await self._batches.submit(verb)).value
        return told

    async def standing(self, namespace: str, attempts: Sequence[Attempt]) -> list[Standing]:
        """Where attempts stand, in the order asked."""
        number = await self._number_of(namespace)

        async def find(reader: Reader) -> dict[int, tuple[Task, Run]]:
            tasks = await reader.tasks(sorted({task for task, _ in attempts}))
            runs = {run.id: run for run in await reader.runs(sorted({task.run for task in tasks}))}
            graphs = {run.version: (await self._versions.get(reader, run.version)).graph for run in runs.values()}
            offered = {task.id: graphs[runs[task.run].version].nodes[task.node].home for task in tasks}
            return {
                task.id: (task, runs[task.run])
                for task in tasks
                if (offered[task.id] or runs[task.run].namespace) == number
            }

        found = await self._store.read(find) if number is not None else {}
        return [
            standing_of(*found[task], attempt) if task in found else unknown(task, attempt)
            for task, attempt in attempts
        ]

    async def release(self, namespace: str, attempts: Sequence[Attempt]) -> None:
        """Give back what an answer carried that could not be written. Nobody waits for that."""
        if attempts and await self._number_of(namespace) is not None:
            self._give_back(Handback(BY_ATTEMPT, list(attempts)))

    async def secrets(
        self, namespace: str, task: int, attempt: int, kinds: frozenset[str] = frozenset()
    ) -> dict[str, str]:
        """The secrets that the kind of a leased task declares and that are set.

        NotFound if the attempt is unknown, or of a kind that the caller may not claim; Conflict if it is not leased
        (any more). What cannot be opened here is offered again later: it is not leased any more then, either.
        """
        (standing,) = await self.standing(namespace, [(task, attempt)])
        if standing.now is None:
            raise _no_attempt(task, attempt)
        run, node = standing.now.run, standing.now.node
        version = await self._store.read(lambda reader: self._version(reader, run))
        kind = version.graph.nodes[node].kind
        if kinds and kind.name not in kinds:
            raise _no_attempt(task, attempt)
        if standing.reason:
            raise _not_leased(task, attempt)
        declared = Declared(version.namespace, version.graph.spec.name, kind.secrets)
        opened, shut = await self._delivery.open(await self._namespaces.existing(namespace), declared)
        if shut:
            await self._batches.submit(PutOff(BY_ATTEMPT, [(task, attempt)]))
            raise _not_leased(task, attempt)
        return opened

    async def _number_of(self, namespace: str) -> int | None:
        """The number of a namespace, if it is one."""
        try:
            return await self._namespaces.existing(namespace)
        except NotFound:
            return None


def _no_attempt(task: int, attempt: int) -> NotFound:
    return NotFound(f"there is no attempt {attempt} of a task {task} here.", code="no_task", place="task")


def _not_leased(task: int, attempt: int) -> Conflict:
    return Conflict(
        f"attempt {attempt} of task {task} is not leased.",
        code="not_leased",
        place=f"tasks/{task}",
        remedy="Its lease ended, or it has settled; drop it.",
    )
