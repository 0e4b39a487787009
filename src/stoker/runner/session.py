"""One start of a runner, as a state machine: which leases it holds, what it must still report, what to ask next.

No sockets, no threads, no clock (`now` is an argument, in seconds) and no dice (`jitter` too) may enter. The loop asks
for the next call, sends it, and brings back its answer or its failure; the session says what to start and to stop.

Rules kept here:

* an outcome is sent until it has a receipt, whatever fails in between;
* a lease counts as held, and takes capacity, until its outcome has a receipt; one that the server calls stale takes
  capacity until its code has ended;
* capacity that a call in flight has asked for is not asked for again;
* an answer number is named as read only when nothing in flight can bring a smaller one: two streams carry answers, so
  a later number may arrive first, and naming it would give the tasks of the earlier one away.
"""

from __future__ import annotations

import msgspec

from stoker.core.protocol import (
    ASIDE,
    BEAT_S,
    Assignment,
    ClaimAnswer,
    ClaimRequest,
    Complete,
    ErrorInfo,
    Fail,
    Held,
    Log,
    Output,
    Progress,
    Receipt,
    Release,
    Report,
    ReportAnswer,
    ReportRequest,
    RunnerInfo,
    Stop,
)
from stoker.runner.backoff import Backoff
from stoker.runner.outbox import MOST_REPORTS, Key, Outbox

WAIT_S = 30.0  # a claim is held open this long; proxies in between usually allow a minute
SPARE_CLAIMS = 1  # older claims left open beside the current one; a server ends them when a newer one comes
REPEATED_STOP_S = 0.5  # a server may answer at once as long as a stopped attempt is held: do not spin on it
NEVER = float("inf")


class ClaimCall(msgspec.Struct, eq=False):
    """A claim on its way. `since`: the highest answer number that had arrived when it was made;
    its answer has a larger one."""

    request: ClaimRequest
    since: int
    sent: float


class ReportCall(msgspec.Struct, eq=False):
    request: ReportRequest
    since: int
    sent: float


class Effects(msgspec.Struct):
    """What an answer makes the runner do. `over`: attempts that got their receipt. `drop`: claims to close."""

    start: list[Assignment] = []
    stop: list[Stop] = []
    over: list[Key] = []
    drop: list[ClaimCall] = []
    warnings: list[str] = []


