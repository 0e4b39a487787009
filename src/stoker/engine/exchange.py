"""What runners say, as verbs: a beat with its reports, a lease handed back, a session that leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.decide import Fold
from stoker.core.duration import Micros
from stoker.core.model import CLOSED_GRACE, LEASE, Task
from stoker.core.protocol import ASIDE, ErrorInfo, Held, Receipt, Stop
from stoker.core.states import TaskState
from stoker.engine.notes import note
from stoker.engine.ports import Lease, Tx
from stoker.engine.reported import NOTES, Reported, settle
from stoker.engine.sessions import BEATEN, Promises, Session
from stoker.engine.transaction import Batch, Verb

REFUSED = Receipt(status="refused", message="there is no such task for this session")


class Told(NamedTuple):
    """What a beat or report gives besides tasks."""

    receipts: list[Receipt]
    stop: list[Stop]
    until: Micros


class Exchange(Verb):
    """A beat with its reports: settle what is reported, keep what is held, release what got lost on the way."""

    def __init__(
        self,
        session: Session,
        reported: Sequence[Reported],
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
        self.holder = session if held is not None else None

    def strays(self, leases: Sequence[Lease]) -> list[int]:
        """Leases from answers that were read, which are not listed."""
        listed = {lease.task for lease in self._held or ()} | {entry.report.task for entry in self._reported}
        return [lease.task for lease in leases if lease.answer <= self._read and lease.task not in listed]

    async def decide(self, tx: Tx, batch: Batch) -> Told:
        outcomes: dict[int, Receipt] = {}
        side: list[int] = []
        for position, entry in enumerate(self._reported):
            if isinstance(entry.report, NOTES):
                side.append(position)
            else:
                outcomes[position] = self._settle(batch, entry)
        if side:
            notes = [self._reported[position].report for position in side]
            outcomes.update(zip(side, await note(tx, batch, self._session.id, notes), strict=True))
        stop = self._keep(batch)
        until = self._extend(batch.promises, batch.fold.now)
        return Told([outcomes[position] for position in range(len(self._reported))], stop, until)

    def _settle(self, batch: Batch, entry: Reported) -> Receipt:
        task = batch.fold.tasks.get(entry.report.task)
        if task is None or batch.fold.home_of(task) != self._session.namespace:
            return REFUSED
        return settle(batch, task, entry, self._session.id)

    def _keep(self, batch: Batch) -> list[Stop]:
        """Revive what is held and was lost; release leases from answers that were read but are not listed."""
        if self._held is None:
            return []
        fold, session = batch.fold, self._session.id
        for lease in self._held:
            task = fold.tasks.get(lease.task)
            if task is not None:
                fold.hold(task, lease.attempt, session)
        leases = batch.leases.get(session, [])
        attempts = {lease.task: lease.attempt for lease in leases}
        for stray in self.strays(leases):
            fold.release(stray, attempts[stray], session)
        over = {entry.report.task for entry in self._reported if not isinstance(entry.report, ASIDE)}
        return _stops(fold, [lease for lease in self._held if lease.task not in over], session)

    def _extend(self, promises: Promises, now: Micros) -> Micros:
        """A beat writes the lease anew unless one just did; a report only when little of it is left."""
        if self._held or self._held is None:
            return promises.fresh(self._session, BEATEN)
        if self._reported:
            return promises.fresh(self._session)
        return min(promises.until(self._session), now + LEASE)


def _stops(fold: Fold, held: Sequence[Held], session: int) -> list[Stop]:
    """Which of the attempts a runner holds it must stop working on, and why."""
    stops = []
    for lease in held:
        task = fold.tasks.get(lease.task)
        current = task is not None and task.attempt == lease.attempt and task.session == session
        if task is None or not current or task.state is not TaskState.LEASED:
            stops.append(Stop(task=lease.task, attempt=lease.attempt, reason="stale", grace_s=0.0))
        elif fold.runs[task.run].stopping or task.cancel_at is not None:
            stops.append(Stop(task=lease.task, attempt=lease.attempt, reason="cancelled"))
    return stops


class Unbound(Verb):
    """The large inputs of a leased task cannot be bound: nobody else could run it either."""

    def __init__(self, task: Task, message: str) -> None:
        self._task = task
        self._message = message
        self.tasks = (task.id,)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        error = ErrorInfo(code="binding", message=self._message)
        batch.fold.fail(self._task.id, self._task.attempt, self._task.session or 0, error, retryable=False)


class Handback(Verb):
    """Release leases on behalf of their holder, a session or `BY_ATTEMPT`: an answer that never arrived."""

    def __init__(self, holder: int, leases: Sequence[tuple[int, int]]) -> None:
        self._holder = holder
        self._leases = leases
        self.tasks = tuple(task for task, _ in leases)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for task, attempt in self._leases:
            batch.fold.release(task, attempt, self._holder)


class Leave(Verb):
    """A runner ends: what it holds is released, and its session is over, at once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.holder = session

    def strays(self, leases: Sequence[Lease]) -> list[int]:
        return [lease.task for lease in leases]

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for lease in batch.leases.get(self._session.id, []):
            batch.fold.release(lease.task, lease.attempt, self._session.id)
        batch.promises.end(self._session)


class Shorten(Verb):
    """The claim stream of a session closed: its leases end in 5 s unless it is heard of."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def decide(self, tx: Tx, batch: Batch) -> None:
        batch.promises.read(await tx.session_ends([self._session.id]))
        until = batch.fold.now + CLOSED_GRACE
        if not self._session.streams and until < batch.promises.until(self._session):
            batch.promises.write(self._session, until)
