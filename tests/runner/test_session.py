"""The session's rules, as a state machine: no sockets, no clock."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.protocol import (
    BEAT_S,
    Assignment,
    ClaimAnswer,
    Complete,
    Fail,
    Item,
    Log,
    Progress,
    Receipt,
    Release,
    Report,
    ReportAnswer,
    RunnerInfo,
    Stop,
)
from stoker.runner.outbox import MOST_BYTES, MOST_REPORTS
from stoker.runner.session import ClaimCall, ReportCall, Session

ACCEPTED = Receipt(status="accepted")


def session(capacity: int = 4, batch: int = 4) -> Session:
    return Session("0" * 32, RunnerInfo(name="r", kinds=["k"], capacity=capacity), batch=batch)


def task(number: int, attempt: int = 1) -> Assignment:
    return Assignment(task=number, attempt=attempt, run=1, node="n", kind="k")


def done(number: int, attempt: int = 1, size: int = 4) -> Complete:
    return Complete(task=number, attempt=attempt, items=[Item(value=msgspec.Raw(b"1" * size))])


def claim(one: Session, now: float = 0.0) -> ClaimCall:
    call = one.next_claim(now)
    assert call is not None
    return call


def report(one: Session, now: float = 0.0) -> ReportCall:
    call = one.next_report(now)
    assert call is not None
    return call


def holding(*numbers: int, capacity: int = 4) -> Session:
    """A registered session with these tasks and a claim open."""
    one = session(capacity)
    one.claimed(claim(one), ClaimAnswer(number=1, tasks=[task(number) for number in numbers]), 0.0)
    claim(one)
    return one


def receipts(call: ReportCall) -> ReportAnswer:
    return ReportAnswer(receipts=[ACCEPTED] * len(call.request.reports))


def test_the_first_claim_does_not_wait_and_the_next_one_does() -> None:
    one = session()
    first = claim(one)
    assert first.request.wait_s == 0
    assert first.request.want == 4
    one.claimed(first, ClaimAnswer(), 0.0)
    assert claim(one).request.wait_s == 30


def test_a_claim_is_open_at_capacity_too_and_wants_nothing() -> None:
    one = session(2)
    one.claimed(claim(one), ClaimAnswer(number=1, tasks=[task(1), task(2)]), 0.0)
    assert claim(one).request.want == 0
    assert one.next_claim(0.0) is None


def test_freed_capacity_that_the_reports_did_not_fill_is_claimed() -> None:
    one = holding(1, 2, capacity=2)
    one.end(done(1))
    call = report(one)
    assert call.request.want == 1
    assert one.next_claim(0.0) is None
    one.reported(call, receipts(call), 0.0)
    assert claim(one).request.want == 1


def test_capacity_asked_for_in_one_call_is_not_asked_for_in_another() -> None:
    one = holding(1)
    one.end(done(1))
    assert report(one).request.want == 1  # of four: three are asked for by the open claim


def test_a_repeated_assignment_is_ignored() -> None:
    one = holding(1)
    one.end(done(1))
    call = report(one)
    effects = one.reported(call, ReportAnswer(receipts=[Receipt(status="accepted")], number=2, tasks=[task(2)]), 0.0)
    assert [t.task for t in effects.start] == [2]
    one.end(done(2))
    call = report(one)
    one.report_failed(call, 0.0, 0.0)
    call = report(one, 10.0)
    effects = one.reported(call, msgspec.structs.replace(receipts(call), number=3, tasks=[task(3), task(3)]), 10.0)
    assert [t.task for t in effects.start] == [3]


def test_a_report_without_an_answer_is_sent_again_before_what_came_later() -> None:
    one = holding(1, 2)
    one.end(done(1))
    call = report(one)
    one.end(done(2))
    one.report_failed(call, 0.0, 1.0)
    assert one.next_report(0.05) is None
    assert [r.task for r in report(one, 1.0).request.reports] == [1, 2]


def test_an_attempt_is_held_until_its_outcome_has_a_receipt() -> None:
    one = holding(1, 2)
    one.end(done(1))
    call = report(one)
    assert [held.task for held in call.request.held or []] == [1, 2]
    one.reported(call, receipts(call), 0.0)
    assert one.held == [(2, 1)]


def test_only_the_first_outcome_of_an_attempt_counts() -> None:
    one = holding(1)
    assert one.end(Release(task=1, attempt=1))
    assert not one.end(done(1))
    assert not one.end(done(99))
    assert [type(r) for r in report(one).request.reports] == [Release]


def test_a_stale_receipt_ends_the_lease_with_a_warning() -> None:
    one = holding(1)
    one.end(done(1))
    call = report(one)
    effects = one.reported(call, ReportAnswer(receipts=[Receipt(status="stale", message="attempt 2 has it")]), 0.0)
    assert one.held == []
    assert effects.warnings == ["task 1, attempt 1: the outcome was stale: attempt 2 has it"]


def test_a_stale_progress_stops_the_work() -> None:
    one = holding(1)
    one.add(Progress(task=1, attempt=1, fraction=0.5))
    call = report(one)
    effects = one.reported(call, ReportAnswer(receipts=[Receipt(status="stale")]), 0.0)
    assert [(stop.task, stop.reason) for stop in effects.stop] == [(1, "stale")]
    assert one.held == [(1, 1)]


def test_a_stop_reaches_only_work_that_goes_on() -> None:
    one = holding(1, 2)
    one.end(done(1))
    call = report(one)
    stops = [Stop(task=number, attempt=1) for number in (1, 2, 3)]
    effects = one.reported(call, msgspec.structs.replace(receipts(call), stop=stops), 0.0)
    assert [stop.task for stop in effects.stop] == [2]


def test_what_the_server_calls_stale_is_not_named_as_held_and_takes_capacity_until_its_code_has_ended() -> None:
    one = holding(1, 2, capacity=2)
    stale = ClaimAnswer(stop=[Stop(task=1, attempt=1, reason="stale")])
    assert len(one.claimed(one._claims[0], stale, 1.0).stop) == 1
    call = claim(one, 1.0)
    assert [held.task for held in call.request.held or []] == [2]
    assert call.request.want == 0
    one.end(Release(task=1, attempt=1))
    sent = report(one, 1.0)
    assert sent.request.want == 1
    one.reported(sent, receipts(sent), 1.0)
    assert one.held == [(2, 1)]


def test_a_paused_session_wants_nothing_hands_back_what_comes_even_so_and_goes_on_after_it() -> None:
    one = session()
    asked = claim(one)
    one.paused = True
    assert claim(one).request.want == 0
    assert one.claimed(asked, ClaimAnswer(number=1, tasks=[task(1)]), 0.0).start == []
    sent = report(one)
    assert sent.request.reports == [Release(task=1, attempt=1)]
    assert sent.request.want == 0
    one.reported(sent, receipts(sent), 0.0)
    one.paused = False
    assert claim(one).request.want == 4


def test_a_stop_told_again_is_no_news_and_does_not_make_the_claims_spin() -> None:
    one = holding(1)
    stop = ClaimAnswer(stop=[Stop(task=1, attempt=1)])
    assert len(one.claimed(one._claims[0], stop, 1.0).stop) == 1
    assert one.claimed(claim(one, 1.0), stop, 1.0).stop == []
    assert one.next_claim(1.0) is None
    assert one.due() == 1.5
    assert claim(one, 1.5).request.want == 3


def test_a_session_with_leases_beats_and_one_without_does_not() -> None:
    one = holding(1)
    assert one.next_report(BEAT_S - 1) is None
    beat = report(one, BEAT_S)
    assert beat.request.reports == []
    assert beat.request.held is not None
    one.reported(beat, ReportAnswer(), BEAT_S)
    assert one.due() == 2 * BEAT_S
    one.end(done(1))
    last = report(one, 6.0)
    one.reported(last, receipts(last), 6.0)
    assert one.next_report(1000.0) is None
    assert one.due() == float("inf")


def test_a_beat_that_failed_is_tried_again_long_before_the_lease_ends() -> None:
    one = holding(1)
    one.report_failed(report(one, BEAT_S), BEAT_S, 1.0)
    assert one.due() <= BEAT_S + 0.1


def test_failures_in_a_row_wait_longer_up_to_five_seconds() -> None:
    one = session()
    delays = []
    for _ in range(8):
        one.claim_failed(claim(one, 1000.0), 0.0, 1.0)
        delays.append(one.due())
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_number_is_not_named_while_a_smaller_one_may_be_on_the_wire() -> None:
    one = holding(1)  # number 1 has arrived; the open claim may bring number 2
    one.end(done(1))
    call = report(one)
    one.reported(call, ReportAnswer(receipts=[ACCEPTED], number=3, tasks=[task(3)]), 0.0)
    one.end(done(3))
    call = report(one)
    assert call.request.read == 1
    assert not call.request.alone


def test_a_number_that_nothing_can_bring_any_more_counts_as_read() -> None:
    one = holding(1)
    open_claim = one._claims[0]
    one.end(done(1))
    call = report(one)
    one.reported(call, ReportAnswer(receipts=[ACCEPTED], number=3, tasks=[task(3)]), 0.0)
    one.claim_failed(open_claim, 0.0, 0.0)
    again = claim(one, 1.0)
    assert again.request.read == 3
    assert not again.request.alone  # the report of task 3 may follow and overtake it


def test_a_claim_is_alone_only_while_nothing_is_left_to_report() -> None:
    one = holding(1)
    open_claim = one._claims[0]
    one.end(done(1))
    one.reported(report(one), ReportAnswer(receipts=[ACCEPTED]), 0.0)
    one.claim_failed(open_claim, 0.0, 0.0)
    assert claim(one, 1.0).request.alone


def test_an_unknown_session_claims_again_and_keeps_every_outcome() -> None:
    one = holding(1, 2)
    one.end(done(1))
    call = report(one)
    effects = one.reported(call, ReportAnswer(unknown_session=True), 0.0)
    assert len(effects.drop) == 1
    assert one.next_report(100.0) is None
    again = claim(one)
    assert again.request.wait_s == 0
    assert again.request.read == 0
    assert [held.task for held in again.request.held or []] == [1, 2]
    one.claimed(again, ClaimAnswer(), 0.0)
    assert [r.task for r in report(one).request.reports] == [1]


def test_a_batch_stays_under_both_limits() -> None:
    one = holding(*range(1, 2001), capacity=2000)
    for number in range(1, 1001):
        one.end(done(number))
    assert len(report(one).request.reports) == MOST_REPORTS
    two = holding(1, 2, 3, capacity=3)
    for number in (1, 2, 3):
        two.end(done(number, size=MOST_BYTES // 2 - 1000))
    assert [r.task for r in report(two).request.reports] == [1, 2]


def test_a_newer_progress_replaces_one_that_waits_and_the_outcome_drops_it() -> None:
    one = holding(1, 2)
    for fraction in (0.1, 0.2):
        one.add(Progress(task=1, attempt=1, fraction=fraction))
        one.add(Progress(task=2, attempt=1, fraction=fraction))
    one.end(done(2))
    sent = report(one).request.reports
    assert [type(r) for r in sent] == [Complete, Progress]
    assert isinstance(sent[1], Progress)
    assert (sent[1].task, sent[1].fraction) == (1, 0.2)


def test_a_refused_batch_is_taken_apart_and_only_the_culprit_fails() -> None:
    one = holding(1, 2)
    one.end(done(1))
    one.end(done(2))
    one.report_rejected(report(one), "broken", 0.0, 0.0)
    first = report(one, 1.0)
    assert [r.task for r in first.request.reports] == [1]
    warnings = one.report_rejected(first, "broken", 1.0, 0.0)
    assert warnings == ["the server refused a report of task 1, attempt 1: broken"]
    again = report(one, 2.0)
    (instead,) = again.request.reports
    assert isinstance(instead, Fail)
    assert (instead.task, instead.error.code, instead.retryable) == (1, "invalid_output", False)
    one.reported(again, receipts(again), 2.0)
    second = report(one, 3.0)
    assert second.request.reports == [done(2)]


def test_draining_asks_for_nothing_and_hands_back_what_still_arrives() -> None:
    one = session()
    one.claimed(claim(one), ClaimAnswer(), 0.0)
    wanting = claim(one)
    one.drain()
    assert claim(one).request.want == 0
    effects = one.claimed(wanting, ClaimAnswer(number=1, tasks=[task(1)]), 0.0)
    assert effects.start == []
    call = report(one)
    assert call.request.reports == [Release(task=1, attempt=1)]
    assert call.request.want == 0
    one.reported(call, receipts(call), 0.0)
    assert one.idle


class Server:
    """Remembers which outcomes it has accepted; gives tasks in numbered answers."""

    def __init__(self) -> None:
        self.next = 0
        self.number = 0
        self.given: dict[tuple[int, int], Report | None] = {}

    def give(self, want: int, most: int) -> tuple[int, list[Assignment]]:
        count = min(want, most)
        if not count:
            return 0, []
        tasks = [task(self.next + n + 1) for n in range(count)]
        self.next += count
        self.number += 1
        return self.number, tasks

    def hears(self, reports: list[Report]) -> list[Receipt]:
        for one in reports:
            if not isinstance(one, Log | Progress):
                assert self.given.setdefault((one.task, one.attempt), one) == one, "two different outcomes"
        return [ACCEPTED] * len(reports)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_outcome_is_lost_whatever_answers_and_errors_come(data: st.DataObject) -> None:
    one = session(5, 3)
    server = Server()
    claims: list[ClaimCall] = []
    sent: list[ReportCall] = []
    running: list[tuple[int, int]] = []
    ended: set[tuple[int, int]] = set()
    now = 0.0
    lost = 0
    for _ in range(data.draw(st.integers(5, 40))):
        now += data.draw(st.sampled_from([0.0, 0.3, 6.0]))
        while (claim_call := one.next_claim(now)) is not None:
            claims.append(claim_call)
        if (report_call := one.next_report(now)) is not None:
            sent.append(report_call)
        assert len(sent) <= 1
        assert sum(1 for call in claims if call.request.want) <= 1
        effects = None
        match data.draw(st.sampled_from(["claim", "report", "work", "say"])):
            case "claim" if claims:
                call = claims.pop(data.draw(st.integers(0, len(claims) - 1)))
                fate = data.draw(st.sampled_from(["answer", "fail", "lost"]))
                if fate == "answer":
                    number, tasks = server.give(call.request.want, data.draw(st.integers(0, 3)))
                    effects = one.claimed(call, ClaimAnswer(number=number, tasks=tasks), now)
                else:
                    if fate == "lost":
                        lost += len(server.give(call.request.want, 2)[1])
                    one.claim_failed(call, now, 0.5)
            case "report" if sent:
                answered = sent.pop()
                fate = data.draw(st.sampled_from(["answer", "fail", "lost", "unknown"]))
                if fate == "answer":
                    number, tasks = server.give(answered.request.want, data.draw(st.integers(0, 3)))
                    receipts_ = server.hears(answered.request.reports)
                    effects = one.reported(answered, ReportAnswer(receipts=receipts_, number=number, tasks=tasks), now)
                elif fate == "unknown":
                    effects = one.reported(answered, ReportAnswer(unknown_session=True), now)
                    claims.clear()
                    server.number = 0
                else:
                    if fate == "lost":
                        server.hears(answered.request.reports)
                    one.report_failed(answered, now, 0.5)
            case "work" if running:
                key = running.pop(data.draw(st.integers(0, len(running) - 1)))
                assert one.end(done(*key))
                ended.add(key)
            case "say" if running:
                one.add(Log(task=running[0][0], attempt=1, seq=0, text="hello"))
        if effects is not None:
            running += [(started.task, started.attempt) for started in effects.start]
            claims = [call for call in claims if call not in effects.drop]
        assert len(one.held) <= 5
    for _ in range(200):  # from here on the server answers
        now += 6.0
        for call in claims:
            one.claimed(call, ClaimAnswer(), now)
        claims = []
        while (claim_call := one.next_claim(now)) is not None:
            claims.append(claim_call)
        for report_call in [*sent, *filter(None, [one.next_report(now) if not sent else None])]:
            one.reported(report_call, ReportAnswer(receipts=server.hears(report_call.request.reports)), now)
        sent = []
        if one.flushed:
            break
    assert ended == set(server.given)
    assert set(one.held) == set(running)