class Session:
    """`capacity`: leases held at once. `batch`: tasks asked for in one call."""

    def __init__(self, secret: str, runner: RunnerInfo, *, batch: int) -> None:
        self.secret = secret
        self.runner = runner
        self.capacity = runner.capacity
        self.batch = batch
        self.lease_until = NEVER
        self.draining = False
        self.paused = False  # as if at capacity: nothing more can be begun here at present
        self._registered = False
        self._leases: dict[Key, bool] = {}  # True: its outcome is queued or on its way
        self._stopped: set[Key] = set()
        self._gone: set[Key] = set()  # told to be stale: no lease any more, but its code may still run
        self._outbox = Outbox()
        self._highest = 0  # of the answer numbers that arrived
        self._claims: list[ClaimCall] = []  # newest last
        self._report: ReportCall | None = None
        self._claim_after = 0.0
        self._report_after = 0.0
        self._claim_backoff = Backoff()
        self._report_backoff = Backoff()
        self._beat_at = NEVER
        self._one_by_one = 0

    # what the runner knows

    @property
    def held(self) -> list[Key]:
        """Every attempt whose outcome has no receipt yet."""
        return list(self._leases)

    @property
    def idle(self) -> bool:
        """Nothing is held, queued or on its way in a report."""
        return not self._leases and not self._outbox and self._report is None

    @property
    def flushed(self) -> bool:
        """Every report made so far has its receipt."""
        return not self._outbox and self._report is None

    @property
    def failures(self) -> int:
        """Failed calls in a row."""
        return max(self._claim_backoff.failures, self._report_backoff.failures)

    def drain(self) -> None:
        """Want no more work from here on."""
        self.draining = True

    # what the work says

    def add(self, report: Progress | Log | Output) -> None:
        """Queue a progress, a chunk of log or an output of an attempt that goes on."""
        self._outbox.add(report)

    def end(self, report: Report) -> bool:
        """Queue the outcome of a held attempt. False: it has one already, or was never held."""
        key = (report.task, report.attempt)
        if self._leases.get(key, True):
            return False
        self._leases[key] = True
        self._outbox.end(report)
        return True

    # what to ask next

    def next_claim(self, now: float) -> ClaimCall | None:
        """Return the claim to send now, if one is due: none is open, or the open one asks for the wrong amount."""
        if now < self._claim_after or (self._claims and not self._claim_is_outdated()):
            return None
        want = self._free()
        call = ClaimCall(
            request=ClaimRequest(
                session=self.secret,
                runner=self.runner,
                want=want,
                wait_s=WAIT_S if self._registered else 0.0,
                read=self._read(),
                held=self._held(),
                alone=not self._flying() and not self._leases,  # else a report may follow, and overtake it
            ),
            since=self._highest,
            sent=now,
        )
        self._claims.append(call)
        return call

    def next_report(self, now: float) -> ReportCall | None:
        """Return the report to send now: all that gathered while the last one was on its way, or a beat."""
        if self._report is not None or not self._registered or now < self._report_after:
            return None
        if not self._outbox and now < self._beat_at:
            return None
        reports = self._outbox.take(1 if self._one_by_one else MOST_REPORTS)
        freed = _outcomes(reports)
        self._report = ReportCall(
            request=ReportRequest(
                session=self.secret,
                reports=reports,
                want=self._free(freed),
                read=self._read(),
                held=self._held(),
            ),
            since=self._highest,
            sent=now,
        )
        self._beat_at = now + BEAT_S
        return self._report

    def due(self) -> float:
        """Return when to ask again although nothing happened."""
        claim = self._claim_after if not self._claims else NEVER
        if self._report is not None or not self._registered:
            return claim
        report = self._report_after if self._outbox else max(self._beat_at, self._report_after)
        return min(claim, report)

    # what came back

    def claimed(self, call: ClaimCall, answer: ClaimAnswer, now: float) -> Effects:
        if call not in self._claims:  # the server forgot this session meanwhile; these leases are not ours
            return Effects()
        self._claims.remove(call)
        self._claim_backoff.answered()
        self._claim_after = 0.0
        self._registered = True
        if answer.stop and not answer.tasks and self._stopped.issuperset((s.task, s.attempt) for s in answer.stop):
            self._claim_after = now + REPEATED_STOP_S
        effects = Effects()
        self._take(answer, call.sent if not call.request.wait_s else now, now, effects)
        return effects

    def claim_failed(self, call: ClaimCall, now: float, jitter: float) -> None:
        """The claim got no answer; nothing is known, the next one says what is held."""
        if call in self._claims:
            self._claims.remove(call)
            self._claim_after = now + self._claim_backoff.failed(jitter)

    def reported(self, call: ReportCall, answer: ReportAnswer, now: float) -> Effects:
        assert call is self._report
        self._report = None
        self._report_backoff.answered()
        self._report_after = 0.0
        effects = Effects()
        if answer.unknown_session or len(answer.receipts) != len(call.request.reports):
            self._outbox.put_back(call.request.reports)
        else:
            self._one_by_one = max(0, self._one_by_one - len(answer.receipts))
            for report, receipt in zip(call.request.reports, answer.receipts, strict=True):
                self._settle(report, receipt, effects)
        if answer.unknown_session:
            self._forget(effects)
        else:
            self._take(answer, call.sent, now, effects)
        return effects

    def report_failed(self, call: ReportCall, now: float, jitter: float) -> None:
        """The report got no answer: send the same again, with what gathered since behind it."""
        assert call is self._report
        self._report = None
        self._outbox.put_back(call.request.reports)
        self._report_after = now + self._report_backoff.failed(jitter)
        if self._leases:
            self._beat_at = now

    def report_rejected(self, call: ReportCall, message: str, now: float, jitter: float) -> list[str]:
        """The server refused the request as a whole: find the culprit one by one, and fail its attempt.

        Returns what to warn about.
        """
        self.report_failed(call, now, jitter)
        reports = call.request.reports
        if len(reports) > 1:
            self._one_by_one = len(reports)
            return [f"the server refused {len(reports)} reports at once; sending them one by one: {message}"]
        if not reports:
            return [f"the server refused a beat: {message}"]
        self._outbox.take(1)
        instead = _instead(reports[0], message)
        if instead is not None:
            self._outbox.put_back([instead])
        return [f"the server refused a report of task {reports[0].task}, attempt {reports[0].attempt}: {message}"]

    # steps

    def _claim_is_outdated(self) -> bool:
        asked = self._claims[-1].request.want
        if self.draining or self.paused:
            return asked > 0
        return asked == 0 and self._registered and self._free() > 0

    def _free(self, freed: int = 0) -> int:
        if self.draining or self.paused:
            return 0
        asked = sum(call.request.want for call in self._claims)
        if self._report is not None:
            asked += max(0, self._report.request.want - _outcomes(self._report.request.reports))
        return max(0, min(self.batch, self.capacity - len(self._leases) - asked + freed))

    def _read(self) -> int:
        return min((call.since for call in self._flying()), default=self._highest)

    def _flying(self) -> list[ClaimCall | ReportCall]:
        """The calls on their way whose answers may carry tasks."""
        flying: list[ClaimCall | ReportCall] = [call for call in self._claims if call.request.want]
        if self._report is not None and self._report.request.want:
            flying.append(self._report)
        return flying

    def _held(self) -> list[Held]:
        return [Held(task=task, attempt=attempt) for task, attempt in self._leases if (task, attempt) not in self._gone]

    def _take(self, answer: ClaimAnswer | ReportAnswer, sent: float, now: float, effects: Effects) -> None:
        self._highest = max(self._highest, answer.number)
        self.lease_until = sent + answer.lease_s
        for task in answer.tasks:
            self._start(task, effects)
        for stop in answer.stop:
            key = (stop.task, stop.attempt)
            if stop.reason == "stale" and self._leases.get(key) is False:
                self._gone.add(key)
            if key not in self._stopped and self._leases.get(key) is False:
                self._stopped.add(key)
                effects.stop.append(stop)
        if not self._leases:
            self._beat_at = NEVER
        elif self._beat_at == NEVER:
            self._beat_at = now + BEAT_S
        while len(self._claims) > 1 + SPARE_CLAIMS:
            effects.drop.append(self._claims.pop(0))

    def _start(self, task: Assignment, effects: Effects) -> None:
        key = (task.task, task.attempt)
        if key in self._leases:
            return
        self._leases[key] = False
        if self.draining or self.paused:
            self.end(Release(task=task.task, attempt=task.attempt))
        else:
            effects.start.append(task)

    def _settle(self, report: Report, receipt: Receipt, effects: Effects) -> None:
        key = (report.task, report.attempt)
        if isinstance(report, ASIDE):
            if receipt.status == "stale" and self._leases.get(key) is False:
                effects.stop.append(Stop(task=report.task, attempt=report.attempt, reason="stale"))
            elif isinstance(report, Output) and receipt.status in ("invalid", "refused"):
                effects.warnings.append(f"task {key[0]}: an output was {receipt.status}: {receipt.message}")
            return
        self._leases.pop(key, None)
        self._stopped.discard(key)
        self._gone.discard(key)
        effects.over.append(key)
        if receipt.status != "accepted":
            said = f": {receipt.message}" if receipt.message else ""
            effects.warnings.append(f"task {key[0]}, attempt {key[1]}: the outcome was {receipt.status}{said}")

    def _forget(self, effects: Effects) -> None:
        """The server does not know this session: begin anew, with everything that is held."""
        effects.warnings.append("the server does not know this session (it may have restarted); claiming again")
        effects.drop += self._claims
        self._claims = []
        self._registered = False
        self._highest = 0
        self._claim_after = 0.0


def _outcomes(reports: list[Report]) -> int:
    return sum(1 for report in reports if not isinstance(report, ASIDE))


def _instead(report: Report, message: str) -> Report | None:
    """What to report when the server refuses a report itself: an outcome never just vanishes."""
    match report:
        case Progress() | Log() | Output():
            return None
        case Complete(task=task, attempt=attempt):
            error = ErrorInfo(
                code="invalid_output", type="Rejected", message=f"the server refused the output: {message}"
            )
            return Fail(task=task, attempt=attempt, error=error, retryable=False)
        case _:
            return Release(task=report.task, attempt=report.attempt)
