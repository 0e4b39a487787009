"""The store of a run: given at its trigger, checked early, read by bindings and conditions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import NS, Plant, encoded, node
from stoker.core.graph import Each, Edge, InputSpec, Ref, Store, Text, Value
from stoker.core.model import PAYLOAD_INLINE
from stoker.errors import Conflict, Invalid, TooLarge

DECLARED = {"bucket": InputSpec(schema={"type": "string"}), "depth": InputSpec(required=False, default={"of": 3})}
URL = Text(parts=(Value(value="s3://"), Store(name="bucket"), Value(value="/"), Store(name="depth", path=("of",))))


def stored(**values: object) -> dict[str, msgspec.Raw]:
    return {name: encoded(value) for name, value in values.items()}


async def pushed(plant: Plant, **more: Any) -> None:
    bind = {"url": URL, "depth": Store(name="depth")}
    await plant.push(node("a", bind=bind), node("b", Each(way=Edge(node="a"))), store=DECLARED, result=URL, **more)


async def test_bindings_read_the_store_and_texts_are_joined(plant: Plant) -> None:
    await pushed(plant)
    run, hand = await plant.trigger(store=stored(bucket="x")), plant.hand()
    (a,) = await hand.claim()
    assert msgspec.json.decode(a.input) == {"url": "s3://x/3", "depth": {"of": 3}}
    await hand.complete(a)
    await hand.complete((await hand.claim())[0])
    assert await plant.result(run) == "s3://x/3"


async def test_the_store_is_read_again_after_a_restart(plant: Plant) -> None:
    await pushed(plant)
    await plant.trigger(store=stored(bucket="{{secret}} $HOME", depth={"of": [1, 2]}))
    await plant.restart()
    (a,) = await plant.hand().claim()
    assert msgspec.json.decode(a.input)["url"] == "s3://{{secret}} $HOME/[1,2]"


async def test_only_runs_with_a_store_have_a_row(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    run = await plant.trigger(store=stored(free=1))
    assert [row[0] for row in await plant.sql("SELECT run FROM run_store")] == [run]


async def test_a_condition_reads_keys_that_are_declared_and_others(plant: Plant) -> None:
    ways = [
        node("b", Each(way=Edge(node="a", when="store.depth.of == 3 && store.free"))),
        node("c", Each(way=Edge(node="a", when="has(store.free)"))),
    ]
    await plant.push(node("a"), *ways, store=DECLARED)
    run, hand = await plant.trigger(store=stored(bucket="x", free=True)), plant.hand()
    await plant.restart()
    hand = plant.hand()
    await hand.complete((await hand.claim())[0])
    assert await plant.states(run) == ["SUCCEEDED", "READY", "READY"]
    run = await plant.trigger(store=stored(bucket="x"))
    await hand.complete(next(task for task in await hand.claim(9) if task.run == run))
    assert [(task.state, task.code) for task in await plant.tasks(run)][1:] == [
        ("FAILED", "condition"),
        ("SKIPPED", "condition"),
    ]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "store.bucket"),
        (stored(bucket=5), "store.bucket"),
        (stored(bucket="x", **{"a\nb": 1}), "store"),
        ({"bucket": msgspec.Raw(b'"x"'), "deep": msgspec.Raw(b"[" * 100 + b"]" * 100)}, "store.deep"),
        ({"bucket": msgspec.Raw(b'"x"'), "bad": msgspec.Raw(b"NaN")}, "store.bad"),
    ],
)
async def test_a_store_that_may_not_be_is_refused_at_the_trigger(plant: Plant, given: Any, place: str) -> None:
    await pushed(plant)
    with pytest.raises(Invalid) as refused:
        await plant.trigger(store=given)
    assert [one.place for one in refused.value.problems] == [place]
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


async def test_a_missing_key_says_how_to_give_it(plant: Plant) -> None:
    await pushed(plant)
    with pytest.raises(Invalid, match="the store is not what 'sample' takes") as refused:
        await plant.trigger()
    assert "--store bucket=VALUE" in refused.value.problems[0].remedy


async def test_a_store_has_a_limit(plant: Plant) -> None:
    await pushed(plant)
    with pytest.raises(TooLarge, match="the store of the run"):
        await plant.trigger(store=stored(bucket="x" * PAYLOAD_INLINE))


async def test_a_key_means_the_same_store_each_time(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger(store=stored(a=1, b=2), idempotency_key="k")
    assert await plant.trigger(store=stored(b=2, a=1), idempotency_key="k") == run
    for other in ({}, stored(a=1), stored(a=1, b=3)):
        with pytest.raises(Conflict, match="or another store"):
            await plant.trigger(store=other, idempotency_key="k")


async def test_a_binding_to_a_key_that_is_not_declared_is_refused(plant: Plant) -> None:
    with pytest.raises(Invalid) as refused:
        await plant.push(node("a", bind={"x": Text(parts=(Store(name="nope"), Ref(node="z")))}))
    assert [(one.code, one.place) for one in refused.value.problems] == [
        ("unknown_input", "node 'a', input 'x'"),
        ("unknown_node", "node 'a', input 'x'"),
    ]


async def test_a_large_text_is_streamed(plant: Plant) -> None:
    """Put together when it is asked for, as everything large."""
    text = Text(parts=(Value(value="<"), Ref(node="a"), Value(value=">")))
    await plant.push(node("a"), node("b", Each(way=Edge(node="a")), bind={"x": text}))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete((await hand.claim())[0], "é" * 900_000)
    (b,) = await hand.claim()
    assert b.input_url
    body = b"".join([chunk async for chunk in await plant.engine.leases.input(NS, hand.secret, b.task, b.attempt)])
    assert msgspec.json.decode(body) == {"x": "<" + "é" * 900_000 + ">"}
