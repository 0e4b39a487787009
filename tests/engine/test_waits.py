"""Waits: held by the engine, settled once by somebody, or expired; seen, swept and retried like any task."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Plant, after, encoded, join, node, run_input
from stoker.core.graph import WAIT_KIND, Element, Expand, Ref, Retry, Wait
from stoker.core.views import SettleRequest, TaskView
from stoker.errors import Conflict, Invalid, NotFound, StokerError

GREETING = {"type": "string"}


def wait(name: str, fire: Any = None, **options: Any) -> Any:
    asked = {key: options.pop(key) for key in ("schema", "expires", "default") if key in options}
    return node(name, fire, kind=WAIT_KIND, wait=Wait(**asked), **options)


async def settle(plant: Plant, task: int, value: object = None, *, fail: str | None = None) -> TaskView:
    request = SettleRequest(fail=fail) if fail is not None else SettleRequest(value=encoded(value))
    return await plant.engine.waits.settle(NS, task, request)


async def started(plant: Plant, *nodes: Any, **more: Any) -> int:
    await plant.push(*nodes, **more)
    return await plant.trigger()


async def only(plant: Plant, run: int) -> TaskView:
    (task,) = (await plant.engine.waits.open(NS, run=run, limit=10, after=None)).items
    return task


async def test_a_wait_is_held_by_the_engine_until_somebody_settles_it(plant: Plant) -> None:
    run = await started(plant, wait("ok", schema=GREETING), node("next", after("ok"), bind={"said": Ref(node="ok")}))
    task = await only(plant, run)
    assert (task.state, task.attempt, task.session, task.expires_at) == ("LEASED", 1, None, None)
    hand = plant.hand(kinds=("one", WAIT_KIND))
    assert await hand.claim() == []
    await plant.pass_time(10_000)
    assert (await plant.task(task.id)).state == "LEASED"
    assert (await settle(plant, task.id, "hello")).state == "SUCCEEDED"
    (follower,) = await hand.claim()
    assert msgspec.json.decode(bytes(follower.input)) == {"said": "hello"}
    await hand.complete(follower)
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert (await plant.engine.waits.open(NS, run=run, limit=10, after=None)).items == []


async def test_the_same_decision_again_is_answered_as_done_and_another_is_a_conflict(plant: Plant) -> None:
    run = await started(plant, wait("a"), wait("b"))
    a, b = [task.id for task in await plant.tasks(run)]
    assert (await settle(plant, a, {"x": 1, "y": 2})).state == "SUCCEEDED"
    assert (await settle(plant, a, {"y": 2, "x": 1})).state == "SUCCEEDED"
    for other in ({"value": 3}, {"fail": "no"}):
        with pytest.raises(Conflict, match="already"):
            await settle(plant, a, **other)
    assert (await settle(plant, b, fail="no")).state == "FAILED"
    again = await settle(plant, b, fail="no")
    assert (again.state, again.code, again.message) == ("FAILED", "declined", "no")
    for another in ({"value": 3}, {"fail": "other"}):
        with pytest.raises(Conflict, match="FAILED already"):
            await settle(plant, b, **another)
    assert (await plant.run(run)).state == "FAILED"


async def test_two_decisions_at_once_are_one_and_a_conflict(plant: Plant) -> None:
    run = await started(plant, wait("a"))
    (task,) = await plant.tasks(run)
    values = (1, 2, 1)
    told = await asyncio.gather(*(settle(plant, task.id, value) for value in values), return_exceptions=True)
    won = {value for value, each in zip(values, told, strict=True) if not isinstance(each, Conflict)}
    ((body,),) = await plant.sql("SELECT body FROM item")
    assert won == {msgspec.json.decode(body)}  # whichever came first


async def test_a_value_that_does_not_fit_settles_nothing(plant: Plant) -> None:
    follower = node("each", after("list", expand=("rows",)))
    run = await started(plant, wait("list", schema={"type": "object"}), follower)
    (task,) = await plant.tasks(run)
    for wrong, says in ((7, "object"), ({"rows": 3}, "not a list"), ({}, "nothing at")):
        with pytest.raises(Invalid, match=says) as caught:
            await settle(plant, task.id, wrong)
        assert caught.value.code == "invalid_value"
    assert (await plant.task(task.id)).state == "LEASED"
    await settle(plant, task.id, {"rows": [1, 2]})
    assert await plant.states(run, "each") == ["READY", "READY"]


async def test_a_wait_that_nobody_settles_expires(plant: Plant) -> None:
    run = await started(plant, wait("a", expires="1h"), wait("b", expires="2h", default={"go": True}))
    a, b = await plant.tasks(run)
    assert (a.expires_at.timestamp() - plant.clock.now() / 1e6) == 3600
    await plant.pass_time(3599)
    assert await plant.states(run) == ["LEASED", "LEASED"]
    await plant.pass_time(1)
    gone = await plant.task(a.id)
    assert (gone.state, gone.code) == ("FAILED", "expired")
    with pytest.raises(Conflict):
        await settle(plant, a.id, 1)
    await plant.pass_time(3600)
    assert (await plant.task(b.id)).state == "SUCCEEDED"
    assert (await settle(plant, b.id, {"go": True})).state == "SUCCEEDED"


async def test_the_scheduler_wakes_when_a_wait_expires(plant: Plant) -> None:
    await started(plant, wait("a", expires="90s"))
    due = (plant.engine.alarm.planned - plant.clock.now()) / 1e6
    assert due == 90


async def test_a_cancel_sweeps_waits_at_once_and_a_retry_holds_them_again(plant: Plant) -> None:
    run = await started(plant, wait("a", expires="1h"), node("b"))
    hand = plant.hand()
    (held,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert sorted(await plant.states(run)) == ["CANCELLED", "LEASED"]
    await hand.fail(held)
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    await plant.pass_time(10_000)
    assert (await plant.engine.runs.retry(NS, run)).retried == 2
    task = await only(plant, run)
    assert (task.attempt, task.state) == (2, "LEASED")
    assert task.expires_at.timestamp() == plant.clock.now() / 1e6 + 3600
    (held,) = await hand.claim()
    await hand.complete(held)
    await settle(plant, task.id, 1)
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_declined_wait_skips_the_join_after_it_and_a_retry_opens_it_again(plant: Plant) -> None:
    run = await started(plant, wait("a"), node("b"), node("j", join("a", "b"), bind={"x": Ref(node="a")}))
    hand = plant.hand()
    (held,) = await hand.claim()
    await hand.complete(held)
    await settle(plant, (await only(plant, run)).id, fail="no")
    assert await plant.states(run, "j") == ["SKIPPED"]
    await plant.engine.runs.retry(NS, run)
    await settle(plant, (await only(plant, run)).id, "yes")
    (joined,) = await hand.claim()
    assert msgspec.json.decode(bytes(joined.input)) == {"x": "yes"}


async def test_each_element_has_a_wait_of_its_own(plant: Plant) -> None:
    asks = wait("ask", expand=Expand(over=run_input("drafts")), bind={"draft": Element(of="ask")})
    all_ = node("all", join("ask"), bind={"votes": Ref(node="ask", many=True)})
    await plant.push(asks, all_, inputs=["drafts"])
    run = await plant.trigger(inputs={"drafts": ["x", "y", "z"]})
    page = await plant.engine.waits.open(NS, run=run, limit=2, after=None)
    rest = await plant.engine.waits.open(NS, run=run, limit=2, after=page.after)
    tasks = page.items + rest.items
    assert ([task.branch for task in tasks], rest.after) == (["ask[0]", "ask[1]", "ask[2]"], None)
    shown = [b"".join([part async for part in await plant.engine.recorded.input(NS, task.id)]) for task in tasks]
    assert [msgspec.json.decode(each)["draft"] for each in shown] == ["x", "y", "z"]
    for number, task in enumerate(reversed(tasks)):
        await settle(plant, task.id, number)
    (gathered,) = await plant.hand().claim()
    assert msgspec.json.decode(bytes(gathered.input)) == {"votes": [2, 1, 0]}


async def test_explain_says_what_a_wait_waits_for(plant: Plant) -> None:
    run = await started(plant, wait("a", expires="1h", default=1))
    (task,) = await plant.tasks(run)
    told = await plant.engine.views.explain_task(NS, task.id)
    assert "waits to be settled, until 2023-11-14 23:13:20 UTC; then it takes its default" in told.because[0]
    assert f"stoker tasks settle {task.id}" in told.remedy
    about = await plant.engine.views.explain_run(NS, run)
    assert about.because == ["1 wait of 'a' is to be settled"]
    assert (await plant.run(run)).nodes[0].leased == 1


async def test_only_waits_are_settled_and_only_in_their_namespace(plant: Plant) -> None:
    run = await started(plant, node("a"), wait("w"))
    (plain,), (waiting,) = await plant.tasks(run, "a"), await plant.tasks(run, "w")
    with pytest.raises(Conflict, match="which runners run"):
        await settle(plant, plain.id, 1)
    await plant.engine._namespaces.made("other")
    with pytest.raises(NotFound):
        await plant.engine.waits.settle("other", waiting.id, SettleRequest(value=encoded(1)))
    for both in (SettleRequest(), SettleRequest(value=encoded(1), fail="no")):
        with pytest.raises(Invalid, match="one of the two"):
            await plant.engine.waits.settle(NS, waiting.id, both)
    assert (await plant.task(waiting.id)).state == "LEASED"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (node("a", wait=Wait()), "is a wait"),
        (wait("a", default=3), "it never does"),
        (wait("a", expires=0), "later than at once"),
        (wait("a", expires="soon"), "soon"),
        (wait("a", retry=Retry()), "no use for retry"),
        (wait("a", timeout="1s"), "no use for timeout"),
        (wait("a", schema={"type": "string"}, expires="1h", default=3), "the default of the wait does not fit"),
        (wait("a", schema={"type": 7}), "not a JSON Schema"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_the_push(plant: Plant, wrong: Any, says: str) -> None:
    with pytest.raises(StokerError) as caught:
        await plant.push(wrong)
    assert says in str(caught.value)
