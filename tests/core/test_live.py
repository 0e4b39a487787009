"""A node of a live run: whose a report is that names only it, what attempts read, why it waits; and single turns."""

from __future__ import annotations

import pytest

from core.live_memory import LiveMemory
from core.samples import compiled, node
from stoker.core.graph import InputSpec, OnChange, Ref
from stoker.core.live import Belongs, LiveNode, by_node, refusal, waits_for
from stoker.core.model import Task
from stoker.core.picture import Body
from stoker.core.protocol import ErrorInfo
from stoker.core.states import RunState, TaskState

MINE, OTHER = 7, 8
ONE = (node("a", OnChange(of=("x",)), bind={"x": Ref(node="x", optional=True)}),)


def task(state: TaskState, attempt: int, session: int | None = None) -> Task:
    return Task(id=1, run=1, node=0, branch=b"", state=state, attempt=attempt, session=session)


def live(**inputs: int) -> LiveMemory:
    return LiveMemory(compiled(*ONE, mode="live", inputs={"x": InputSpec()}), inputs)


def body(value: int) -> Body:
    return Body(b"%d" % value)


@pytest.mark.parametrize(
    ("newest", "own", "whose"),
    [
        (None, None, "external"),
        (None, MINE, "external"),
        (task(TaskState.READY, 0), None, "external"),
        (task(TaskState.READY, 2, OTHER), MINE, Belongs(1, 2, open=False)),
        (task(TaskState.READY, 2, MINE), None, Belongs(1, 2, open=False)),
        (task(TaskState.LEASED, 3, MINE), MINE, Belongs(1, 3, open=True)),
        (task(TaskState.LEASED, 3, OTHER), None, Belongs(1, 3, open=True)),
        (task(TaskState.LEASED, 3, OTHER), MINE, Belongs(1, 0, open=False)),
    ],
)
def test_a_report_that_names_only_a_node_is_someones(newest: Task | None, own: int | None, whose: object) -> None:
    assert by_node(newest, own) == whose


def test_attempts_read_what_was_bound_when_they_began() -> None:
    row = LiveNode(run=1, node=0, since=3, bound={1: 20}, before={1: 10})
    assert [row.reads(attempt) for attempt in (1, 2, 3, 4)] == [{1: 10}, {1: 10}, {1: 20}, {1: 20}]
    assert row.dirty(task(TaskState.LEASED, 2))
    assert not row.dirty(task(TaskState.READY, 2))
    assert not row.dirty(task(TaskState.LEASED, 3))


def test_a_node_tells_what_it_waits_for() -> None:
    graph = compiled(
        node("a", OnChange(of=("x",))),
        node("b", OnChange(of=("a", "x"), require_all=True)),
        mode="live",
        inputs={"x": InputSpec()},
    )
    rows = {at: LiveNode(run=1, node=at) for at in range(3)}
    a, b, x = graph.nodes
    assert waits_for(graph, a, rows) == "waits for a first output of the input 'x'"
    assert refusal(graph, a, rows) == "no node before 'a' has an output that it could read: 'x'"
    rows[x.index].settled = True
    assert waits_for(graph, a, rows) == "every node before it has settled, and none has an output: 'x'"
    rows[x.index].current = 1
    assert (waits_for(graph, a, rows), refusal(graph, a, rows)) == ("", None)
    assert waits_for(graph, b, rows) == "waits for 'a' to settle for the first time"
    rows[a.index].settled = True
    assert waits_for(graph, b, rows) == "needs an output of 'a'"
    assert refusal(graph, x, rows) == "'x' is an input, which nothing runs"


def test_what_an_earlier_attempt_gave_never_counts() -> None:
    memory = live(x=1)
    first, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, _: fold.item(first.id, 1, MINE, 1, "", body(5)))
    memory.batch(lambda fold, _: fold.release(first.id, 1, MINE))
    memory.claim("a", OTHER)
    memory.batch(lambda fold, _: fold.complete(first.id, 2, OTHER, []))
    assert memory.current("a") is None
    assert [(output.attempt, output.number) for output in memory.outputs if output.task] == [(1, 1)]


def test_an_output_that_names_only_its_node_counts_with_the_attempt_that_runs() -> None:
    memory = live(x=1)
    place = memory.graph.place("a")
    held, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, run: fold.say(run, place, OTHER, body(4)))
    memory.batch(lambda fold, run: fold.say(run, place, MINE, body(5)))
    memory.batch(lambda fold, run: fold.say(run, place, OTHER, body(6)))
    assert [output.attempt for output in memory.outputs if output.task] == [0, 1, 0]
    assert memory.current("a") is None
    memory.batch(lambda fold, _: fold.complete(held.id, 1, MINE, []))
    assert memory.current("a") == 5


def test_an_output_that_names_only_its_node_is_external_where_nothing_runs() -> None:
    memory = live()
    memory.batch(lambda fold, run: fold.say(run, memory.graph.place("x"), MINE, body(4)))
    assert memory.current("x") == 4
    assert memory.open("a")


def test_an_output_of_a_superseded_attempt_is_kept_and_fires_nothing() -> None:
    memory = live(x=1)
    place = memory.graph.place("a")
    held, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, _: fold.release(held.id, 1, MINE))
    memory.batch(lambda fold, run: fold.say(run, place, None, body(4)))
    assert (memory.current("a"), memory.outputs[-1].attempt) == (None, 1)


def test_a_state_that_names_only_its_node_is_advice_while_an_attempt_runs() -> None:
    memory = live(x=1)
    place = memory.graph.place("a")
    held, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, run: fold.tell(run, place, OTHER, TaskState.FAILED, "not mine"))
    memory.batch(lambda fold, run: fold.tell(run, place, MINE, TaskState.FAILED, "half"))
    assert (memory.row("a").status, memory.row("a").settled) == ("half", False)
    memory.batch(lambda fold, _: fold.complete(held.id, 1, MINE, [body(1)]))
    assert (memory.row("a").state, memory.row("a").status) == (TaskState.SUCCEEDED, "half")
    memory.batch(lambda fold, run: fold.tell(run, place, MINE, TaskState.FAILED, "late"))
    assert (memory.row("a").state, memory.row("a").status) == (TaskState.FAILED, "late")
    refused = memory.batch(lambda fold, _: fold.fail(held.id, 1, MINE, ErrorInfo(message="late"), retryable=False))
    assert refused.status == "stale"
    assert (memory.row("a").state, memory.row("a").status) == (TaskState.SUCCEEDED, "")


def test_a_live_run_goes_on_where_it_was_cancelled() -> None:
    memory = live(x=1)
    held, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, run: fold.stop(run))
    memory.batch(lambda fold, _: fold.release(held.id, 1, MINE))
    assert memory.run.state is RunState.CANCELLED
    assert memory.batch(lambda fold, run: fold.resume(run)) == 1
    assert memory.run.state is RunState.RUNNING
    _, read = memory.claim("a", MINE)
    assert read == {"x": 1}


def test_a_firing_that_a_cancel_held_back_follows() -> None:
    memory = live(x=1)
    held, _ = memory.claim("a", MINE)
    memory.batch(lambda fold, run: fold.publish(run, memory.graph.place("x"), body(2)))
    memory.batch(lambda fold, run: fold.stop(run))
    memory.batch(lambda fold, _: fold.complete(held.id, 1, MINE, [body(9)]))
    assert (memory.run.state, memory.open("a")) == (RunState.CANCELLED, None)
    memory.batch(lambda fold, run: fold.resume(run))
    _, read = memory.claim("a", MINE)
    assert read == {"x": 2}
