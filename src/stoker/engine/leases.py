"""Claim, extend, report, reap: what runners do, and what happens to leases when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from stoker.core.decide import Fold
from stoker.core.duration import SECOND, Micros, micros
from stoker.core.model import CLOSED_GRACE, LEASE, MAX_ITEMS, PAYLOAD_INLINE, Task
from stoker.core.names import text
from stoker.core.picture import Body
from stoker.core.protocol import (
    ClaimAnswer,
    ClaimRequest,
    Complete,
    ErrorInfo,
    Fail,
    Held,
    Item,
    Log,
    Progress,
    Prune,
    Receipt,
    Release,
    Report,
    ReportAnswer,
    ReportRequest,
    Requeue,
    Stop,
)
from stoker.core.states import TaskState
from stoker.core.template import Place
from stoker.core.values import BadPath
from stoker.engine.batch import Ask, Batches, Picture, Verb
from stoker.engine.dispatch import Dispatcher, Handed, Waiter
from stoker.engine.ids import Ids
from stoker.engine.inputs import Reading, Streaming, fetch
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Clock, LogRow, ProgressRow, Reader, Store, Tx
from stoker.engine.sessions import BEATEN, Promises, Session, Sessions
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, Forbidden, NotFound, Rejected

LONGEST_WAIT_S = 60.0
LONGEST_DELAY_S = 3e7  # of a requeue; about a year
LAST_CHUNK = 2**53  # of a log
MOST_LEASES = 100_000  # looked at in one pass of a session's leases
REFUSED = Receipt(status="refused", message="there is no such task for this session")


class Told(NamedTuple):
    """What a beat or report gives besides tasks."""

    receipts: list[Receipt]
    stop: list[Stop]
    until: Micros


class _Reported(NamedTuple):
    """One report as it is decided: outputs fetched, or what is wrong with them."""

    report: Report
    bodies: list[Body]
    fault: str | None = None


class Exchange(Verb):
    """A beat with its reports: settle what is reported, keep what is held, release what got lost on the way."""

    def __init__(
        self,
        session: Session,
        reported: Sequence[_Reported],
        held: Sequence[Held] | None,
        read: int,
        want: int,
    ) -> None:
        self._session = session
        self._reported = reported
        self._held = held
        self._read = read
        self.tasks = tuple({entry.report.task for entry in reported} | {lease.task for lease in held or ()})
        self.asks = (session, want) if want else None

    async def decide(self, tx: Tx, picture: Picture) -> Told:
        fold = picture.fold
        outcomes: dict[int, Receipt] = {}
        side: list[int] = []
        for position, entry in enumerate(self._reported):
            if isinstance(entry.report, Progress | Log):
                side.append(position)
            else:
                outcomes[position] = self._settle(picture, entry)
        if side:
            outcomes.update(await self._note(tx, fold, side))
        stop = await self._keep(tx, picture)
        until = await self._extend(picture.promises, fold.now)
        return Told([outcomes[position] for position in range(len(self._reported))], stop, until)

    def _settle(self, picture: Picture, entry: _Reported) -> Receipt:
        fold, report, session = picture.fold, entry.report, self._session.id
        task = fold.tasks.get(report.task)
        if task is None or fold.runs[task.run].namespace != self._session.namespace:
            return REFUSED
        match report:
            case Complete():
                return self._complete(picture, task, report, entry)
            case Fail(error=error):
                return fold.fail(task.id, report.attempt, session, _clean(error), retryable=report.retryable)
            case Requeue(after_s=after):
                return fold.requeue(
                    task.id, report.attempt, session, micros(min(after, LONGEST_DELAY_S) if after > 0 else 0)
                )
            case Prune(reason=reason):
                return fold.prune(task.id, report.attempt, session, text(reason))
            case Release():
                return fold.release(task.id, report.attempt, session)
        raise AssertionError(report)

    def _complete(self, picture: Picture, task: Task, report: Complete, entry: _Reported) -> Receipt:
        fold, session = picture.fold, self._session.id
        version = picture.versions.known(fold.runs[task.run].version)
        assert version is not None
        fault = entry.fault or version.output_fault(task.node, [body.json for body in entry.bodies])
        if fault is None:
            return fold.complete(task.id, report.attempt, session, entry.bodies)
        error = ErrorInfo(code="invalid_output", message=fault)
        receipt = fold.fail(task.id, report.attempt, session, error, retryable=True)
        return Receipt(status="invalid", message=fault) if receipt.status == "accepted" else receipt

    async def _note(self, tx: Tx, fold: Fold, positions: Sequence[int]) -> dict[int, Receipt]:
        """Progress and logs: kept while the attempt is current, or was this session's last."""
        receipts: dict[int, Receipt] = {}
        progress: list[ProgressRow] = []
        logs: list[LogRow] = []
        for position in positions:
            report = self._reported[position].report
            task = fold.tasks.get(report.task)
            if task is None or task.session != self._session.id or task.attempt != report.attempt:
                receipts[position] = Receipt(status="stale", message="this attempt is no longer current")
                continue
            if isinstance(report, Log) and not 0 <= report.seq <= LAST_CHUNK:
                receipts[position] = Receipt(status="refused", message=f"no chunk of a log has the number {report.seq}")
                continue
            receipts[position] = Receipt(status="accepted")
            if isinstance(report, Progress):
                progress.append(
                    ProgressRow(task.id, task.run, task.attempt, _fraction(report.fraction), text(report.message))
                )
            elif isinstance(report, Log):
                body = text(report.text)
                logs.append(LogRow(task.run, task.id, task.attempt, report.seq, report.stream, fold.now, body))
        await tx.put_progress(progress)
        await tx.insert_logs(logs)
        return receipts

    async def _keep(self, tx: Tx, picture: Picture) -> list[Stop]:
        """Revive what is held and was lost; release leases from answers that were read but are not listed."""
        if self._held is None:
            return []
        fold, session = picture.fold, self._session.id
        for lease in self._held:
            task = fold.tasks.get(lease.task)
            if task is not None:
                fold.hold(task, lease.attempt, session)
        listed = {lease.task for lease in self._held} | {entry.report.task for entry in self._reported}
        unlisted = [
            lease
            for lease in await tx.leases_of([session], MOST_LEASES)
            if lease.answer <= self._read and lease.task not in listed
        ]
        for task in await picture.load([lease.task for lease in unlisted]):
            fold.release(task.id, task.attempt, session)
        over = {entry.report.task for entry in self._reported if not isinstance(entry.report, Progress | Log)}
        return _stops(fold, [lease for lease in self._held if lease.task not in over], session)

    async def _extend(self, promises: Promises, now: Micros) -> Micros:
        """A beat writes the lease anew unless one just did; a report only when little of it is left."""
        if self._held or self._held is None:
            return await promises.fresh(self._session, BEATEN)
        if self._reported:
            return await promises.fresh(self._session)
        return min(promises.until(self._session), now + LEASE)


