"""Every reason that explain can give, from a plant where it holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.plant import KINDS, NS, Plant, after, completion, failure, join, node
from stoker.core.digest import digest
from stoker.core.graph import Each, Edge, Element, GraphSpec, KindSpec, Limit, Ref, Requirements, Retry
from stoker.core.protocol import ClaimRequest, ErrorInfo, Fail, Progress, Prune, Release, Requeue
from stoker.core.views import Explanation, PushRequest
from stoker.engine import explain
from stoker.errors import Conflict


async def of_task(plant: Plant, task: int) -> Explanation:
    return await plant.engine.views.explain_task(NS, task)


async def of_run(plant: Plant, run: int) -> Explanation:
    return await plant.engine.views.explain_run(NS, run)


def says(told: Explanation, *words: str) -> bool:
    return all(any(word in because for because in told.because) for word in words)


async def first(plant: Plant, *nodes: Any, **options: Any) -> tuple[int, int]:
    """A run and its first task."""
    await plant.push(*(nodes or (node("a", **options),)))
    run = await plant.trigger()
    return run, (await plant.tasks(run))[0].id


def broken(task: Any, message: str = "bad line") -> Fail:
    return Fail(task=task.task, attempt=task.attempt, error=ErrorInfo(message=message, type="ValueError"))


def test_numbers_have_their_words() -> None:
    """No explanation says «task(s)»."""
    for file in Path(explain.__file__).parent.glob("*.py"):
        assert not re.search(r"\w\(s\)", file.read_text()), file


# --- a READY task and the runners ---


async def test_nobody_offers_the_kind(plant: Plant) -> None:
    run, task = await first(plant)
    told = await of_task(plant, task)
    assert told.because == ["no connected runner offers the kind 'one'", "no runner is connected here"]
    assert told.remedy == "Start one: `stoker runner start FILE`, where FILE defines 'one'."
    told = await of_run(plant, run)
    assert told.because[0] == "1 READY task of 'a': no connected runner offers the kind 'one'"
    assert "stoker runner start" in told.remedy


async def test_those_who_are_there_offer_other_kinds(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.hand(kinds=("red", "blue")).claim(0)
    assert says(await of_task(plant, task), "1 connected runner here offer")
    assert says(await of_task(plant, task), "'blue', 'red'")


async def test_the_kind_is_offered_in_another_namespace(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.engine.catalog.put_kinds("elsewhere", [])
    hand = plant.hand("stranger")
    request = ClaimRequest(session=hand.secret, runner=hand.info, want=0)
    await plant.engine.leases.claim("elsewhere", request, frozenset())
    told = await of_task(plant, task)
    assert told.because == [
        "no connected runner offers the kind 'one'",
        "1 runner in other namespaces offer it; a runner works for one alone",
    ]
    assert "stranger" not in "".join(told.because)


async def test_no_runner_meets_the_requirements(plant: Plant) -> None:
    _, task = await first(plant, requires=Requirements(labels={"site": "a"}, resources={"gpu": 2.0}))
    await plant.hand("small", labels={"site": "b"}, resources={"gpu": 1.0}).claim(0)
    await plant.hand("bare").claim(0)
    told = await of_task(plant, task)
    assert told.because == [
        (
            "no runner that offers the kind 'one' meets site=a, gpu>=2: "
            "'small' has site=b, gpu=1, 'bare' has no site, no gpu"
        )
    ]
    assert told.remedy == "Start one that does: `stoker runner start FILE --label site=a --resource gpu=2`."


async def test_a_runner_whose_schema_or_code_differs_is_named(plant: Plant) -> None:
    kind = KindSpec(name="one", input={"type": "object"}, source_hash="f" * 64)
    await plant.push(node("a"), kinds=(kind,))
    run = await plant.trigger()
    (task,) = await plant.tasks(run)
    same, code, schema = (
        kind,
        msgspec.structs.replace(kind, source_hash="e" * 64),
        msgspec.structs.replace(kind, input={"type": "object", "required": ["x"]}),
    )
    await plant.hand("same", digests={"one": str(digest(same))}).claim(0)
    await plant.hand("silent").claim(0)
    assert (await of_task(plant, task.id)).because == [
        "2 connected runners offer the kind 'one'; it waits for its turn"
    ]
    await plant.hand("recoded", digests={"one": str(digest(code))}).claim(0)
    await plant.hand("reshaped", digests={"one": str(digest(schema))}).claim(0)
    told = await of_task(plant, task.id)
    assert told.because[1:] == [
        "the kind 'one' has other schemas than its graph was pushed with at 'reshaped'",
        "the kind 'one' has other code than its graph was pushed with at 'recoded'",
    ]
    assert "stoker graphs push" in told.remedy


async def test_every_runner_is_busy(plant: Plant) -> None:
    await plant.push(node("a"))
    for _ in range(3):
        await plant.trigger()
        plant.clock.advance(0.001)
    hand = plant.hand("worker", capacity=2)
    await hand.claim(2)
    run = await plant.trigger()
    told = await of_task(plant, (await plant.tasks(run))[0].id)
    assert told.because == [
        "every runner for it is busy ('worker'): 2 tasks in 2 places",
        "1 task stands before it in its queue",
    ]


async def test_it_waits_for_its_turn_behind_others(plant: Plant) -> None:
    await plant.push(node("a"))
    for _ in range(3):
        run = await plant.trigger()
        plant.clock.advance(0.001)
    await plant.hand(capacity=5).claim(0)
    told = await of_task(plant, (await plant.tasks(run))[0].id)
    assert told.because == [
        "1 connected runner offers the kind 'one'; it waits for its turn",
        "2 tasks stand before it in its queue",
    ]


async def test_its_limit_is_full_or_its_rate_spent(plant: Plant) -> None:
    await plant.push(node("a", limit=Limit(key="gpu", most=1)), name="most")
    await plant.push(node("a", limit=Limit(key="api", rate="1/min")), name="rate")
    hand = plant.hand(capacity=9)
    for graph, says_first in (
        ("most", "the limit 'gpu' is full: 1 of 1 is being run"),
        ("rate", "the limit 'api' allows the next start in 60.0 s"),
    ):
        await plant.trigger(graph)
        assert len(await hand.claim(1)) == 1
        run = await plant.trigger(graph)
        assert (await of_task(plant, (await plant.tasks(run))[0].id)).because[0] == says_first


@pytest.mark.parametrize("why", ["failed", "timed out", "asked for it"])
async def test_it_is_delayed(plant: Plant, why: str) -> None:
    retry = Retry(attempts=2, strategy="fixed", base="30s")
    _, task = await first(plant, retry=retry, timeout="1s")
    hand = plant.hand()
    (held,) = await hand.claim(1)
    match why:
        case "failed":
            await hand.fail(held)
        case "timed out":
            await plant.pass_time(1)
        case _:
            await hand.report(Requeue(task=task, attempt=1, after_s=30))
    told = await of_task(plant, task)
    assert says(told, why, "in 30.0 s")
    assert told.state == "READY"


@pytest.mark.parametrize("limit", ["queue_timeout", "task_timeout"])
async def test_its_time_in_the_queue_is_bounded(plant: Plant, limit: str) -> None:
    _, task = await first(plant, **{limit: "90s"})
    assert says(await of_task(plant, task), f"its {limit} ends in 90.0 s; then it FAILS")


async def test_it_was_lost_and_may_yet_come_back(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.hand("gone").claim(1)
    await plant.pass_time(21)
    told = await of_task(plant, task)
    assert says(told, "attempt 1 was lost with its runner (loss 1 of at most 3); what that still reports counts")
    assert told.because[-1].startswith("attempt 1 lost with runner 'gone' after 21.0 s: lost: the lease of attempt 1")


async def test_the_history_names_who_had_each_attempt_and_how_it_ended(plant: Plant) -> None:
    _, task = await first(plant, retry=Retry(attempts=9, base=0))
    for number in range(7):
        hand = plant.hand(f"r{number}")
        (held,) = await hand.claim(1)
        plant.clock.advance(1)
        await hand.report(broken(held))
    told = await of_task(plant, task)
    assert told.because[-6:] == [
        *(f"attempt {n + 1} failed with runner 'r{n}' after 1.0 s: ValueError: bad line" for n in range(6, 1, -1)),
        "2 attempts before those ended badly, too",
    ]


# --- a LEASED task ---


async def test_it_is_being_run(plant: Plant) -> None:
    run, task = await first(plant, timeout="90s")
    hand = plant.hand("worker")
    (held,) = await hand.claim(1)
    stream = hand.waiting(0)
    await hand.armed()
    plant.clock.advance(30)
    await hand.report(Progress(task=task, attempt=held.attempt, fraction=0.4, message="sorting"))
    told = await of_task(plant, task)
    assert told.because == [
        "attempt 1 is being run by runner 'worker', for 30.0 s",
        "it says: 40% sorting",
        "its timeout ends in 60.0 s",
    ]
    assert (await of_run(plant, run)).because == ["1 task of 'a' is being run"]
    plant.engine.dispatcher.end_all()
    await stream


async def test_its_runner_is_not_connected(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.hand().claim(1)
    plant.clock.advance(8)
    told = await of_task(plant, task)
    if plant.database is None:  # elsewhere it may be connected to another server until its lease ends
        assert says(told, "its runner is not connected; if it stays away the task is offered again in 12.0 s")


async def test_its_own_cancel_was_asked_for(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.hand().claim(1)
    await plant.engine.tasks.cancel(NS, task)
    plant.clock.advance(0.5)
    told = await of_task(plant, task)
    assert told.because[0] == (
        "its cancel was asked for, 0.5 s ago; its runner is told, "
        "and if it says nothing the task is CANCELLED in 29.5 s"
    )


async def test_its_run_is_being_cancelled_and_was_cancelled(plant: Plant) -> None:
    run, task = await first(plant, node("a"), node("b"))
    hand = plant.hand("slow")
    await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    plant.clock.advance(0.5)
    told = await of_task(plant, task)
    assert says(told, "its run is being cancelled, 0.5 s ago; its runner is told", "is CANCELLED in 29.5 s")
    told = await of_run(plant, run)
    assert told.state == "RUNNING (stopping)"
    assert told.because == [
        "a cancel was requested 0.5 s ago",
        (
            "it waits for 1 task to end, of the runners 'slow' (1); "
            "in 29.5 s what is left of them is CANCELLED in any case"
        ),
        "1 task that nobody has is to be cancelled",
    ]
    (other,) = await plant.tasks(run, "b")
    assert (await of_task(plant, other.id)).because == [
        "its run is being cancelled",
        "it was not begun, and never will be",
    ]
    await plant.tick()
    await hand.report(Release(task=task, attempt=1))
    assert "runs retry" in (await of_task(plant, task)).remedy
    told = await of_run(plant, run)
    assert told.because == ["its cancel was requested 0.5 s ago", "2 tasks were CANCELLED by that"]
    assert told.remedy == f"`stoker runs retry {run}` goes on where it stopped."


async def test_what_a_cancel_took_is_shown_with_the_task_its_attempts_and_why(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    await hand.report(Release(task=task, attempt=1, stage="killed"))
    words = "its code was told to stop and its process ended by SIGKILL"
    assert (await of_task(plant, task)).because == [
        "its run was stopped before it had settled",
        f"attempt 1 cancelled with runner 'hand' after 0 ms: killed: {words}",
    ]
    view = await plant.task(task)
    assert (view.state, view.code, view.message) == ("CANCELLED", "killed", words)
    (attempt,) = await plant.engine.views.attempts(NS, task)
    assert (attempt.outcome, attempt.code, attempt.message, attempt.runner) == ("cancelled", "killed", words, "hand")


async def test_a_graph_that_stops_at_the_first_failure_says_which(plant: Plant) -> None:
    spec = GraphSpec(name="sample", nodes=(node("a"), node("b")), on_failure="stop")
    await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS))
    run = await plant.trigger()
    hand = plant.hand(capacity=2)
    a, b = await hand.claim(2)
    await hand.report(broken(a))
    told = await of_run(plant, run)
    assert told.because[:2] == [
        f"task {a.task} (a) FAILED: ValueError: bad line",
        "its graph stops at the first failure",
    ]
    assert says(await of_task(plant, b.task), "its run stops, since a task of it failed, 0.0 s ago")


# --- a task that has settled ---


async def test_a_withheld_complete_says_so(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    (held,) = await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    plant.clock.advance(2)
    await hand.complete(held)
    told = await of_task(plant, task)
    assert told.because[0] == "attempt 1 completed by runner 'hand' after 2.0 s"
    assert says(told, "nothing after it was unlocked; a retry of the run makes good for that")


async def test_it_failed_and_the_run_with_it(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    await hand.report(broken(*await hand.claim(1)))
    words = "attempt 1 failed with runner 'hand' after 0 ms: ValueError: bad line"
    assert (await of_task(plant, task)).because == [words]
    assert (await of_run(plant, run)).because == [f"task {task} (a) FAILED: ValueError: bad line"]
    for told in (await of_task(plant, task), await of_run(plant, run)):
        assert told.remedy.startswith("Mend the cause, then `stoker ")
    assert f"`stoker tasks retry {task}`" in (await of_task(plant, task)).remedy
    assert f"`stoker runs retry {run}`" in (await of_run(plant, run)).remedy


async def test_of_many_failures_the_first_are_told(plant: Plant) -> None:
    run, _ = await first(plant, node("a"), node("b", after("a", ()), bind={"n": Element(of="a")}))
    hand = plant.hand(capacity=9)
    await hand.complete(*await hand.claim(1), list(range(7)))
    await hand.report(*(failure(task) for task in await hand.claim(9)))
    told = await of_run(plant, run)
    assert len(told.because) == 6
    assert says(told, "(b at a[0]) FAILED", f"and others; `stoker runs get {run}` counts them")


async def test_why_it_was_pruned(plant: Plant) -> None:
    _, task = await first(plant)
    hand = plant.hand()
    await hand.claim(1)
    await hand.report(Prune(task=task, attempt=1, reason="dull"))
    assert (await of_task(plant, task)).because[0] == "its code ended this branch: dull"


PAIR = (node("a"), node("b"), node("c", join("a", "b"), bind={"x": Ref(node="a"), "y": Ref(node="b")}))


@pytest.mark.parametrize("sort", ["failed", "pruned", "input_missing"])
async def test_why_a_join_was_skipped_and_which_task_did_it(plant: Plant, sort: str) -> None:
    run, _ = await first(plant, *PAIR)
    hand = plant.hand(capacity=9)
    a, b = await hand.claim(2)
    match sort:
        case "failed":
            await hand.report(broken(a), completion(b))
            because = [f"a task before this join did not succeed: task {a.task} (a) FAILED: ValueError: bad line"]
        case "pruned":
            await hand.report(Prune(task=a.task, attempt=1, reason="dull"), Prune(task=b.task, attempt=1))
            because = [
                f"every way to this join ended without an item: task {a.task} (a) was PRUNED: dull",
                f"task {b.task} (b) was PRUNED",
            ]
        case _:
            await hand.report(completion(a), Prune(task=b.task, attempt=1, reason="dull"))
            because = [f"its input 'y' comes from a task that has no item: task {b.task} (b) was PRUNED: dull"]
    (skipped,) = await plant.tasks(run, "c")
    assert skipped.code.partition(":")[0] == sort
    told = await of_task(plant, skipped.id)
    assert told.because == because
    assert (f"`stoker tasks retry {a.task}`" in told.remedy) is (sort == "failed")


async def test_a_chain_of_skips_is_told_up_to_its_first_cause(plant: Plant) -> None:
    run, _ = await first(plant, node("a"), node("b", join("a")), node("c", join("b")), node("d", join("c")))
    hand = plant.hand()
    (a,) = await hand.claim(1)
    await hand.report(broken(a))
    (b,), (c,), (d,) = [await plant.tasks(run, name) for name in "bcd"]
    assert (await of_task(plant, d.id)).because == [
        (
            f"a task before this join did not succeed: task {c.id} (c) was SKIPPED, since a task before this join did "
            f"not succeed: task {b.id} (b) was SKIPPED, since a task before this join did not succeed: "
            f"task {a.task} (a) FAILED: ValueError: bad line"
        )
    ]


async def test_a_tolerated_failure_prunes_and_is_told(plant: Plant) -> None:
    run, _ = await first(plant, node("a", tolerated=True), node("b", join("a")))
    hand = plant.hand()
    (a,) = await hand.claim(1)
    await hand.report(broken(a))
    (b,) = await plant.tasks(run, "b")
    assert (await of_task(plant, b.id)).because == [
        f"every way to this join ended without an item: task {a.task} (a) FAILED: ValueError: bad line"
    ]
    told = await of_run(plant, run)
    assert told.because == [
        "every task has settled",
        "1 task of 'a' FAILED, which is tolerated",
        "1 task of 'b' was SKIPPED",
    ]


async def test_a_tolerated_failure_is_not_blamed_for_a_failed_join(plant: Plant) -> None:
    run, _ = await first(plant, node("a", tolerated=True), node("b"), node("c", join("a", "b")))
    hand = plant.hand(capacity=9)
    held = {task.node: task for task in await hand.claim(2)}
    await hand.report(broken(held["a"], "tolerated"))
    await hand.report(broken(held["b"], "blamed"))
    (c,) = await plant.tasks(run, "c")
    assert (await of_task(plant, c.id)).because == [
        f"a task before this join did not succeed: task {held['b'].task} (b) FAILED: ValueError: blamed"
    ]


async def test_an_input_of_what_was_never_reached_names_what_was_in_the_way(plant: Plant) -> None:
    """`b` never came to be, since `a` before it was pruned."""
    run, _ = await first(
        plant, node("s"), node("a"), node("b", after("a")), node("c", join("s", "b"), bind={"x": Ref(node="b")})
    )
    hand = plant.hand(capacity=9)
    held = {task.node: task for task in await hand.claim(2)}
    await hand.report(completion(held["s"]), Prune(task=held["a"].task, attempt=1, reason="dull"))
    (c,) = await plant.tasks(run, "c")
    assert (await of_task(plant, c.id)).because == [
        f"its input 'x' comes from a task that has no item: task {held['a'].task} (a) was PRUNED: dull"
    ]


async def test_a_condition_that_is_false_is_told(plant: Plant) -> None:
    way = Each(way=Edge(node="a", when="item > 3"))
    run, _ = await first(plant, node("a"), node("b", way))
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), 1)
    (b,) = await plant.tasks(run, "b")
    told = await of_task(plant, b.id)
    assert (told.because, told.remedy) == (["the condition `item > 3` on the edge from 'a' is false"], "")
    assert says(await of_run(plant, run), "1 task of 'b' was SKIPPED")


async def test_what_no_retry_helps_has_another_remedy(plant: Plant) -> None:
    """A condition that cannot be told sees the same item again."""
    run, _ = await first(plant, node("a"), node("b", Each(way=Edge(node="a", when="item.rows > 3"))))
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), {"cols": 1})
    (b,) = await plant.tasks(run, "b")
    for told in (await of_task(plant, b.id), await of_run(plant, run)):
        assert says(told, "'item.rows > 3' on the edge from 'a' cannot be told")
        assert told.remedy == "Start a new run."
    with pytest.raises(Conflict):
        await plant.engine.runs.retry(NS, run)


# --- a run ---


async def test_what_a_run_waits_for_and_what_it_did_not_reach(plant: Plant) -> None:
    run, _ = await first(
        plant,
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}, tolerated=True),
        node("c", join("b")),
    )
    hand = plant.hand(capacity=9)
    await hand.complete(*await hand.claim(1), [1, 2, 3])
    one, *_ = await hand.claim(1)
    tasks = await plant.tasks(run, "b")
    told = await of_run(plant, run)
    assert told.because[0].startswith("2 READY tasks of 'b': 1 connected runner offers the kind 'one'")
    assert "1 task of 'b' is being run" in told.because
    assert told.because[-1] == "the join 'c' waits for 3 tasks before it: " + ", ".join(
        f"task {task.id} (b at {task.branch}) {task.state}" for task in tasks
    )
    two, three = await hand.claim(2)
    await hand.report(broken(one), Prune(task=two.task, attempt=1, reason="dull"), completion(three))
    await hand.complete(*await hand.claim(1))
    told = await of_run(plant, run)
    assert told.state == "SUCCEEDED"
    assert told.because == [
        "every task has settled",
        "1 task of 'b' FAILED, which is tolerated",
        "1 task of 'b' was PRUNED",
    ]


async def test_tasks_that_are_still_to_be_made_are_told(plant: Plant) -> None:
    run, _ = await first(plant, node("a"), node("b", after("a", ()), bind={"n": Element(of="a")}))
    hand = plant.hand(capacity=9)
    await hand.complete(*await hand.claim(1), list(range(2_500)))
    assert says(await of_run(plant, run), "1500 more tasks of 'b' are being made, slice by slice")


async def test_a_result_that_is_there_lacks_nothing_whatever_failed_before_it(plant: Plant) -> None:
    await plant.push(
        node("a"), node("b", after("a", ()), tolerated=True), node("c", join("b", anchor="a")), result=Ref(node="c")
    )
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), [1, 2])
    await hand.fail(*await hand.claim(1))
    for _ in ("b", "c"):
        await hand.complete(*await hand.claim(1))
    told = await of_run(plant, run)
    assert told.because == ["every task has settled", "1 task of 'b' FAILED, which is tolerated"]


async def test_a_run_without_a_result_says_what_the_result_lacks(plant: Plant) -> None:
    await plant.push(node("a"), node("b", join("a")), node("c", after("a")), result=Ref(node="b"))
    run = await plant.trigger()
    hand = plant.hand()
    (a,) = await hand.claim(1)
    await hand.report(Prune(task=a.task, attempt=1, reason="dull"))
    (b,) = await plant.tasks(run, "b")
    told = await of_run(plant, run)
    assert told.because == [
        (
            f"the result is made of 'b': task {b.id} (b) was SKIPPED, since every way to this join ended without an "
            f"item: task {a.task} (a) was PRUNED: dull"
        ),
        "every task has settled",
        "1 task of 'a' was PRUNED",
        "1 task of 'b' was SKIPPED",
        "nothing reached 'c'",
    ]


async def test_a_run_that_succeeded_in_all_parts_says_no_more(plant: Plant) -> None:
    run, _ = await first(plant)
    hand = plant.hand()
    await hand.complete(*await hand.claim(1))
    assert (await of_run(plant, run)).because == ["every task has settled"]
