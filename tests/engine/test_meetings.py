"""Where features meet: what each of them does to what another one left."""

from __future__ import annotations

import pytest

from engine.plant import NS, Plant, after, encoded, join, node
from engine.test_loops import loop
from stoker.core.graph import WAIT_KIND, KindSpec, Ref, Value, Wait
from stoker.core.views import SettleRequest
from stoker.engine.again import RetryTask
from stoker.engine.batch import Answered
from stoker.engine.paging import key
from stoker.engine.transaction import Verb
from stoker.errors import Conflict, Invalid

FEW = KindSpec(name="few", max_attempts=1)


@pytest.mark.parametrize("past", [True, False])
async def test_a_cursor_that_was_made_up_is_refused(plant: Plant, past: bool) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    for made_up in ("abc", "\xe9", "="):
        cursor = key(0, made_up, 0, 0) if past else key(0, made_up, 0)
        with pytest.raises(Invalid) as caught:
            await plant.engine.views.tasks(NS, run, limit=10, after=cursor, past=past)
        assert caught.value.code == "bad_cursor"


async def test_a_live_run_that_goes_on_gives_no_task_more_attempts_than_its_kind_allows(plant: Plant) -> None:
    await plant.push(node("a", kind="few"), kinds=(FEW,), mode="live")
    run = await plant.trigger()
    hand = plant.hand(kinds=("few",))
    await hand.fail((await hand.claim())[0])
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert (await plant.engine.runs.retry(NS, run)).retried == 1
    (task,) = await hand.claim()
    assert task.attempt == 1
    await hand.complete(task)
    assert [(task.generation, task.state) for task in await plant.tasks(run)] == [(0, "FAILED"), (1, "SUCCEEDED")]


async def test_a_run_whose_cancelled_tasks_have_no_attempt_left_says_so(plant: Plant) -> None:
    await plant.push(node("a", kind="few"), node("b"), kinds=(FEW, KindSpec(name="one")))
    run = await plant.trigger()
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    await plant.engine.runs.retry(NS, run)
    hand = plant.hand()
    await hand.complete((await hand.claim())[0])
    told = await plant.engine.views.explain_run(NS, run)
    (task,) = await plant.tasks(run, "a")
    assert (told.state, told.because) == ("FAILED", [f"task {task.id} (a) was CANCELLED"])
    assert told.remedy == "Start a new run."


async def test_what_the_engine_settles_with_makes_no_more_tasks_at_once_than_a_report(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.core.unlock.MAX_ITEMS", 2)
    wait = Wait(expires="1s", default=[1, 2, 3])
    await plant.push(node("ok", kind=WAIT_KIND, wait=wait), node("each", after("ok", ())))
    run = await plant.trigger()
    await plant.pass_time(1)
    (task,) = await plant.tasks(run)
    assert (task.state, task.code) == ("FAILED", "limit")
    assert (await plant.task(task.id)).message == "it would make 3 tasks at once; the limit is 2"


async def test_a_wait_that_a_re_run_replaced_in_the_meantime_is_no_longer_settled(plant: Plant) -> None:
    ok = node("ok", after("j"), kind=WAIT_KIND, wait=Wait())
    await plant.push(node("a"), node("b", after("a")), node("j", join("b", anchor="a", policy="all_done")), ok)
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete((await hand.claim())[0])
    await hand.fail((await hand.claim())[0])
    await hand.complete((await hand.claim())[0])
    ((wait,), (failed,)) = await plant.tasks(run, "ok"), await plant.tasks(run, "b")
    await plant.engine.waits.settle(NS, wait.id, SettleRequest(value=encoded(1)))
    submit = plant.engine.batches.submit

    async def late(verb: Verb) -> Answered:
        await submit(RetryTask(failed.id, rerun_below=True))
        return await submit(verb)

    plant.engine.batches.submit = late  # type: ignore[method-assign]
    with pytest.raises(Conflict) as caught:
        await plant.engine.waits.settle(NS, wait.id, SettleRequest(value=encoded(1)))
    assert caught.value.code == "replaced"


async def test_a_loop_that_was_cancelled_alone_is_not_retried_and_says_what_to_do(plant: Plant) -> None:
    step = node("step", after("lp.state"), bind={"s": Ref(node="lp.state")})
    await plant.push(*loop("lp", step, last="step", state=Value(value=0), until="index >= 2"))
    run = await plant.trigger()
    (task,) = await plant.tasks(run, "lp")
    await plant.engine.tasks.cancel(NS, task.id)
    hand = plant.hand()
    await hand.complete((await hand.claim())[0])
    assert (await plant.run(run)).state == "FAILED"
    with pytest.raises(Conflict, match="start a new run") as caught:
        await plant.engine.runs.retry_task(NS, task.id)
    assert caught.value.code == "loop"
    assert "start a new run" in (await plant.engine.views.explain_task(NS, task.id)).remedy