def _stops(fold: Fold, held: Sequence[Held], session: int) -> list[Stop]:
    """Which of the attempts a runner holds it must stop working on, and why."""
    stops = []
    for lease in held:
        task = fold.tasks.get(lease.task)
        current = task is not None and task.attempt == lease.attempt and task.session == session
        if task is None or not current or task.state is not TaskState.LEASED:
            stops.append(Stop(task=lease.task, attempt=lease.attempt, reason="stale", grace_s=0.0))
        elif fold.runs[task.run].stopping:
            stops.append(Stop(task=lease.task, attempt=lease.attempt, reason="cancelled"))
    return stops


def _clean(error: ErrorInfo) -> ErrorInfo:
    return ErrorInfo(
        message=text(error.message), code=text(error.code)[:200], type=text(error.type), traceback=text(error.traceback)
    )


def _fraction(fraction: float | None) -> float | None:
    return None if fraction is None else min(max(fraction, 0.0), 1.0)


class Unbound(Verb):
    """The large inputs of a leased task cannot be bound: nobody else could run it either."""

    def __init__(self, task: Task, message: str) -> None:
        self._task = task
        self._message = message
        self.tasks = (task.id,)

    async def decide(self, tx: Tx, picture: Picture) -> None:
        error = ErrorInfo(code="binding", message=self._message)
        picture.fold.fail(self._task.id, self._task.attempt, self._task.session or 0, error, retryable=False)


class Handback(Verb):
    """Release leases on behalf of a session: an answer that never arrived, or a runner that leaves."""

    def __init__(self, session: Session, leases: Sequence[tuple[int, int]]) -> None:
        self._session = session
        self._leases = leases
        self.tasks = tuple(task for task, _ in leases)

    async def decide(self, tx: Tx, picture: Picture) -> None:
        for task, attempt in self._leases:
            picture.fold.release(task, attempt, self._session.id)


