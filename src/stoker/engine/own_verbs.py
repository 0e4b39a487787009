"""What callers say of attempts that they know by their ids alone, as verbs; each tells where the attempt stands."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stoker.core.duration import Micros
from stoker.core.holder import BY_ATTEMPT
from stoker.core.model import Task
from stoker.core.protocol import ASIDE, Fail, Receipt, Report
from stoker.core.standing import Reason, Standing, standing_of, unknown
from stoker.core.states import TaskState
from stoker.engine.notes import note
from stoker.engine.ports import Lease, Tx
from stoker.engine.reported import NOTES, Reported, settle
from stoker.engine.sessions import Session
from stoker.engine.transaction import Batch, Verb

_replace = msgspec.structs.replace


class OwnReport(Verb):
    """A report on an attempt. `namespace`: where its kind is offered, and reported on; `kinds`: of these, if any."""

    def __init__(self, namespace: int, entry: Reported, kinds: frozenset[str] = frozenset()) -> None:
        self._namespace = namespace
        self._entry = entry
        self._kinds = kinds
        self.tasks = (entry.report.task,)

    async def decide(self, tx: Tx, batch: Batch) -> Standing:
        report = self._entry.report
        before, standing = _found(batch, self._namespace, report.task, report.attempt)
        if before is None:
            return standing
        if self._kinds and batch.fold.node_of(before).kind.name not in self._kinds:
            return unknown(report.task, report.attempt)
        if isinstance(report, NOTES):
            (receipt,) = await note(tx, batch, BY_ATTEMPT, [report])
        else:
            receipt = settle(batch, before, self._entry, BY_ATTEMPT)
        after = batch.fold.tasks[report.task]
        why, ended = standing.reason, receipt.status in ("accepted", "invalid")
        repeated = bool(why) and ended and not isinstance(report, ASIDE)
        if not why or (repeated and self.replays):
            why, repeated = _verdict(report, receipt, after), False
        return _replace(
            standing,
            reason=why,
            accepted=ended and not why,
            repeated=repeated,
            now=after,
            message=receipt.message,
        )


def _verdict(report: Report, receipt: Receipt, after: Task) -> Reason:
    """What an open attempt came to by this report, if not what the report says."""
    if after.state is TaskState.CANCELLED:
        return "run_closed"
    failed = isinstance(report, Fail) and report.error.code == "invalid_output"
    return "invalid_output" if failed or receipt.status == "invalid" else ""


class OwnExtend(Verb):
    """A lease is to last so long from now on, and its holder was heard of."""

    def __init__(self, namespace: int, task: int, attempt: int, lease: Micros, *, shorten: bool) -> None:
        self._namespace = namespace
        self._attempt = attempt
        self._lease = lease
        self._shorten = shorten
        self.tasks = (task,)

    async def decide(self, tx: Tx, batch: Batch) -> Standing:
        (id_,) = self.tasks
        before, standing = _found(batch, self._namespace, id_, self._attempt)
        if before is None:
            return standing
        receipt = batch.fold.extend(id_, self._attempt, self._lease, shorten=self._shorten)
        return _replace(standing, accepted=receipt.status == "accepted", now=batch.fold.tasks[id_])


class Recover(Verb):
    """Give back what an answer carried that may never have been made: whether it was committed is not known."""

    def __init__(self, session: Session, number: int) -> None:
        self._number = number
        self.holder = session

    def strays(self, leases: Sequence[Lease]) -> list[int]:
        return [lease.task for lease in leases if lease.answer == self._number]

    async def decide(self, tx: Tx, batch: Batch) -> None:
        assert self.holder is not None
        for lease in batch.leases.get(self.holder.id, []):
            if lease.answer == self._number:
                batch.fold.release(lease.task, lease.attempt, BY_ATTEMPT)


def _found(batch: Batch, namespace: int, task: int, attempt: int) -> tuple[Task | None, Standing]:
    """A task that is offered in this namespace and has, or is about to have, this attempt; and where that stands."""
    known = batch.fold.tasks.get(task)
    if known is None or batch.fold.home_of(known) != namespace:
        return None, unknown(task, attempt)
    standing = standing_of(known, batch.fold.runs[known.run], attempt)
    return (None if standing.now is None else known), standing
