"""Each rule of the checker, broken once in rows that are right otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest

from selftest.rows import FIRST, JOIN, RUN, SECOND, A, B, C, D, body, ended, good, key, stored, task
from stoker.core.branch import ROOT, step
from stoker.core.compile import compile_graph
from stoker.core.graph import Each, Edge, GraphSpec, InputSpec, KindSpec, NodeSpec, Retry
from stoker.core.model import Ended, ItemKey, JoinKey, JoinRow, JoinState, Spread, Task
from stoker.core.retry import policy
from stoker.core.spread import packed
from stoker.core.states import RunState, TaskState, Verb
from stoker.core.times import Times
from stoker.selftest import conditions, history
from stoker.selftest.checker import RULES, run_wrongs, wrongs
from stoker.selftest.draw import plain_graph
from stoker.selftest.evaluate import evaluate
from stoker.selftest.evidence import Evidence, Span
from stoker.selftest.look import Rule
from stoker.selftest.plain import PLAIN, PLAINS

PLAIN_KINDS = {PLAIN: KindSpec(name=PLAIN), PLAINS: KindSpec(name=PLAINS, items="many")}

Break = Callable[[Evidence], Evidence]


def rules_of(evidence: Evidence) -> set[str]:
    return {wrong.rule for wrong in wrongs(evidence)}


def named(rule: Rule) -> str:
    return rule.__name__.strip("_").replace("_", " ")


def in_run(**changes: Any) -> Break:
    return lambda of: replace(of, run=msgspec.structs.replace(of.run, **changes))


def in_task(id_: int, **changes: Any) -> Break:
    def broken(of: Evidence) -> Evidence:
        return replace(of, tasks=[changed(one, changes) if one.id == id_ else one for one in of.tasks])

    return broken


def changed(one: Task, changes: dict[str, Any]) -> Task:
    return msgspec.structs.replace(one, **changes)


def with_task(one: Task) -> Break:
    return lambda of: replace(of, tasks=[*of.tasks, one])


def in_row(**changes: Any) -> Break:
    return lambda of: replace(of, rows={JOIN: msgspec.structs.replace(of.rows[JOIN], **changes)})


def in_bodies(**changes: Any) -> Break:
    """`at`: the key; `to`: the body, or what is missing."""
    return lambda of: replace(of, bodies={**of.bodies, changes["at"]: changes["to"]})


def without_body(*keys: Any) -> Break:
    return lambda of: replace(of, bodies={one: found for one, found in of.bodies.items() if one not in keys})


def with_(**changes: Any) -> Break:
    return lambda of: replace(of, **changes)


SPREAD = Spread(id=3, run=RUN, node=B, branch=ROOT, parent=1, tasks=1, places=packed([(step(2), None)], whole=False))

BROKEN: list[tuple[str, str, Break]] = [
    ("every run ends", "a run goes on", in_run(state=RunState.RUNNING, ended_at=None)),
    ("every run ends", "an ended run has no end", in_run(ended_at=None)),
    ("a run ends as its tasks did", "it failed, and nothing did", in_run(state=RunState.FAILED)),
    ("a run ends as its tasks did", "a task failed, and it did not", in_task(5, state=TaskState.FAILED)),
    ("a run ends as its tasks did", "it was to be cancelled", in_run(cancel_at=1)),
    ("no task is left", "a leaked lease", in_task(5, state=TaskState.LEASED, session=2)),
    ("no task is left", "a task that nobody ran", in_task(5, state=TaskState.READY)),
    ("no fan out is left", "tasks still to be made", with_(spreads=[SPREAD])),
    ("one task per place", "two tasks at one place", with_task(task(6, B, FIRST, 1))),
    ("run counters equal the tasks", "one task too many", in_run(tasks=6)),
    ("run counters equal the tasks", "one open", in_run(open=1)),
    ("run counters equal the tasks", "one failed", in_run(failed=1)),
    ("node counters equal the tasks", "a count is off by one", with_(counts={B: (2, 1, 0, 0, 0, 0)})),
    ("node counters equal the tasks", "there is no count", with_(counts={})),
    ("node counters equal the tasks", "a count of a lone task", with_(counts={B: (2, 2, 0, 0, 0, 0), A: (1,) * 6})),
    ("join rows equal their recount", "a member too few", in_row(members=1)),
    ("join rows equal their recount", "an arrival too many", in_row(arrived=3)),
    ("join rows equal their recount", "one still open", in_row(open=1)),
    ("join rows equal their recount", "a failure nobody had", in_row(failed=1)),
    ("join rows equal their recount", "an empty way nobody had", in_row(empty=1)),
    ("join rows equal their recount", "there is no row", with_(rows={})),
    ("every join is decided", "a join never fired", in_row(state=JoinState.OPEN)),
    ("one result per task", "a second item", in_bodies(at=key(D, item=1), to=body(id="5/1/1"))),
    ("one result per task", "no item", without_body(key(D))),
    ("one result per task", "a gap", lambda of: in_bodies(at=key(D, item=1), to=b"{}")(without_body(key(D))(of))),
    ("one result per task", "an item of a task that was pruned", in_task(5, state=TaskState.PRUNED)),
    ("one result per task", "an item of nobody", in_bodies(at=key(B, step(5)), to=b"{}")),
    ("a result is of the accepted attempt", "a late result", in_bodies(at=key(D), to=body(id="5/2/0"))),
    ("a result is of the accepted attempt", "another's result", in_bodies(at=key(D), to=body(id="4/1/0"))),
    ("what succeeded was run", "nobody ran it", with_(executions={n: {1: Span(1)} for n in range(1, 5)})),
    (
        "what succeeded was run",
        "another attempt ran",
        lambda of: replace(of, executions={**of.executions, 5: {2: Span(1)}}),
    ),
    (
        "what succeeded was run",
        "a task that is gone",
        lambda of: replace(of, executions={**of.executions, 99: {1: Span(1)}}),
    ),
    (
        "every item has its children",
        "an element without a task",
        lambda of: replace(of, tasks=of.tasks[:2] + of.tasks[3:]),
    ),
    ("every item has its children", "a task without an element", with_task(task(6, B, step(2), 1))),
    (
        "every item has its children",
        "a join of nobody",
        in_task(1, state=TaskState.PRUNED),
    ),
    ("joins are given their members", "one is missing", in_bodies(at=key(C), to=body(id="4/1/0", of=["2/1/0"]))),
    (
        "joins are given their members",
        "in another order",
        in_bodies(at=key(C), to=body(id="4/1/0", of=["3/1/0", "2/1/0"])),
    ),
    ("large bytes are there", "an item has no bytes", in_bodies(at=key(D), to=None)),
    ("large bytes are there", "a large item is gone", with_(blobs={key(D): stored(found=None, found_size=None)})),
    ("large bytes are there", "an artifact has no row", with_(artifacts={9: None})),
    ("large bytes are there", "an artifact is gone", with_(artifacts={9: stored(found=None, found_size=None)})),
    ("large bytes are there", "an artifact is damaged", with_(artifacts={9: stored(found="6" * 64)})),
    ("large bytes are there", "an artifact was cut", with_(artifacts={9: stored(found_size=2)})),
    (
        "files are those that user code wrote",
        "an artifact is another's",
        with_(artifacts={9: stored(sha256="6" * 64, found="6" * 64)}),
    ),
]


PLAIN_GRAPH = compile_graph(plain_graph(Random(4), "plain"), PLAIN_KINDS)


def evaluated() -> Evidence:
    """A graph of plain steps with the items that it gives."""
    names = PLAIN_GRAPH.names
    found = evaluate(PLAIN_GRAPH.spec, {"seed": ""})
    bodies = {
        ItemKey(RUN, names[node], b"".join(map(step, way)), number): msgspec.json.encode(item)
        for node, ways in found.items()
        for way, items in ways.items()
        for number, item in enumerate(items)
    }
    return replace(good(), graph=PLAIN_GRAPH, tasks=[], rows={}, executions={}, bodies=bodies, inputs=b'{"seed":""}')


def test_items_are_compared_with_those_of_a_plain_evaluation() -> None:
    rule = "items are those of plain evaluation"
    right = evaluated()
    assert len(right.bodies) > 5
    assert rule not in rules_of(right)
    first, *rest = right.bodies
    for bodies in ({**right.bodies, first: b"7"}, {one: right.bodies[one] for one in rest}):
        assert rule in rules_of(replace(right, bodies=bodies))
    failed = msgspec.structs.replace(right.run, state=RunState.FAILED)
    assert rule not in rules_of(replace(right, run=failed, bodies={})), "it holds for runs that SUCCEEDED"


# --- history ---

CLAIMED: dict[str, Any] = {"claimed_at": 30, "settled_at": 40}
TRIED: dict[str, Any] = {"failures": 1, "attempt": 2} | CLAIMED


def on_record(id_: int, *rows: Ended, **changes: Any) -> Evidence:
    """A task that has been changed so, with what is kept of its attempts."""
    of = in_task(id_, **changes)(good())
    attempts = {number: Span(1) for number in range(1, 3)}
    return replace(of, history={id_: list(rows)}, executions={**of.executions, id_: attempts})


def with_spec(of: Evidence, node: int, **changes: Any) -> Evidence:
    nodes = [msgspec.structs.replace(one, **changes) if one.index == node else one for one in of.graph.nodes]
    return replace(of, graph=msgspec.structs.replace(of.graph, nodes=tuple(nodes)))


LATE = {"started_at": 25, "ended_at": 29}
FAILED: dict[str, Any] = {"state": TaskState.FAILED} | CLAIMED
ON_RECORD: list[tuple[str, str, Evidence]] = [
    ("attempts end once", "two ends", on_record(1, ended(1, "failed"), ended(1, "pruned"), **TRIED)),
    ("attempts end once", "one too late", on_record(1, ended(1, "failed", 3), **TRIED)),
    ("failures and losses are on record", "no row", on_record(1, **TRIED)),
    ("failures and losses are on record", "nobody counted", on_record(1, ended(1, "timeout"), attempt=2, **CLAIMED)),
    ("failures and losses are on record", "a loss of nobody", on_record(1, losses=1, attempt=2, **CLAIMED)),
    ("the last attempt ended as its task did", "a failure SUCCEEDED", on_record(1, ended(1, "failed", 2), **TRIED)),
    ("the last attempt ended as its task did", "nothing failed", on_record(1, **FAILED)),
    (
        "nothing fails before its retries are spent",
        "a time-out is tried again",
        with_spec(
            on_record(1, ended(1, "timeout"), failures=1, **FAILED),
            A,
            retry=policy(Retry(attempts=2)),
            times=Times(attempt=5),
        ),
    ),
    (
        "nothing fails before its retries are spent",
        "a loss is none",
        on_record(1, ended(1, "lost"), losses=1, **FAILED),
    ),
    ("an attempt has the time that it may take", "none", on_record(1, ended(1, "timeout"), **TRIED)),
    (
        "an attempt has the time that it may take",
        "too short",
        with_spec(on_record(1, ended(1, "timeout"), **TRIED), A, times=Times(attempt=11)),
    ),
    (
        "a retry waits as long as it should",
        "too soon",
        with_spec(on_record(1, ended(1, "failed"), **TRIED), A, retry=policy(Retry(base=1))),
    ),
    (
        "a retry waits as long as it should",
        "the second too soon",
        with_spec(
            on_record(1, ended(1, "failed"), ended(1, "timeout", 2, **LATE), failures=2, attempt=3, **CLAIMED),
            A,
            retry=policy(Retry(base=0.000004, strategy="linear")),
        ),
    ),
]


@pytest.mark.parametrize(("rule", "evidence"), [(rule, of) for rule, _, of in ON_RECORD], ids=[o[1] for o in ON_RECORD])
def test_history_that_is_not_what_the_tasks_say_is_told(rule: str, evidence: Evidence) -> None:
    assert rule in rules_of(evidence)


def test_every_rule_of_history_has_been_broken_here() -> None:
    assert {rule for rule, _, _ in ON_RECORD} == {named(rule) for rule in history.RULES}


def test_history_that_is_as_it_should_be_breaks_no_rule() -> None:
    rules = {named(rule) for rule in history.RULES}
    patient = policy(Retry(base=0.000010))
    retried = with_spec(on_record(1, ended(1, "failed"), **TRIED), A, retry=patient)
    revived = on_record(1, ended(1, "lost"), **CLAIMED)
    spent = with_spec(on_record(1, ended(1, "timeout"), failures=1, **FAILED), A, times=Times(attempt=10))
    assert not rules & (rules_of(retried) | rules_of(revived) | rules_of(spent))
    assert not rules & rules_of(replace(on_record(1, ended(1, "failed"), attempt=2, **CLAIMED), retried=True))


def test_nothing_is_wrong_with_rows_that_are_right() -> None:
    assert wrongs(good()) == []


@pytest.mark.parametrize(("rule", "change"), [(rule, change) for rule, _, change in BROKEN], ids=[b[1] for b in BROKEN])
def test_a_broken_rule_is_told(rule: str, change: Break) -> None:
    found = wrongs(change(good()))
    assert rule in {wrong.rule for wrong in found}
    assert all(f"run {RUN}" in wrong.what for wrong in found)


def test_every_rule_has_been_broken_here() -> None:
    elsewhere = {named(rule) for rule in (*history.RULES, *conditions.RULES)} | {"items are those of plain evaluation"}
    assert {rule for rule, _, _ in BROKEN} | elsewhere == {named(rule) for rule in RULES}


def test_an_accepted_late_attempt_is_seen_by_its_item_alone() -> None:
    evidence = in_task(5, attempt=2)(good())
    evidence = replace(evidence, executions={**evidence.executions, 5: {1: Span(1), 2: Span(1)}})
    assert rules_of(evidence) == {"a result is of the accepted attempt"}


def test_the_counters_of_a_cancelled_run_are_let_alone() -> None:
    evidence = in_run(state=RunState.CANCELLED, cancel_at=1)(in_row(open=2, state=JoinState.OPEN)(good()))
    assert rules_of(evidence) == set()


def test_a_cancelled_run_keeps_fan_out_that_was_cancelled_and_none_that_is_ready() -> None:
    evidence = in_run(state=RunState.CANCELLED, cancel_at=1, tasks=6, failed=1)(good())
    evidence = replace(evidence, counts={B: (3, 2, 0, 0, 1, 0)})
    cancelled = msgspec.structs.replace(SPREAD, state=TaskState.CANCELLED)
    assert rules_of(replace(evidence, spreads=[cancelled])) == set()
    assert "no fan out is left" in rules_of(replace(evidence, spreads=[SPREAD]))


def test_what_a_join_was_given_is_not_asked_after_a_retry_by_hand() -> None:
    evidence = in_bodies(at=key(C), to=body(id="4/1/0", of=["2/1/0"]))(good())
    assert rules_of(replace(evidence, retried=True)) == set()


def test_a_tolerated_failure_fails_no_run() -> None:
    evidence = in_task(3, state=TaskState.FAILED)(good())
    spec = evidence.graph.nodes[B]
    tolerant = msgspec.structs.replace(spec, spec=msgspec.structs.replace(spec.spec, tolerated=True))
    nodes = tuple(tolerant if node.index == B else node for node in evidence.graph.nodes)
    evidence = replace(
        evidence,
        graph=msgspec.structs.replace(evidence.graph, nodes=nodes),
        history={3: [ended(3, "failed")]},
        counts={B: (2, 1, 1, 0, 0, 0)},
        rows={JoinKey(RUN, C, ROOT): JoinRow(members=2, arrived=1, state=JoinState.FIRED)},
        bodies={
            **{one: found for one, found in evidence.bodies.items() if one != key(B, SECOND)},
            key(C): body(id="4/1/0", of=["2/1/0"]),
        },
    )
    assert wrongs(evidence) == []


def test_an_acknowledged_run_that_is_gone_and_one_of_nobody_are_told() -> None:
    assert run_wrongs([1, 2], [2, 1]) == []
    assert [wrong.what for wrong in run_wrongs([1, 2], [1])] == ["run 2 was acknowledged and is gone"]
    assert [wrong.what for wrong in run_wrongs([1], [1, 3])] == ["run 3 was triggered twice, or by nobody"]


def test_what_a_re_run_replaced_was_run_too() -> None:
    evidence = good()
    evidence = replace(evidence, executions={**evidence.executions, 99: {1: Span(1)}}, past=frozenset({99}))
    assert wrongs(evidence) == []


ROUTED = compile_graph(
    GraphSpec(
        name="routed",
        nodes=(
            NodeSpec(name="a", kind="one"),
            NodeSpec(
                name="b", kind="one", fire=Each(way=Edge(node="a", expand=("parts",), when="size(item.parts) > 0"))
            ),
        ),
        inputs={"seed": InputSpec()},
    ),
    {"one": KindSpec(name="one")},
)


def routed(*second: str) -> Evidence:
    """Two elements, of which the second is turned away; `second`: what is said of it instead."""
    state, code, ended_by = second or ("SKIPPED", "condition", "NONE")
    tasks = [
        task(1, 0),
        task(2, 1, FIRST, 1),
        changed(task(3, 1, SECOND, 1), {"state": TaskState[state], "code": code, "ended": Verb[ended_by]}),
    ]
    of = replace(good(), graph=ROUTED, tasks=tasks, rows={}, counts={})
    return replace(
        of,
        bodies={
            ItemKey(RUN, 0, ROOT, 0): body(id="1/1/0", parts=[{"id": "x", "parts": [1]}, {"id": "y", "parts": []}])
        },
    )


def test_what_a_condition_made_of_an_edge_is_told_anew() -> None:
    rule = "conditions are told as python does"
    assert rule not in rules_of(routed())
    for wrong in (("SUCCEEDED", "", "COMPLETE"), ("FAILED", "condition", "NONE"), ("SKIPPED", "condition", "FAIL")):
        assert rule in rules_of(routed(*wrong)), wrong