class Leave(Verb):
    """A runner ends: what it holds is released, and its session is over, at once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def decide(self, tx: Tx, picture: Picture) -> None:
        leases = await tx.leases_of([self._session.id], MOST_LEASES)
        await picture.load([lease.task for lease in leases])
        for lease in leases:
            picture.fold.release(lease.task, lease.attempt, self._session.id)
        await picture.promises.end(self._session)


class Shorten(Verb):
    """The claim stream of a session closed: its leases end in 5 s unless it is heard of."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def decide(self, tx: Tx, picture: Picture) -> None:
        until = picture.fold.now + CLOSED_GRACE
        if not self._session.streams and until < picture.promises.until(self._session):
            await picture.promises.write(self._session, until)


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
        blobs: Blobs,
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._sessions = sessions
        self._versions = versions
        self._batches = batches
        self._dispatcher = dispatcher
        self._blobs = blobs
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
            self._dispatcher.disarm(waiter)
            self._abandon(waiter)

    async def _introduce(self, namespace: str, request: ClaimRequest, kinds: frozenset[str]) -> Session:
        if kinds and not set(request.runner.kinds) <= kinds:
            raise Forbidden(
                f"this token may not claim {', '.join(sorted(set(request.runner.kinds) - kinds))}.",
                code="kind_not_allowed",
                remedy="Use a token that lists these kinds.",
            )
        number = await self._namespaces.made(namespace)
        session = await self._sessions.introduce(number, request.session, request.runner, None)
        if session is None:
            draw = await self._ids.one("session")
            session = await self._sessions.introduce(number, request.session, request.runner, draw)
        assert session is not None
        if session.namespace != number:
            raise Forbidden("this session belongs to another namespace.", code="foreign_session", place="session")
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
        waiter.taken = True
        if handed:
            return self._claimed(session, handed)
        return await self._news(session)

    def _worth_syncing(self, session: Session, request: ClaimRequest, now: Micros) -> bool:
        """Whether a claim has more to settle than a beat: something to learn, an answer lost, a lease to renew."""
        lost = request.read < session.number
        renew = request.held != [] and (session.closing or session.needs_writing(now))
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
        self._batches.start(Handback(session, leases))

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

    async def leave(self, secret: str) -> None:
        """The runner ends: release all it still holds."""
        session = await self._sessions.find(secret)
        if session is None:
            return
        self._dispatcher.retire(session.id)
        await self._batches.submit(Leave(session))
        self._sessions.forget(session)

    # --- report ---

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer:
        """Settle what a runner reports; its lease lasts on, and the answer hands it the next tasks."""
        number = await self._namespaces.made(namespace)
        session = await self._sessions.find(request.session)
        if session is None or session.namespace != number:
            return ReportAnswer(receipts=[REFUSED] * len(request.reports), lease_s=0.0, unknown_session=True)
        read = session.number if request.alone else request.read
        reported = [await self._prepare(number, report) for report in request.reports]
        answered = await self._batches.submit(Exchange(session, reported, request.held, read, request.want))
        told: Told = answered.value
        handed = answered.handed
        until = handed.until if handed else told.until
        return ReportAnswer(
            receipts=told.receipts,
            number=handed.number if handed else 0,
            lease_s=max(0.0, (until - self._clock.now()) / SECOND),
            tasks=handed.tasks if handed else [],
            stop=told.stop,
        )

    async def _prepare(self, namespace: int, report: Report) -> _Reported:
        """Fetch large outputs, and put away those that are too large for the database, before the transaction."""
        if not isinstance(report, Complete):
            return _Reported(report, [])
        if len(report.items) > MAX_ITEMS:
            return _Reported(report, [], f"a report has at most {MAX_ITEMS} items, not {len(report.items)}")
        try:
            return _Reported(report, [await self._body(namespace, item) for item in report.items])
        except (Rejected, msgspec.DecodeError) as error:
            return _Reported(report, [], str(error))

    async def _body(self, namespace: int, item: Item) -> Body:
        if item.artifact is None:
            body = bytes(item.value) or b"null"
            if len(body) <= PAYLOAD_INLINE:
                return Body(body)
            blob = await self._blobs.write(_chunks(body))
            return Body(body, blob.key)
        rows = await self._store.read(lambda reader: reader.rows("artifact", item.artifact, namespace))
        if not rows:
            raise NotFound(f"there is no artifact {item.artifact} here", code="no_artifact")
        key, size = rows[0][5], rows[0][3]
        body = await fetch(self._blobs, key)
        msgspec.json.decode(body, type=msgspec.Raw)  # refuses what is not one JSON document
        return Body(body, key if size > PAYLOAD_INLINE else None)

    # --- inputs too large for an answer ---

    async def input(self, secret: str, task_id: int, attempt: int) -> AsyncIterator[bytes]:
        """The input of a leased task, as one streamed JSON object."""
        session = await self._sessions.find(secret)
        task, version = await self._leased(session, task_id, attempt)
        streaming = Streaming(Reading(self._store), self._blobs, version.graph)
        place = Place(task.run, task.node, task.branch, task.element)
        return self._bound(task, streaming.object(place, version.graph.nodes[task.node].spec.bind))

    async def _bound(self, task: Task, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass an input on. One that cannot be bound shows only here: it fails the attempt."""
        try:
            async for part in parts:
                yield part
        except BadPath as error:
            message = f"the inputs cannot be bound: {error}"
            await self._batches.submit(Unbound(task, message))
            raise Conflict(message, code="binding", place=f"tasks/{task.id}", remedy="Drop the task.") from None

    async def _leased(self, session: Session | None, task_id: int, attempt: int) -> tuple[Task, Version]:
        async def find(reader: Reader) -> tuple[Task, Version] | None:
            for task in await reader.tasks([task_id]):
                (run,) = await reader.runs([task.run])
                if session is not None and run.namespace == session.namespace:
                    return task, await self._versions.get(reader, run.version)
            return None

        found = await self._store.read(find)
        if (
            found is None
            or session is None
            or (found[0].session, found[0].attempt, found[0].state) != (session.id, attempt, TaskState.LEASED)
        ):
            raise NotFound(
                f"this session holds no lease of task {task_id}, attempt {attempt}.",
                code="no_lease",
                remedy="The lease ended; drop the task.",
            )
        return found


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body
