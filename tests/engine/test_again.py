"""One task retried by hand, and joins that run again below it, on the whole engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, failure, join, node
from stoker.core.firing import recount
from stoker.core.graph import ITEM_KIND, SUBGRAPH_KIND, Each, Edge, Element, Expand, KindSpec, Ref, Subgraph
from stoker.core.protocol import Log, Prune
from stoker.core.spread import standing
from stoker.core.states import LIVE
from stoker.engine.ports import CommitUnknown, Reader
from stoker.engine.versions import Versions
from stoker.errors import Conflict, NotFound

FANNED = (
    node("a"),
    node("b", after("a", ()), bind={"n": Element(of="a")}, tolerated=True),
    node("j", join("b", anchor="a"), bind={"all": Ref(node="b", many=True)}),
    node("k", after("j"), bind={"got": Ref(node="j")}),
)


async def retry(plant: Plant, task: int, **options: Any) -> Any:
    answer = await plant.engine.runs.retry_task(NS, task, **options)
    await true(plant)
    return answer


async def refused(plant: Plant, task: int, **options: Any) -> Conflict:
    """Why a task is not retried; nothing has changed then."""
    before = [await plant.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("task", "run", "join_row")]
    with pytest.raises(Conflict) as caught:
        await plant.engine.runs.retry_task(NS, task, **options)
    after = [await plant.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("task", "run", "join_row")]
    assert before == after
    return caught.value


async def true(plant: Plant) -> None:
    """Every count of a run and every join row is what its tasks say."""

    async def look(reader: Reader) -> None:
        for run in await reader.runs(range(1, 10)):
            graph = (await Versions().get(reader, run.version)).graph
            made = await reader.task_rows("run_tasks", run.id)
            tasks = made + [task for row in await reader.run_spreads(run.id) for task in standing(row)]
            rows = dict(await reader.run_join_rows(run.id))
            assert (run.tasks, run.open) == (len(tasks), sum(task.state in LIVE for task in tasks))
            assert recount(graph, run.id, tasks, rows) == rows
            for number, created, *_ in await reader.rows("node_counts", run.id):
                assert created == sum(task.node == number for task in tasks)

    await plant.engine.store.read(look)


async def fanned(plant: Plant) -> tuple[int, Hand, int]:
    """A run that SUCCEEDED without the second of its three elements: the run, the runner, the task that FAILED."""
    await plant.push(*FANNED, result=Ref(node="k"))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), [1, 2, 3])
    first, second, third = await hand.claim(3)
    await hand.report(completion(first, "one"), failure(second), completion(third, "three"))
    await hand.complete(*await hand.claim(), "gathered")
    await hand.complete(*await hand.claim(), "done")
    assert (await plant.run(run)).state == "SUCCEEDED"
    return run, hand, second.task


async def test_a_task_is_retried_while_its_run_goes_on(plant: Plant) -> None:
    await plant.push(node("a"), node("b"), node("j", join("a", "b")))
    run, hand = await plant.trigger(), plant.hand()
    a, b = await hand.claim(2)
    await hand.fail(a)
    answer = await retry(plant, a.task)
    assert (answer.retried, answer.fired, answer.rerun) == (1, [], [])
    (again,) = await hand.claim(5)
    assert (again.task, again.attempt, again.failures) == (a.task, 2, 0)
    await hand.report(completion(again), completion(b))
    await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "SUCCEEDED"
    await true(plant)


async def test_a_task_is_retried_after_the_end_and_the_joins_above_open_again(plant: Plant) -> None:
    await plant.push(node("a"), node("b"), node("j", join("a", "b")), node("k", join("j")))
    run, hand = await plant.trigger(), plant.hand()
    a, b = await hand.claim(2)
    await hand.report(Prune(task=a.task, attempt=1, reason="no"), completion(b))
    (j,) = await hand.claim()
    await hand.fail(j)
    assert (await plant.run(run)).state == "FAILED"
    answer = await retry(plant, a.task)
    assert (answer.retried, answer.fired) == (1, ["j"])
    view = await plant.run(run)
    assert (view.state, view.ended_at, await plant.states(run, "j")) == ("RUNNING", None, ["FAILED"])
    await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "FAILED"
    await retry(plant, j.task)
    assert await plant.states(run, "k") == []
    await hand.complete(*await hand.claim())
    await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "SUCCEEDED"
    await true(plant)


async def test_joins_below_run_again_and_what_they_made_belongs_to_the_past(plant: Plant) -> None:
    run, hand, bad = await fanned(plant)
    (old,) = await plant.tasks(run, "j")
    assert await plant.result(run) == "done"
    answer = await retry(plant, bad, rerun_below=True)
    assert (answer.retried, answer.rerun, answer.generation, answer.replaced) == (1, ["j"], 1, 2)
    assert (await plant.run(run)).tasks == 4
    await hand.complete(*await hand.claim(), "two")
    (j,) = await hand.claim()
    assert msgspec.json.decode(j.input) == {"all": ["one", "two", "three"]}
    await hand.complete(j, "gathered again")
    (k,) = await hand.claim()
    assert msgspec.json.decode(k.input) == {"got": "gathered again"}
    await hand.complete(k, "done again")
    assert await plant.result(run) == "done again"
    assert [task.generation for task in await plant.tasks(run)] == [0, 0, 0, 0, 1, 1]
    page = await plant.engine.views.tasks(NS, run, state=None, node=None, limit=1, after=None, past=True)
    more = await plant.engine.views.tasks(NS, run, state=None, node=None, limit=9, after=page.after, past=True)
    assert [(task.node, task.generation, task.past) for task in page.items + more.items] == [
        ("j", 0, True),
        ("k", 0, True),
    ]
    assert await plant.sql("SELECT CAST(body AS TEXT) FROM past_item ORDER BY node") != []
    assert page.items[0].id == old.id
    await true(plant)


async def test_a_task_of_the_past_is_still_told_of(plant: Plant) -> None:
    await plant.push(node("a", tolerated=True), node("j", join("a", policy="all_done"), tolerated=True))
    run, hand = await plant.trigger(), plant.hand()
    await hand.fail(*await hand.claim())
    (j,) = await hand.claim()
    await hand.report(Log(task=j.task, attempt=1, seq=0, text="so far"), failure(j, "no good"))
    (a,) = await plant.tasks(run, "a")
    await retry(plant, a.id, rerun_below=True)
    old = await plant.task(j.task)
    assert (old.state, old.past, old.message) == ("FAILED", True, "no good")
    assert [attempt.message for attempt in await plant.engine.views.attempts(NS, j.task)] == ["no good"]
    for logs in (
        await plant.engine.logs.page(NS, run=run, task=None, limit=9, after=0),
        await plant.engine.logs.page(NS, run=None, task=j.task, limit=9, after=0),
    ):
        assert [(log.node, log.text) for log in logs.items] == [("j", "so far")]
    assert (await refused(plant, j.task)).code == "replaced"
    await hand.complete(*await hand.claim())
    (new,) = await plant.tasks(run, "j")
    error = await refused(plant, j.task)
    assert error.remedy == f"In its place stands task {new.id}."
    assert "re-run" in (await plant.engine.views.explain_task(NS, j.task)).because[0]


async def test_what_is_run_again_may_be_wide(plant: Plant) -> None:
    """The old tasks and items of a fan-out stand where the new ones will."""
    await plant.push(node("a", tolerated=True), node("j", join("a", policy="all_done")), node("w", after("j", ())))
    run, hand = await plant.trigger(), plant.hand()
    await hand.fail(*await hand.claim())
    for width in (1_500, 1_200):
        if width == 1_200:
            (a,) = await plant.tasks(run, "a")
            assert (await retry(plant, a.id, rerun_below=True)).replaced == 1_501
            await hand.complete(*await hand.claim())
        await hand.complete(*await hand.claim(), list(range(width)))
        assert (await refused(plant, (await plant.tasks(run, "a"))[0].id, rerun_below=True)).code in (
            "below_not_settled",
            "succeeded",
        )
        await plant.tick()
        while tasks := await hand.claim(1_000):
            await hand.report(*(completion(task) for task in tasks))
        await plant.tick()
        await true(plant)
    assert (await plant.run(run)).tasks == 1_202
    assert await plant.sql("SELECT COUNT(*), MIN(generation), MAX(generation) FROM task WHERE node = 2") == [
        (1_200, 1, 1)
    ]


async def test_nothing_runs_again_while_something_below_is_being_run(plant: Plant) -> None:
    await plant.push(node("a", tolerated=True), node("j", join("a", policy="all_done")), node("k", after("j")))
    await plant.trigger()
    hand = plant.hand()
    (a,) = await hand.claim()
    await hand.fail(a)
    (j,) = await hand.claim()
    for state in ("LEASED", "READY"):
        error = await refused(plant, a.task, rerun_below=True)
        assert (error.code, f"task {j.task} of 'j' is {state}" in error.message) == ("below_not_settled", True)
        if state == "LEASED":
            await hand.fail(j, retryable=False)
            await plant.engine.runs.retry_task(NS, j.task)
    (j,) = await hand.claim()
    await hand.complete(j)
    error = await refused(plant, a.task, rerun_below=True)
    assert "of 'k' is READY" in error.message
    await hand.complete(*await hand.claim())
    assert (await retry(plant, a.task, rerun_below=True)).replaced == 2


async def test_a_task_that_is_well_or_not_settled_is_not_retried(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (ready,) = await plant.tasks(1)
    assert (await refused(plant, ready.id)).code == "not_settled"
    (task,) = await hand.claim()
    assert (await refused(plant, task.task)).code == "not_settled"
    await hand.complete(task)
    assert (await refused(plant, task.task)).code == "succeeded"
    with pytest.raises(NotFound):
        await plant.engine.runs.retry_task(NS, 99)
    with pytest.raises(NotFound):
        await plant.engine.runs.retry_task("elsewhere", task.task)


async def test_a_skipped_join_names_what_to_retry_instead(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a", ())), node("j", join("b")), node("k", join("j")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), [1, 2, 3, 4, 5])
    tasks = await hand.claim(5)
    await hand.report(*(failure(task) for task in tasks[:4]), Prune(task=tasks[4].task, attempt=1))
    (k,) = await plant.tasks(run, "k")
    error = await refused(plant, k.id)
    assert error.code == "skipped"
    assert f"task {tasks[0].task} (b at a[0], FAILED)" in error.message
    assert "and 1 more" in error.message
    assert f"stoker tasks retry {tasks[0].task}" in error.remedy


async def test_a_join_skipped_for_a_missing_item_names_the_task_without_one(plant: Plant) -> None:
    one = Ref(node="a")
    await plant.push(node("a"), node("b"), node("j", join("a", "b", policy="all_done"), bind={"x": one}))
    run, hand = await plant.trigger(), plant.hand()
    a, b = await hand.claim(2)
    await hand.report(Prune(task=a.task, attempt=1), completion(b))
    (j,) = await plant.tasks(run, "j")
    assert (j.state, j.code) == ("SKIPPED", "input_missing: x")
    assert f"task {a.task} (a, PRUNED)" in (await refused(plant, j.id)).message


async def test_the_task_of_an_inline_node_is_not_retried(plant: Plant) -> None:
    await plant.push(node("a"), node("i", after("a", ()), kind=ITEM_KIND), node("b", after("i", ("no",))))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), [1])
    (i,) = await plant.tasks(run, "i")
    assert (i.state, (await refused(plant, i.id)).code) == ("FAILED", "inline")


async def test_what_a_condition_failed_or_skipped_is_not_retried(plant: Plant) -> None:
    untold, away = Edge(node="a", when="item.n > 1"), Edge(node="a", when="item > 1")
    await plant.push(node("a"), node("b", Each(way=untold)), node("c", Each(way=away)))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), 1)
    (b,), (c,) = await plant.tasks(run, "b"), await plant.tasks(run, "c")
    assert (b.state, c.state) == ("FAILED", "SKIPPED")
    assert (await refused(plant, b.id)).code == "failed_as_made"
    error = await refused(plant, c.id)
    assert (error.code, "the condition on the way to it does not hold" in error.message) == ("skipped", True)


async def test_a_task_that_has_had_its_attempts_is_not_retried(plant: Plant) -> None:
    await plant.push(node("a"), kinds=(KindSpec(name="one", max_attempts=1),))
    await plant.trigger()
    hand = plant.hand()
    (a,) = await hand.claim()
    await hand.fail(a)
    error = await refused(plant, a.task)
    assert (error.code, "at most 1 attempts" in error.message) == ("attempts_exhausted", True)


async def test_a_task_of_a_child_run_that_has_ended_is_retried_above(plant: Plant) -> None:
    await plant.push(node("work"), name="inner")
    await plant.push(node("a", kind=SUBGRAPH_KIND, subgraph=Subgraph(graph="inner")))
    run, hand = await plant.trigger(), plant.hand()
    (work,) = await hand.claim()
    await hand.fail(work)
    (a,) = await plant.tasks(run, "a")
    error = await refused(plant, work.task)
    assert (error.code, f"`stoker tasks retry {a.id}`" in error.remedy) == ("child_run", True)
    await retry(plant, a.id)
    await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_task_of_a_stopped_run_is_retried_with_its_run(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    run, hand = await plant.trigger(), plant.hand()
    (a,) = await hand.claim()
    await hand.fail(a)
    (b,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    assert (await refused(plant, a.task)).code == "stopping"
    await hand.fail(b)
    assert (await plant.run(run)).state == "CANCELLED"
    error = await refused(plant, a.task)
    assert (error.code, f"stoker runs retry {run}" in error.remedy) == ("run_was_stopped", True)
    assert (await plant.engine.runs.retry(NS, run)).retried == 2
    await true(plant)


async def test_a_run_is_retried_with_what_fired_below(plant: Plant) -> None:
    await plant.push(node("a"), node("j", join("a", policy="all_done")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.fail(*await hand.claim())
    await hand.complete(*await hand.claim())
    assert (await plant.engine.runs.retry(NS, run)).fired == ["j"]
    await hand.fail(*await hand.claim())
    answer = await plant.engine.runs.retry(NS, run, rerun_below=True)
    assert (answer.fired, answer.rerun, answer.replaced) == ([], ["j"], 1)
    for _ in range(2):
        await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "SUCCEEDED"
    await true(plant)


async def test_a_list_that_could_not_be_had_is_bound_and_checked_again(plant: Plant) -> None:
    over = Expand(over=Ref(node="a", path=("parts",)))
    await plant.push(node("a"), node("e", after("a"), expand=over), node("j", join("e")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), {"parts": 3})
    (first,) = await plant.tasks(run, "e")
    assert (first.state, first.code) == ("FAILED", "binding")
    assert (await retry(plant, first.id)).retried == 1
    (second,) = await plant.tasks(run, "e")
    assert (second.state, second.generation, (await plant.task(first.id)).past) == ("FAILED", 1, True)
    assert (await plant.run(run)).state == "FAILED"


async def test_a_task_whose_input_could_not_be_bound_is_bound_again(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a"), bind={"x": Ref(node="a", path=("x",))}))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), {"y": 1})
    assert await hand.claim() == []
    await plant.settled()
    (b,) = await plant.tasks(run, "b")
    assert (b.state, b.code, b.attempt) == ("FAILED", "binding", 1)
    await retry(plant, b.id)
    assert await hand.claim() == []
    await plant.settled()
    (again,) = await plant.tasks(run, "b")
    assert (again.id, again.state, again.code, again.attempt) == (b.id, "FAILED", "binding", 2)


@pytest.mark.parametrize("meanwhile", ["nothing", "claimed", "failed"])
async def test_a_retry_that_was_committed_unheard_is_done_once(plant: Plant, meanwhile: str) -> None:
    run, _, bad = await fanned(plant)
    calls = 0

    async def unheard(real: Callable[..., Any], work: Any) -> Any:
        nonlocal calls
        calls += 1
        found = await real(work)
        if calls == 1:
            change = {"claimed": "state = 2, attempt = 3", "failed": "state = 4, attempt = 3", "nothing": "state = 1"}
            await plant.sql(f"UPDATE task SET {change[meanwhile]} WHERE id = ?", bad)
            raise CommitUnknown("the line went dead")
        return found

    plant.seam(unheard)
    answer = await plant.engine.runs.retry_task(NS, bad, rerun_below=True)
    assert (calls, answer.retried, answer.rerun, answer.replaced) == (2, 1, ["j"], 2)
    assert await plant.sql("SELECT COUNT(*) FROM past_task") == [(2,)]
    assert (await plant.run(run)).tasks == 4


async def test_a_retry_whose_commit_was_lost_is_done_after_all(plant: Plant) -> None:
    run, _, bad = await fanned(plant)
    calls = 0

    async def lost(real: Callable[..., Any], work: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:

            async def undone(tx: Any) -> None:
                await work(tx)
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await real(undone)
            raise CommitUnknown("the line went dead")
        return await real(work)

    plant.seam(lost)
    assert (await plant.engine.runs.retry_task(NS, bad, rerun_below=True)).replaced == 2
    assert (await plant.run(run)).state == "RUNNING"
    await true(plant)
