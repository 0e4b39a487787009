"""Hostile and large values: they are refused with words, or kept whole; nobody else's work is disturbed."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, join, node, run_input
from stoker.core.graph import Element, Expand, KindSpec, Ref
from stoker.core.protocol import Complete, ErrorInfo, Fail, Item, Log, Progress, Prune, Report, Requeue
from stoker.core.views import TriggerRequest
from stoker.engine import inputs
from stoker.errors import Invalid, NotFound, StokerError, TooLarge

STRICT = KindSpec(name="strict", output={"type": ["object", "array", "string", "number"]})
NOT_JSON = {
    "not UTF-8": b'"\xff"',
    "a number out of range": b"1e999",
    "NaN": b"NaN",
    "no JSON": b"{nope",
    "a NUL": b'"a\x00b"',
    "two values": b"1 2",
    "a thousand levels": b"[" * 1000 + b"]" * 1000,
    "a hundred thousand levels": b"[" * 100_000 + b"]" * 100_000,
}


def raw(task: Any, body: bytes) -> Complete:
    return Complete(task=task.task, attempt=task.attempt, items=[Item(value=msgspec.Raw(body))])


async def three(plant: Plant, hand: Hand, **options: Any) -> list[Any]:
    """Three tasks of three runs, held by a hand."""
    await plant.push(node("a", **options), kinds=(KindSpec(name="one"), STRICT))
    for _ in range(3):
        await plant.trigger()
    return await hand.claim(3)


@pytest.mark.parametrize("kind", ["one", "strict"])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_an_output_that_is_not_good_json_fails_its_task_alone(plant: Plant, kind: str, body: bytes) -> None:
    hand = plant.hand(kinds=("one", "strict"))
    good, bad, last = await three(plant, hand, kind=kind)
    receipts = await hand.report(completion(good), raw(bad, body), completion(last))
    assert [receipt.status for receipt in receipts] == ["accepted", "invalid", "accepted"]
    view = await plant.task(bad.task)
    assert (view.state, view.code) == ("FAILED", "invalid_output")
    assert [(await plant.task(task.task)).state for task in (good, last)] == ["SUCCEEDED"] * 2


@pytest.mark.parametrize("kind", ["one", "strict"])
@pytest.mark.parametrize(
    "body",
    [
        b'"\\u0000"',
        b"123456789012345678901234567890",
        b'"\\ud83d\\ude00"',
        b'"\\ud800"',
        b'{"a":1,"a":2}',
        b" [1 , 2] ",
    ],
)
async def test_unusual_but_good_json_is_kept_as_it_was_sent(plant: Plant, kind: str, body: bytes) -> None:
    hand = plant.hand(kinds=("one", "strict"))
    task, *_ = await three(plant, hand, kind=kind)
    assert [receipt.status for receipt in await hand.report(raw(task, body))] == ["accepted"]
    assert await plant.sql("SELECT body FROM item") == [(body,)]


def _hostile(task: Any) -> list[Report]:
    text = "\ud800 \0 \udfff" + "x" * 100_000
    error = ErrorInfo(message=text, code=text, type=text, traceback=text)
    names = {"task": task.task, "attempt": task.attempt}
    return [
        Log(**names, seq=0, text=text),
        Log(**names, seq=2**70, text="far"),
        Log(**names, seq=-(2**70), text="far"),
        Progress(**names, fraction=float("nan"), message=text),
        Progress(**names, fraction=float("inf"), message=text),
        Progress(task=2**80, attempt=2**80),
        Log(task=-(2**80), attempt=1, seq=0, text=""),
        Complete(task=2**64, attempt=1, items=[]),
        Complete(task=task.task, attempt=2**70, items=[Item(value=msgspec.Raw(b"1"))]),
        Complete(task=task.task, attempt=task.attempt + 1, items=[Item(artifact=2**70)]),
        Prune(task=task.task, attempt=-1, reason=text),
        Requeue(task=task.task, attempt=0, after_s=float("nan")),
        Fail(**names, error=error, retryable=False),
    ]


async def test_hostile_reports_disturb_nobody(plant: Plant) -> None:
    hand, calm = plant.hand(), plant.hand("calm")
    good, bad, _ = await three(plant, hand)
    (mine,) = await calm.claim(1) or [good]
    for report in _hostile(bad):
        answers = await asyncio.gather(hand.report(report), calm.beat(), return_exceptions=True)
        assert not [answer for answer in answers if isinstance(answer, BaseException)], report
    view = await plant.task(bad.task)
    assert view.state == "FAILED"
    assert "\ufffd" in view.message
    assert "\0" not in view.message
    msgspec.json.encode(view)
    msgspec.json.encode(await plant.engine.views.attempts(NS, bad.task))
    msgspec.json.encode(await plant.engine.logs.page(NS, run=None, task=bad.task, limit=100, after=0))
    assert mine


@pytest.mark.parametrize("after_s", [float("nan"), float("inf"), -1.0, 1e300])
async def test_any_delay_of_a_requeue_is_bounded(plant: Plant, after_s: float) -> None:
    hand = plant.hand()
    task, *_ = await three(plant, hand)
    assert [r.status for r in await hand.report(Requeue(task=task.task, attempt=1, after_s=after_s))] == ["accepted"]
    assert (await plant.task(task.task)).state == "READY"


async def test_hostile_holdings_and_numbers_release_nothing_and_break_nothing(plant: Plant) -> None:
    from stoker.core.protocol import Held

    hand = plant.hand()
    task, *_ = await three(plant, hand)
    strange = [Held(task=2**80, attempt=2**80), Held(task=-1, attempt=-1), *hand.listed]
    answer = await hand.exchange(held=strange, read=2**80)
    assert (await plant.task(task.task)).state == "LEASED"
    assert [(stop.task, stop.reason) for stop in answer.stop] == [(2**80, "stale"), (-1, "stale")]
    assert await hand.claim(-5, held=strange) == []


# --- inputs of runs ---


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("key", [None, "k"])
async def test_an_input_that_is_not_good_json_is_refused_with_its_place(
    plant: Plant, body: bytes, key: str | None
) -> None:
    await plant.push(node("a", bind={"x": run_input("x")}), inputs=["x"])
    request = TriggerRequest(graph="sample", inputs={"x": msgspec.Raw(body)}, idempotency_key=key)
    with pytest.raises(Invalid) as caught:
        await plant.engine.runs.trigger(NS, [request])
    assert [problem.place for problem in caught.value.problems] == ["inputs.x"]


async def test_all_faults_of_the_inputs_are_told_at_once(plant: Plant) -> None:
    from stoker.core.graph import GraphSpec, InputSpec
    from stoker.core.views import PushRequest

    spec = GraphSpec(
        name="strict",
        nodes=(node("a"),),
        inputs={
            "number": InputSpec(schema={"type": "number"}),
            "text": InputSpec(schema={"type": "string"}),
            "more": InputSpec(required=False, default=1),
        },
    )
    from engine.plant import KINDS

    await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS))
    with pytest.raises(Invalid) as caught:
        await plant.trigger("strict", {"number": "no", "other": 1})
    told = {(problem.code, problem.place) for problem in caught.value.problems}
    assert told == {
        ("invalid_input", "inputs.number"),
        ("missing_input", "inputs.text"),
        ("unknown_input", "inputs.other"),
    }
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


async def test_too_large_inputs_are_refused_with_a_remedy(plant: Plant) -> None:
    await plant.push(node("a", bind={"x": run_input("x")}), inputs=["x"])
    with pytest.raises(TooLarge) as caught:
        await plant.trigger(inputs={"x": "x" * (1024 * 1024)})
    assert "stoker.File" in caught.value.remedy
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


# --- large values ---


async def collected(plant: Plant, hand: Hand, task: Any) -> Any:
    if not task.input_url:
        return msgspec.json.decode(task.input)
    parts = await plant.engine.leases.input(NS, hand.secret, task.task, task.attempt)
    return msgspec.json.decode(b"".join([part async for part in parts]))


async def test_a_large_output_lies_in_the_artifact_store_and_comes_back(plant: Plant) -> None:
    large = {"text": "x" * (1024 * 1024 + 10)}
    await plant.push(node("a"), node("b", after("a"), bind={"x": Ref(node="a")}), result=Ref(node="b"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    assert (await hand.complete(task, large)).status == "accepted"
    ((body, blob),) = await plant.sql("SELECT body, blob FROM item")
    assert body is None
    assert await plant.engine.blobs.exists(blob)
    (task,) = await hand.claim(1)
    assert task.input_url
    assert await collected(plant, hand, task) == {"x": large}
    await hand.complete(task, large)
    assert await plant.result(run) == large


async def test_a_large_output_is_expanded_too(plant: Plant) -> None:
    """What a decision needs of a large value is fetched, and the batch decided anew."""
    await plant.push(
        node("a"),
        node("all", join("a"), expand=Expand(over=Ref(node="a")), bind={"x": Element(of="all")}),
        node("each", after("a", ()), bind={"x": Element(of="a")}),
    )
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    elements = ["x" * 600_000, "y" * 600_000]
    assert (await hand.complete(task, elements)).status == "accepted"
    tasks = await hand.claim(10)
    assert sorted(each.node for each in tasks) == ["all", "all", "each", "each"]
    for each in tasks:
        assert (await collected(plant, hand, each))["x"] in elements
        await hand.complete(each)
    assert (await plant.run(run)).state == "SUCCEEDED"


@pytest.mark.parametrize("page", [3, 20, inputs.PAGE])
async def test_a_gathered_list_above_64_kib_is_fetched_by_its_holder(
    plant: Plant, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PAGE", page)
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}),
        node("c", join("b"), bind={"all": Ref(node="b", many=True)}),
    )
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), list(range(20)))
    for task in await hand.claim(20):
        await hand.complete(task, str(msgspec.json.decode(task.input)["n"]) * 5_000)
    (task,) = await hand.claim(1)
    assert task.input_url.endswith(f"/tasks/{task.task}/input?attempt=1")
    assert await collected(plant, hand, task) == {"all": [str(number) * 5_000 for number in range(20)]}


async def test_a_large_input_that_cannot_be_bound_fails_its_task_when_it_is_fetched(plant: Plant) -> None:
    """Such a list is not looked at when it is claimed. A runner that asks again and again would never end."""
    await plant.push(
        node("a"),
        node("b", after("a", ())),
        node("c", join("b"), bind={"all": Ref(node="b", many=True, path=("deep",))}),
    )
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), [1, 2])
    first, second = await hand.claim(2)
    await hand.complete(first, {"deep": "x" * 100_000})
    await hand.complete(second, {"shallow": 1})
    (task,) = await hand.claim(1)
    with pytest.raises(StokerError):
        await collected(plant, hand, task)
    await plant.settled()
    view = await plant.task(task.task)
    assert (view.state, view.code) == ("FAILED", "binding")
    assert (await plant.run(run)).state == "FAILED"
    with pytest.raises(NotFound):
        await collected(plant, hand, task)


async def test_an_input_that_cannot_be_bound_fails_its_task_with_the_reason(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a"), bind={"x": Ref(node="a", path=("deep", 0))}))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), {"deep": []})
    assert await hand.claim(1) == []
    await plant.settled()
    (_, task) = await plant.tasks(run)
    assert (task.state, task.code) == ("FAILED", "binding")
    view = await plant.run(run)
    assert view.state == "FAILED"
    assert "$.deep[0]" in view.causes[0].message


async def test_a_withheld_large_output_unlocks_when_its_cancelled_run_is_retried(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a", ())))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(task, ["x" * 700_000, "y" * 700_000])
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    await plant.engine.runs.retry(NS, run)
    assert await plant.states(run, "b") == ["READY", "READY"]


async def test_an_artifact_given_as_an_output_is_what_it_holds(plant: Plant) -> None:
    async def chunks(body: bytes) -> Any:
        yield body

    await plant.push(node("a"), result=Ref(node="a"))
    hand = plant.hand()
    for body, status in ((b'{"x":[1]}', "accepted"), (b"not json", "invalid"), (b'"\xff"', "invalid")):
        run = await plant.trigger()
        (task,) = await hand.claim(1)
        view = await plant.engine.artifacts.put(NS, "out", "application/json", chunks(body))
        items = [Item(artifact=view.id)]
        receipts = await hand.report(Complete(task=task.task, attempt=task.attempt, items=items))
        assert [receipt.status for receipt in receipts] == [status]
        if status == "accepted":
            assert await plant.result(run) == {"x": [1]}
