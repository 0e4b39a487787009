"""Claim, extend, report, leave: what runners call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from stoker.core.duration import SECOND, Micros
from stoker.core.model import LEASE, Task
from stoker.core.protocol import ClaimAnswer, ClaimRequest, Held, ReportAnswer, ReportRequest, Stop
from stoker.core.states import TaskState
from stoker.engine.batch import Batches
from stoker.engine.delivery import Delivery
from stoker.engine.dispatch import Dispatcher, Handed, Waiter
from stoker.engine.exchange import REFUSED, Exchange, Handback, Leave, Shorten, Told
from stoker.engine.ids import Ids
from stoker.engine.large import Large, no_lease
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Reader, Store
from stoker.engine.preparing import Preparing
from stoker.engine.sessions import Session, Sessions
from stoker.engine.transaction import Ask
from stoker.engine.versions import Version, Versions
from stoker.errors import Forbidden, Unavailable

LONGEST_WAIT_S = 60.0


class Leases:
    """What runners call."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        sessions: Sessions,
        versions: Versions,
        batches: Batches,
        dispatcher: Dispatcher,
        delivery: Delivery,
        preparing: Preparing,
        large: Large,
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._sessions = sessions
        self._versions = versions
        self._batches = batches
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._preparing = preparing
        self._large = large
        self._ids = ids
        self._clock = clock

    # --- claim ---

    async def claim(self, namespace: str, request: ClaimRequest, kinds: frozenset[str]) -> ClaimAnswer:
        """Long-poll for tasks and cancels. Cancelling this call is safe: what it was given is handed back."""
        session = await self._introduce(namespace, request, kinds)
        read = session.number if request.alone else request.read
        session.streams += 1
        waiter = Waiter(session, max(0, request.want))
        self._dispatcher.arm(waiter)
        try:
            return await self._answer(session, request, waiter, read)
        finally:
            session.streams -= 1
            session.answered_at = self._clock.now()
            self._dispatcher.disarm(waiter)
            self._abandon(waiter)

    async def _introduce(self, namespace: str, request: ClaimRequest, kinds: frozenset[str]) -> Session:
        may_claim(request.runner.kinds, kinds)
        number = await self._namespaces.made(namespace)
        session = await self._sessions.introduce(number, request.session, request.runner, None)
        if session is None:
            draw = await self._ids.one("session")
            session = await self._sessions.introduce(number, request.session, request.runner, draw)
        assert session is not None
        return session

    async def _answer(self, session: Session, request: ClaimRequest, waiter: Waiter, read: int) -> ClaimAnswer:
        """First what is known now; else what the wait brings."""
        now = self._clock.now()
        if self._worth_syncing(session, request, now):
            stop = await self._sync(session, request.held, read)
            if stop:
                return ClaimAnswer(session_id=session.id, lease_s=self._left(session), stop=stop)
        if waiter.want and self._dispatcher.worth_asking(session.lanes, now) and not waiter.answer.done():
            self._dispatcher.reserve(waiter)
            await self._batches.submit(Ask(waiter))
        wait_s = min(request.wait_s, LONGEST_WAIT_S)
        await asyncio.wait([waiter.answer], timeout=wait_s)
        if not waiter.answer.done():
            return ClaimAnswer(session_id=session.id, lease_s=self._left(session))
        handed = waiter.answer.result()
        if handed and handed.secrets:
            handed = await self._delivery.fill(session, handed)  # cancelled or failed, the lease is handed back
        waiter.taken = True
        if handed:
            return self._claimed(session, handed)
        return await self._news(session)

    def _worth_syncing(self, session: Session, request: ClaimRequest, now: Micros) -> bool:
        """Whether a claim has more to settle than a beat: something to learn, an answer lost, a lease to renew."""
        lost = request.read < session.number
        renew = request.held != [] and (session.closing or session.needs_writing(now) or self._store.shared)
        return self._dispatcher.owes(session.id) or lost or renew

    async def _sync(self, session: Session, held: list[Held] | None, read: int) -> list[Stop]:
        self._dispatcher.settle(session.id)
        told: Told = (await self._batches.submit(Exchange(session, [], held, read, 0))).value
        return told.stop

    async def _news(self, session: Session) -> ClaimAnswer:
        """What a held claim was ended for. It is no beat: what the runner holds was said long ago."""
        self._dispatcher.settle(session.id)
        rows = await self._store.read(lambda reader: reader.rows("stops", session.id))
        stop = [Stop(task=task, attempt=attempt) for task, attempt in rows]
        return ClaimAnswer(session_id=session.id, lease_s=self._left(session), stop=stop)

    def _claimed(self, session: Session, handed: Handed) -> ClaimAnswer:
        return ClaimAnswer(
            number=handed.number,
            session_id=session.id,
            lease_s=max(0.0, (handed.until - self._clock.now()) / SECOND),
            tasks=handed.tasks,
        )

    def _left(self, session: Session) -> float:
        return max(0.0, min(session.until - self._clock.now(), LEASE) / SECOND)

    def _abandon(self, waiter: Waiter) -> None:
        """A waiter that was given tasks after its call had ended hands them back."""
        if waiter.taken or not waiter.answer.done():
            waiter.answer.cancel()
            return
        handed = waiter.answer.result()
        if handed:
            self.hand_back(waiter.session, handed)

    def hand_back(self, session: Session, handed: Handed) -> None:
        """Release what was leased to a session that is not there to take it."""
        leases = [(assignment.task, assignment.attempt) for assignment in handed.tasks]
        self._batches.start(Handback(session.holder, leases))

    def told(self, waiter: Waiter, handed: Handed | None) -> None:
        """After a commit: wake a waiter with its tasks, or put it back into its lanes."""
        if handed is None:
            self._dispatcher.rearm(waiter)
        elif not waiter.give(handed):
            self.hand_back(waiter.session, handed)

    async def closed(self, secret: str) -> None:
        """The claim stream of a session closed without an answer: its leases end in 5 s."""
        session = await self._sessions.find(secret)
        if session is None or session.streams:
            return
        session.answered_at = 0
        session.closing = True
        try:
            await self._batches.submit(Shorten(session))
        finally:
            session.closing = False

    async def undelivered(self, secret: str, answer: ClaimAnswer | ReportAnswer) -> None:
        """An answer could not be written: release what it carried."""
        session = await self._sessions.find(secret)
        if session is not None and answer.tasks:
            self.hand_back(session, Handed(answer.number, list(answer.tasks), 0))

    async def leave(self, namespace: str, secret: str) -> None:
        """The runner ends: release all it still holds."""
        session = await self._session(namespace, secret)
        if session is None:
            return
        self._dispatcher.retire(session.id)
        await self._batches.submit(Leave(session))
        self._sessions.forget(session)

    # --- report ---

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer:
        """Settle what a runner reports; its lease lasts on, and the answer hands it the next tasks."""
        number = await self._namespaces.made(namespace)
        session = await self._session(namespace, request.session)
        if session is None:
            return ReportAnswer(receipts=[REFUSED] * len(request.reports), lease_s=0.0, unknown_session=True)
        read = session.number if request.alone else request.read
        reported = [await self._preparing.report(number, report) for report in request.reports]
        answered = await self._batches.submit(Exchange(session, reported, request.held, read, request.want))
        told: Told = answered.value
        handed = await self._filled(session, answered.handed)
        until = handed.until if handed else told.until
        return ReportAnswer(
            receipts=told.receipts,
            number=handed.number if handed else 0,
            lease_s=max(0.0, (until - self._clock.now()) / SECOND),
            tasks=handed.tasks if handed else [],
            stop=told.stop,
        )

    async def _filled(self, session: Session, handed: Handed | None) -> Handed | None:
        """What a report is answered with; if secrets cannot be had no tasks, for the reports are settled."""
        if handed is None or not handed.secrets:
            return handed
        try:
            return await self._delivery.fill(session, handed)
        except Unavailable:
            self.hand_back(session, handed)
            return handed._replace(tasks=[])

    async def _session(self, namespace: str, secret: str) -> Session | None:
        """The session of a secret, if it is one of this namespace: who may act elsewhere learns nothing of it."""
        number = await self._namespaces.existing(namespace)
        session = await self._sessions.find(secret)
        return session if session is not None and session.namespace == number else None

    # --- inputs too large for an answer ---

    async def input(self, namespace: str, secret: str, task_id: int, attempt: int) -> AsyncIterator[bytes]:
        """The input of a leased task, as one streamed JSON object."""
        session = await self._session(namespace, secret)
        task, version = await self._leased(session, task_id, attempt)
        return await self._large.input(task, version)

    async def _leased(self, session: Session | None, task_id: int, attempt: int) -> tuple[Task, Version]:
        async def find(reader: Reader) -> tuple[Task, Version] | None:
            for task in await reader.tasks([task_id]):
                (run,) = await reader.runs([task.run])
                return task, await self._versions.get(reader, run.version)
            return None

        found = await self._store.read(find)
        if (
            found is None
            or session is None
            or (found[0].session, found[0].attempt, found[0].state) != (session.id, attempt, TaskState.LEASED)
        ):
            raise no_lease(task_id, attempt)
        return found


def may_claim(asked: Iterable[str], allowed: frozenset[str]) -> None:
    """Forbidden if a token that lists kinds asks for others."""
    others = sorted(set(asked) - allowed) if allowed else []
    if others:
        raise Forbidden(
            f"this token may not claim {', '.join(others)}.",
            code="kind_not_allowed",
            remedy="Use a token that lists these kinds.",
        )
