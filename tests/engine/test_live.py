"""Live runs on a whole engine: publish, fire, outputs, and what comes between."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, completion, encoded, node
from stoker.core.graph import GraphSpec, OnChange, Ref, Retry, RunInput
from stoker.core.protocol import Assignment, Item, Output, Receipt
from stoker.core.views import FireAnswer, LiveNodeView, OutputView, PublishRequest
from stoker.errors import Conflict, Invalid, NotFound


def on_change(*of: str, require_all: bool = False) -> OnChange:
    return OnChange(of=of, require_all=require_all)


def reads(**inputs: str) -> dict[str, Any]:
    return {name: Ref(node=node, optional=True) for name, node in inputs.items()}


async def publish(plant: Plant, run: int, name: str, value: object) -> OutputView:
    output = await plant.engine.live.publish(NS, run, name, PublishRequest(value=encoded(value)))
    assert output is not None
    return output


async def settle_outside(plant: Plant, run: int, at: str, **options: Any) -> None:
    assert await plant.engine.live.publish(NS, run, at, PublishRequest(**options)) is None


async def fire(plant: Plant, run: int, name: str) -> FireAnswer:
    return await plant.engine.live.fire(NS, run, name)


async def stands(plant: Plant, run: int, name: str) -> LiveNodeView:
    return next(view for view in (await plant.run(run)).live if view.node == name)


async def values(plant: Plant, run: int, name: str, *, current: bool = False) -> list[Any]:
    page = await plant.engine.live.outputs(NS, run, node=name, current=current, limit=100, after=None)
    return [msgspec.json.decode(output.value) for output in page.items]  # type: ignore[arg-type]  # small ones are there


def given(task: Assignment) -> Any:
    return msgspec.json.decode(task.input)


async def say(hand: Hand, task: Assignment, number: int, value: object) -> Receipt:
    item = Item(value=encoded(value))
    return (await hand.report(Output(task=task.task, attempt=task.attempt, number=number, item=item)))[0]


CHAIN = (
    node("a", on_change("x"), bind={"x": RunInput(name="x")}),
    node("b", on_change("a"), bind=reads(a="a")),
)


async def chain(plant: Plant, inputs: dict[str, object] | None = None) -> tuple[int, Hand]:
    await plant.push(*CHAIN, inputs=("x",), mode="live")
    return await plant.trigger(inputs=inputs), plant.hand()


async def test_a_change_passes_down_a_chain(plant: Plant) -> None:
    run, hand = await chain(plant)
    assert await hand.claim() == []
    assert (await stands(plant, run, "a")).waits_for == "waits for a first output of the input 'x'"
    await publish(plant, run, "x", 1)
    (a,) = await hand.claim()
    assert given(a) == {"x": 1}
    await hand.complete(a, "one")
    (b,) = await hand.claim()
    assert given(b) == {"a": "one"}
    await hand.complete(b, "two")
    assert await hand.claim() == []
    assert (await plant.run(run)).state == "RUNNING"
    assert await values(plant, run, "b", current=True) == ["two"]


async def test_inputs_given_at_the_trigger_are_published_at_once(plant: Plant) -> None:
    _, hand = await chain(plant, {"x": 5})
    (a,) = await hand.claim()
    assert given(a) == {"x": 5}


async def test_changes_while_a_task_is_ready_give_one_firing_with_the_newest_value(plant: Plant) -> None:
    run, hand = await chain(plant)
    for value in (1, 2, 3):
        await publish(plant, run, "x", value)
    (a,) = await hand.claim(10)
    assert given(a) == {"x": 3}
    await hand.complete(a)
    assert [task.node for task in await hand.claim(10)] == ["b"]


async def test_changes_while_a_task_is_run_give_exactly_one_more_firing(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (first,) = await hand.claim()
    await publish(plant, run, "x", 2)
    await publish(plant, run, "x", 3)
    view = await stands(plant, run, "a")
    assert (view.state, view.dirty, view.generation) == ("LEASED", True, 0)
    assert "one more firing follows" in str((await plant.engine.views.explain_run(NS, run)).because)
    await hand.complete(first)
    tasks = {task.node: task for task in await hand.claim(10)}
    assert given(tasks["a"]) == {"x": 3}
    assert not (await stands(plant, run, "a")).dirty
    await hand.complete(tasks["a"])
    await hand.complete(tasks["b"])
    assert [task.node for task in await hand.claim(10)] == ["b"]  # a completed while b was being run


@pytest.mark.parametrize("end", ["fail", "lose"])
async def test_a_task_that_is_offered_again_reads_anew_and_is_no_longer_dirty(plant: Plant, end: str) -> None:
    retry = Retry(attempts=2, base=0.001)
    await plant.push(node("a", on_change("x"), bind={"x": RunInput(name="x")}, retry=retry), inputs=("x",), mode="live")
    run, hand = await plant.trigger(inputs={"x": 1}), plant.hand()
    (first,) = await hand.claim()
    await publish(plant, run, "x", 2)
    if end == "fail":
        await hand.fail(first)
        await plant.pass_time(1)
    else:
        hand.drop()
        await plant.pass_time(25)
    (second,) = await hand.claim()
    assert (second.task, second.attempt, given(second)) == (first.task, 2, {"x": 2})
    await hand.complete(second)
    assert await hand.claim() == []


async def test_a_loss_that_is_taken_back_stays_dirty(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (first,) = await hand.claim()
    await plant.pass_time(25)
    await publish(plant, run, "x", 2)
    assert (await hand.complete(first)).status == "accepted"
    tasks = {task.node: given(task) for task in await hand.claim(10)}
    assert tasks["a"] == {"x": 2}


async def test_a_failed_parent_does_not_block_a_child_that_has_other_input(plant: Plant) -> None:
    await plant.push(
        node("a", on_change("x")),
        node("b", on_change("x")),
        node("c", on_change("a", "b"), bind=reads(a="a", b="b")),
        inputs=("x",),
        mode="live",
    )
    _run, hand = await plant.trigger(inputs={"x": 1}), plant.hand()
    tasks = {task.node: task for task in await hand.claim(10)}
    await hand.complete(tasks["a"], "A")
    assert await hand.claim(10) == []
    await hand.fail(tasks["b"], retryable=False)
    (c,) = await hand.claim(10)
    assert given(c) == {"a": "A", "b": None}


async def test_with_require_all_it_waits_for_the_output_of_each(plant: Plant) -> None:
    await plant.push(
        node("a"), node("b"), node("c", on_change("a", "b", require_all=True), bind=reads(a="a", b="b")), mode="live"
    )
    run, hand = await plant.trigger(), plant.hand()
    tasks = {task.node: task for task in await hand.claim(10)}
    await hand.complete(tasks["a"], "A")
    await hand.fail(tasks["b"], retryable=False)
    assert await hand.claim(10) == []
    assert (await stands(plant, run, "c")).waits_for == "needs an output of 'b'"
    await publish(plant, run, "b", "B")
    (c,) = await hand.claim(10)
    assert given(c) == {"a": "A", "b": "B"}


async def test_outputs_of_an_attempt_count_when_it_completes(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (a,) = await hand.claim()
    assert (await say(hand, a, 1, "first")).status == "accepted"
    assert (await say(hand, a, 2, "second")).status == "accepted"
    assert (await say(hand, a, 2, "second again")).status == "accepted"
    assert await values(plant, run, "a") == ["second", "first"]
    assert await values(plant, run, "a", current=True) == []
    await hand.report(completion(a, items=[]))
    assert await values(plant, run, "a", current=True) == ["second"]
    (b,) = await hand.claim()
    assert given(b) == {"a": "second"}


async def test_outputs_of_a_failed_attempt_are_listed_and_never_current(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (a,) = await hand.claim()
    await say(hand, a, 1, "half")
    await hand.fail(a, retryable=False)
    page = await plant.engine.live.outputs(NS, run, node="a", current=False, limit=10, after=None)
    assert [(output.counts, output.current) for output in page.items] == [(False, False)]
    await publish(plant, run, "x", 2)
    (again,) = await hand.claim()
    assert again.task != a.task
    await hand.report(completion(again, items=[]))
    assert await values(plant, run, "a", current=True) == []
    assert await hand.claim() == []


async def test_a_complete_without_items_leaves_the_current_output(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    await hand.complete((await hand.claim())[0], "kept")
    (b,) = await hand.claim()
    await publish(plant, run, "x", 2)
    (a,) = await hand.claim()
    await hand.report(completion(a, items=[]))
    assert await values(plant, run, "a", current=True) == ["kept"]
    await hand.complete(b)
    assert await hand.claim() == []


async def test_fire_runs_a_node_again(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (a,) = await hand.claim()
    assert (await fire(plant, run, "a")).dirty
    assert (await fire(plant, run, "a")).dirty
    await hand.complete(a)
    again = next(task for task in await hand.claim(10) if task.node == "a")
    await hand.complete(again)
    fired = await fire(plant, run, "a")
    assert (fired.state, fired.generation, fired.dirty) == ("READY", 2, False)
    assert await fire(plant, run, "a") == fired


async def test_what_cannot_be_fired_is_refused(plant: Plant) -> None:
    run, _ = await chain(plant)
    for name in ("x", "a"):
        with pytest.raises(Conflict) as error:
            await fire(plant, run, name)
        assert error.value.code == "cannot_fire"
    with pytest.raises(NotFound):
        await fire(plant, run, "nobody")


async def test_the_newest_task_of_a_node_is_retried_by_hand_and_reads_anew(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (first,) = await hand.claim()
    await hand.fail(first, retryable=False)
    await publish(plant, run, "x", 2)
    (second,) = await hand.claim()
    await hand.fail(second, retryable=False)
    with pytest.raises(Conflict) as error:
        await plant.engine.runs.retry_task(NS, first.task)
    assert error.value.code == "live_run"
    await plant.engine.runs.retry_task(NS, second.task)
    (again,) = await hand.claim()
    assert (again.task, again.attempt, given(again)) == (second.task, 2, {"x": 2})


async def test_what_is_retried_by_hand_reads_what_changed_while_nothing_was_open(plant: Plant) -> None:
    await plant.push(node("c", on_change("x", "y"), bind=reads(x="x", y="y")), inputs=("x", "y"), mode="live")
    run, hand = await plant.trigger(inputs={"x": 1}), plant.hand()
    await fire(plant, run, "c")  # by hand: y has not settled yet
    (first,) = await hand.claim()
    await hand.fail(first, retryable=False)
    await publish(plant, run, "x", 2)
    assert await hand.claim() == []
    await plant.engine.runs.retry_task(NS, first.task)
    (again,) = await hand.claim()
    assert given(again) == {"x": 2, "y": None}


async def test_an_external_state_settles_a_node(plant: Plant) -> None:
    run, hand = await chain(plant)
    await settle_outside(plant, run, "x", failed=True, status="the sensor is away")
    view = await stands(plant, run, "x")
    assert (view.state, view.status) == ("FAILED", "the sensor is away")
    assert (await stands(plant, run, "a")).waits_for.startswith("every node before it has settled")
    await publish(plant, run, "x", 1)
    assert [task.node for task in await hand.claim(10)] == ["a"]


async def test_a_live_run_ends_by_cancel_alone_and_can_go_on(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    (a,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    with pytest.raises(Conflict):
        await publish(plant, run, "x", 2)
    await hand.complete(a, "late")
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    assert await hand.claim() == []
    await plant.engine.runs.retry(NS, run)
    (b,) = await hand.claim(10)
    assert (b.node, given(b)) == ("b", {"a": "late"})
    await publish(plant, run, "x", 2)
    assert [task.node for task in await hand.claim(10)] == ["a"]


async def test_a_cancelled_task_is_offered_again_when_the_run_goes_on(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": 1})
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    assert (await plant.engine.runs.retry(NS, run)).retried == 1
    assert [given(task) for task in await hand.claim(10)] == [{"x": 1}]


async def test_a_large_input_of_an_attempt_does_not_change_under_it(plant: Plant) -> None:
    run, hand = await chain(plant, {"x": "1" * 100_000})
    (a,) = await hand.claim()
    assert a.input_url
    await publish(plant, run, "x", "2" * 100_000)
    assert await _streamed(plant, hand, a) == {"x": "1" * 100_000}
    hand.drop()
    await plant.pass_time(25)
    (again,) = await hand.claim()
    assert await _streamed(plant, hand, again) == {"x": "2" * 100_000}


async def test_what_a_live_run_is_not_is_refused(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with pytest.raises(Conflict) as error:
        await publish(plant, run, "a", 1)
    assert error.value.code == "not_live"
    hand = plant.hand()
    (task,) = await hand.claim()
    assert (await say(hand, task, 1, "x")).status == "refused"
    run, _ = await chain(plant)
    with pytest.raises(Invalid):
        await settle_outside(plant, run, "x", name="\0")


async def test_a_run_of_mode_once_has_no_rows_of_live_ones(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete((await hand.claim())[0])
    assert await plant.sql("SELECT COUNT(*) FROM live_node") == [(0,)]
    assert await plant.sql("SELECT COUNT(*) FROM output") == [(0,)]


async def test_several_generations_are_counted_and_paged(plant: Plant) -> None:
    run, hand = await chain(plant)
    for value in range(3):
        await publish(plant, run, "x", value)
        while tasks := await hand.claim(10):
            for task in tasks:
                await hand.complete(task, value)
    assert {view.node: view.succeeded for view in (await plant.run(run)).nodes} == {"a": 3, "b": 3}
    seen, after = [], None
    while True:
        page = await plant.engine.views.tasks(NS, run, state=None, node=None, limit=2, after=after)
        seen += [(task.node, task.generation) for task in page.items]
        if (after := page.after) is None:
            break
    assert seen == [(name, generation) for name in "ab" for generation in range(3)]
    first = await plant.engine.live.outputs(NS, run, node=None, current=False, limit=4, after=None)
    rest = await plant.engine.live.outputs(NS, run, node=None, current=False, limit=10, after=first.after)
    assert [output.node for output in [*first.items, *rest.items]] == ["a"] * 3 + ["b"] * 3 + ["x"] * 3


async def _streamed(plant: Plant, hand: Hand, task: Assignment) -> Any:
    chunks = await plant.engine.leases.input(NS, hand.secret, task.task, task.attempt)
    return msgspec.json.decode(b"".join([chunk async for chunk in chunks]))


def test_the_json_form_of_a_live_graph() -> None:
    spec = GraphSpec(name="g", nodes=CHAIN, mode="live")
    assert msgspec.json.decode(msgspec.json.encode(spec), type=GraphSpec) == spec
